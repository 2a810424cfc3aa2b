import Glibc
import Support
import Telemetry
import Training

/// The folder of one sweep and what lies where in it.
///
/// The first rank of every group reads and writes here, so that hosts must share it.
package struct SweepFolder: Sendable {
    package let path: String

    package init(_ path: String) { self.path = RunFolder(path).path }

    /// The specification as it was given.
    package var specification: String { "\(path)/sweep.toml" }
    /// The recipe that it names.
    package var recipe: String { "\(path)/base-recipe.toml" }
    /// What the sweep was started with: where the data lie, and which they and the recipe are.
    package var origin: String { "\(path)/origin.json" }
    /// A line for each point that has ended.
    package var ledger: String { "\(path)/ledger.jsonl" }
    /// How long they took: apart, because it is the only thing that another layout changes.
    package var timings: String { "\(path)/timings.jsonl" }
    /// Which group trains which point now.
    package var claims: String { "\(path)/claims" }
    package var points: String { "\(path)/points" }
    /// Holds the name of the start that was asked to stop.
    package var stopRequest: String { "\(path)/stop" }
    /// Held while a group reads or writes what all share.
    package var groupsLock: String { "\(path)/groups.lock" }

    package func run(of point: SweepPoint) -> RunFolder { RunFolder("\(points)/\(point.name)") }

    /// Whether a sweep was started here.
    package var holdsSweep: Bool { FileSystem.exists(specification) }

    /// Makes the folder of a new sweep, whole or not at all.
    ///
    /// - Throws: a `.usage` failure where something is there; `.inputOutput`.
    package func create(
        specification text: String, recipe recipeText: String, dataPath: String,
        fingerprint: String
    ) throws(Failure) {
        guard !holdsSweep else {
            throw Failure(
                .usage,
                "\(path) already holds a sweep, which is never overwritten: add --resume to go on with "
                    + "it, or give --out another folder.")
        }
        try RunFolder(path).requireFree()
        try AtomicFolder.create(at: path, marker: "sweep.toml") { (partial) throws(Failure) in
            let inside = SweepFolder(partial)
            try AtomicFile.write(recipeText, to: inside.recipe)
            let origin: JSONObject = [
                "data": .string(dataPath), "data_fingerprint": .string(fingerprint),
                "recipe_sha256": .string(SHA256.hash(recipeText)),
            ]
            try AtomicFile.write(origin.text + "\n", to: inside.origin)
            try AtomicFile.write(text, to: inside.specification)
        }
    }

    /// Makes what groups write in, where it is not there yet.
    ///
    /// - Throws: `.inputOutput`.
    package func prepareForGroups() throws(Failure) {
        try FileSystem.makeFolders(claims)
        try FileSystem.makeFolders(points)
    }

    /// The specification that the sweep was started with.
    ///
    /// - Throws: a `.missingInput` failure where there is no sweep; what reading throws.
    package func readSpecification() throws(Failure) -> SweepSpecification {
        guard holdsSweep else {
            throw Failure(
                .missingInput,
                "\(path) holds no sweep: give the folder that `lockstep sweep` was given as --out.")
        }
        return try SweepSpecification(
            toml: try readText(specification), name: specification
        ) { (_) throws(Failure) in try readText(recipe) }
    }

    /// What a sweep was started with.
    package struct Origin: Sendable {
        package let dataPath: String
        package let fingerprint: String
        package let recipeHash: String
    }

    /// - Throws: `.badData` where the file is damaged; as `MetricsLog.read` does.
    package func readOrigin() throws(Failure) -> Origin {
        let records = try MetricsLog.read(origin)
        guard let record = records.first, let path = record.fields["data"]?.string,
            let fingerprint = record.fields["data_fingerprint"]?.string,
            let hash = record.fields["recipe_sha256"]?.string
        else {
            throw Failure(
                .badData, "\(origin) does not say what the sweep was started with: start a new one."
            )
        }
        return Origin(dataPath: path, fingerprint: fingerprint, recipeHash: hash)
    }

    /// Removes a finished point's checkpoints: its losses are in the ledger.
    package func removeCheckpoints(of point: SweepPoint) {
        let checkpoints = run(of: point).checkpoints
        for name in (try? FileSystem.names(in: checkpoints)) ?? [] {
            try? FileSystem.removeFlatFolder("\(checkpoints)/\(name)")
        }
        rmdir(checkpoints)
    }
}
