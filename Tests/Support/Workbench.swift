import Foundation
import Support
import Testing

/// A test's folder with the tokens of a small text and a recipe for a tiny model.
package final class Workbench {
    private let temporary: TemporaryFolder

    package var folder: String { temporary.path }

    /// Twenty repetitions of more than sixty words, which are enough for a context of 16 in either
    /// split.
    package static let text = String(
        repeating: """
            the lane and the rank make a sum, and the sum makes a tree.
            a batch of noise falls slowly; the rate rises again and again.

            """, count: 20)

    /// The section of a tiny model in a recipe, which may continue it with further keys.
    package static let tinyModel = """
        [model]
        layers = 1
        heads = 2
        width = 16
        context_length = 8
        """

    package static let recipe = """
        \(tinyModel)
        [training]
        steps = 6
        global_batch = 4
        [optimizer]
        learning_rate = 1e-2
        [reduction]
        lanes = 4
        [evaluation]
        every = 3
        [checkpoint]
        every = 2
        """

    package static let lockstep = "\(Launch.products)/lockstep"

    /// Writes a text and the recipe, and tokenizes the text.
    package init(text: String = Workbench.text) throws {
        temporary = try TemporaryFolder()
        try write(text, to: "text.txt")
        try write(Self.recipe, to: "recipe.toml")
        let outcome = try lockstep("tokenize", path("text.txt"), "--out", data)
        try #require(outcome.status == 0, "\(outcome.errors)")
    }

    package func path(_ name: String) -> String { "\(folder)/\(name)" }

    /// The path of the data folder.
    package var data: String { path("data") }

    package func write(_ text: String, to name: String) throws { try temporary.write(name, text) }

    package func bytes(of name: String) throws -> Data {
        try Data(contentsOf: URL(filePath: path(name)))
    }

    package func exists(_ name: String) -> Bool {
        FileManager.default.fileExists(atPath: path(name))
    }

    /// Returns the sorted names in the folder.
    package func names(in name: String = ".") throws -> [String] {
        try temporary.names(name)
    }

    /// Copies the data folder and returns the path of the copy.
    package func copyData(to name: String) throws -> String {
        try FileManager.default.copyItem(atPath: path("data"), toPath: path(name))
        return path(name)
    }

    // MARK: - Starting the program

    /// Runs the program, by `launch/mpirun` unless `ranks` is 0.
    package func lockstep(
        _ arguments: [String], ranks: Int = 0, environment: [String: String] = [:]
    ) throws -> Outcome {
        if ranks == 0 {
            return try Launch.run(
                Self.lockstep, arguments, environment: environment, seconds: 60)
        }
        return try Launch.run(
            "\(Launch.root)/launch/mpirun",
            ["--ranks", "\(ranks)", "--oversubscribe", "--", Self.lockstep] + arguments,
            environment: environment, seconds: 60)
    }

    package func lockstep(_ arguments: String..., ranks: Int = 0) throws -> Outcome {
        try lockstep(arguments, ranks: ranks)
    }

    /// Returns the arguments that train the recipe on the data into the folder `run`.
    package func training(into run: String = "run", data: String? = nil, set: String...) -> [String]
    {
        ["train", path("recipe.toml"), "--data", data ?? path("data"), "--out", path(run)]
            + set.flatMap { ["--set", $0] }
    }

    /// Trains to the end.
    package func train(into run: String = "run", ranks: Int = 0) throws {
        let outcome = try lockstep(training(into: run), ranks: ranks)
        try #require(outcome.status == 0, "\(outcome.errors)")
    }

    // MARK: - The files of a run

    /// Changes the text of a checkpoint's manifest and adapts its checksum.
    package func editManifest(ofStep step: Int, _ change: (String) throws -> String) throws {
        let name = "\(Self.checkpoint(step))/manifest.json"
        var text = try change(String(decoding: try bytes(of: name), as: UTF8.self))
        let stated = try #require(text.firstMatch(of: /"checksum" : "([0-9a-f]{64})"/)).1
        let zeros = String(repeating: "0", count: 64)
        text = text.replacingOccurrences(of: stated, with: zeros)
        text = text.replacingOccurrences(
            of: "\"checksum\" : \"\(zeros)\"",
            with: "\"checksum\" : \"\(SHA256.hash(text))\"")
        try write(text, to: name)
    }

    /// Returns the lines of a run's metrics.
    package func metrics(of run: String = "run") throws -> [[String: Any]] {
        try bytes(of: "\(run)/metrics.jsonl").split(separator: UInt8(ascii: "\n")).map {
            try #require(try JSONSerialization.jsonObject(with: Data($0)) as? [String: Any])
        }
    }

    /// Returns the last validation loss in a run's metrics.
    package func lastValidationLoss(of run: String = "run") throws -> Double {
        let text = String(decoding: try bytes(of: "\(run)/metrics.jsonl"), as: UTF8.self)
        return try #require(Self.validationLosses(in: text).last)
    }

    /// Returns the values of validation_loss in JSON lines, exact to the last bit, which
    /// `JSONSerialization` is not.
    package static func validationLosses(in text: String) -> [Double] {
        text.matches(of: /"validation_loss":([-+.0-9e]+)/).compactMap { Double($0.1) }
    }

    /// Returns the path of a step's checkpoint within the folder.
    package static func checkpoint(_ step: Int, of run: String = "run") -> String {
        let digits = "\(step)"
        return "\(run)/checkpoints/step-" + String(repeating: "0", count: 8 - digits.count) + digits
    }

    /// Returns the contents of the checkpoint's files that hold the state.
    package func state(_ step: Int, of run: String = "run") throws -> [Data] {
        try ["model.safetensors", "optimizer.safetensors"].map {
            try bytes(of: "\(Self.checkpoint(step, of: run))/\($0)")
        }
    }
}
