import Recipes
import Support
import Telemetry
import Training

/// The folder of a sweep and the paths of its files.
///
/// The first rank of every group reads and writes it, so all hosts must share it.
package struct SweepFolder: Sendable {
    package let path: String

    /// Creates the folder at a path; slashes at the end are ignored.
    package init(_ path: String) { self.path = RunFolder(path).path }

    /// The path of the specification, a copy of the user's file.
    package var specification: String { "\(path)/sweep.toml" }
    /// The path of a copy of the recipe that the specification names.
    package var recipe: String { "\(path)/base-recipe.toml" }
    /// The path of the file with the location and the fingerprint of the data, the hash of the
    /// recipe, and the initial model.
    package var origin: String { "\(path)/origin.json" }
    /// The path of the file with a line for each point that has ended.
    package var ledger: String { "\(path)/ledger.jsonl" }
    /// The path of the points' durations. They have their own file, because only they depend on the
    /// layout.
    package var timings: String { "\(path)/timings.jsonl" }
    /// The path of the file with a line for each round of a planned sweep.
    package var plan: String { "\(path)/plan.jsonl" }
    /// The path of the file with the budget of a planned sweep.
    package var budget: String { "\(path)/budget.txt" }
    /// The folder of the files that claim points for groups.
    package var claims: String { "\(path)/claims" }
    package var points: String { "\(path)/points" }
    /// The path of the file with the name of the session that was asked to stop.
    package var stopRequest: String { "\(path)/stop" }
    /// The path of the lock that a group holds while it reads or writes the shared files.
    package var groupsLock: String { "\(path)/groups.lock" }

    /// Returns the folder of the run of a point, which may not exist yet.
    package func run(of point: SweepPoint) -> RunFolder { RunFolder("\(points)/\(point.name)") }

    /// Whether the folder holds a sweep.
    package var holdsSweep: Bool { FileSystem.exists(specification) }

    /// Whether the folder holds a planned sweep.
    package var isPlanned: Bool { FileSystem.exists(plan) || FileSystem.exists(budget) }

    /// Creates the folder of a new sweep, completely or not at all.
    ///
    /// - Parameter mixture: the absolute paths of the mixed data folders, which can be relative in the recipe.
    /// - Throws: `Failure` (usage) if the path is taken; (I/O) if the folder cannot be written.
    package func create(
        specification text: String, recipe recipeText: String, dataPath: String,
        fingerprint: String, trainingTokens: Int, mixture: [String] = [],
        initialModel: InitialModelRecord? = nil, budget: SweepBudget? = nil
    ) throws(Failure) {
        guard !holdsSweep else {
            throw .file(
                .usage, path, "already holds a sweep, which is never overwritten",
                remedy: "add --resume to resume it, or give --out another folder")
        }
        try RunFolder(path).requireFree()
        try AtomicFolder.create(at: path, marker: "sweep.toml") { (partial) throws(Failure) in
            let inside = SweepFolder(partial)
            try AtomicFile.write(recipeText, to: inside.recipe)
            var origin: JSONObject = [
                "data": .string(dataPath), "data_fingerprint": .string(fingerprint),
                "training_tokens": .integer(trainingTokens),
                "recipe_sha256": .string(SHA256.hash(recipeText)),
            ]
            if !mixture.isEmpty { origin["mixture"] = .array(mixture.map(JSONValue.string)) }
            if let initialModel { origin["initial_model"] = .object(initialModel.json) }
            try AtomicFile.write(origin.text + "\n", to: inside.origin)
            if let budget { try inside.write(budget) }
            try AtomicFile.write(text, to: inside.specification)
        }
    }

    /// Writes the budget of a planned sweep, in place of an earlier one.
    ///
    /// - Throws: `Failure` (I/O) if the file cannot be written.
    func write(_ budget: SweepBudget) throws(Failure) {
        try AtomicFile.write(budget.text + "\n", to: self.budget)
    }

    /// Returns the budget of a planned sweep; nil for a grid, or if an earlier version planned it.
    ///
    /// - Throws: `Failure` (bad data) if the file does not hold a budget; (I/O) if it cannot be
    ///   read.
    func readBudget() throws(Failure) -> SweepBudget? {
        guard FileSystem.exists(budget) else { return nil }
        let text = try readText(budget)
        if let budget = try? SweepBudget(text.hasSuffix("\n") ? String(text.dropLast()) : text) {
            return budget
        }
        throw .file(.badData, budget, "does not hold a budget", remedy: "give --budget")
    }

    /// Creates the folders that the groups write to, unless they exist.
    ///
    /// - Throws: `Failure` (I/O) if a folder cannot be created.
    package func prepareForGroups() throws(Failure) {
        try FileSystem.makeFolders(claims)
        try FileSystem.makeFolders(points)
    }

    /// Returns the specification of the sweep.
    ///
    /// - Throws: `Failure` (missing input) if there is no sweep; the failures of reading it.
    package func readSpecification() throws(Failure) -> SweepSpecification {
        guard holdsSweep else { throw .holdsNo("sweep", path, command: "sweep") }
        let origin = try FileSystem.exists(self.origin) ? readOrigin() : nil
        var read = try SweepSpecification(
            toml: try readText(specification), name: specification, recipeFile: recipe,
            model: try origin?.initialModel?.defaults(), recipe: readText
        )
        let paths = origin?.mixture ?? []
        for (index, path) in zip(read.baseRecipe.data.mixture.indices, paths) {
            read.baseRecipe.data.mixture[index].path = path
        }
        read.baseRecipe.makePathsAbsolute()
        return read
    }

    /// The data, the recipe and the initial model with which a sweep was started.
    package struct Origin: Sendable, JSONReadable {
        package let dataPath: String
        package let fingerprint: String
        /// The number of tokens in the training data; nil if an earlier version started the sweep.
        package let trainingTokens: Int?
        package let recipeHash: String
        /// The absolute paths of the mixed data folders; nil if nothing is mixed, or if an earlier version
        /// started the sweep.
        package let mixture: [String]?
        /// The trained model from which every run starts; nil for new parameters.
        package let initialModel: InitialModelRecord?

        package init(json: JSONValue) throws(JSONProblem) {
            dataPath = try json.read("data")
            fingerprint = try json.read("data_fingerprint")
            trainingTokens = try json.read("training_tokens")
            recipeHash = try json.read("recipe_sha256")
            mixture = try json.read("mixture")
            initialModel = try json.read("initial_model")
        }
    }

    /// Reads the data and the recipe with which the sweep was started.
    ///
    /// - Throws: `Failure` (bad data) if the file is damaged; the failures of `MetricsLog.read`.
    package func readOrigin() throws(Failure) -> Origin {
        let records = try MetricsLog.read(origin)
        guard let origin = records.first.flatMap({ try? Origin(json: $0.json) }) else {
            throw .file(
                .badData, self.origin, "does not contain the data and the recipe of the sweep",
                remedy: "start a new sweep")
        }
        return origin
    }

    /// Returns the trained model from which every run starts; nil for new parameters.
    ///
    /// - Throws: the same as `readOrigin`.
    package func readInitialModel() throws(Failure) -> InitialModelRecord? {
        FileSystem.exists(origin) ? try readOrigin().initialModel : nil
    }

    /// Removes the checkpoints of a finished point, whose losses are in the ledger. Does nothing if
    /// their folder is a link, which could lead anywhere.
    package func removeCheckpoints(of point: SweepPoint) {
        let checkpoints = run(of: point).checkpoints
        guard !FileSystem.isLink(checkpoints) else { return }
        for name in (try? FileSystem.names(in: checkpoints)) ?? [] {
            try? FileSystem.removeFlatFolder("\(checkpoints)/\(name)")
        }
        FileSystem.removeFolderIfEmpty(checkpoints)
    }
}
