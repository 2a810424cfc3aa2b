import Foundation
import Support
import TestSupport
import Testing

/// A test's folder with the tokens of a small text and a recipe for a tiny model.
final class Workbench {
    /// The folder; its name has a space on purpose.
    let folder: String

    /// Twenty repetitions of more than sixty words, which are enough for a context of 16 in either
    /// split.
    static let text = String(
        repeating: """
            the lane and the rank make a sum, and the sum makes a tree.
            a batch of noise falls slowly; the rate rises again and again.

            """, count: 20)

    static let recipe = """
        [model]
        layers = 1
        heads = 2
        width = 16
        context_length = 8
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

    static let lockstep = "\(Launch.products)/lockstep"

    init() throws {
        folder =
            FileManager.default.temporaryDirectory
            .appending(path: "lockstep command \(UUID().uuidString)").path
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true)
        try write(Self.text, to: "text.txt")
        try write(Self.recipe, to: "recipe.toml")
        let outcome = try lockstep("tokenize", path("text.txt"), "--out", path("data"))
        try #require(outcome.status == 0, "\(outcome.errors)")
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    func path(_ name: String) -> String { "\(folder)/\(name)" }

    func write(_ text: String, to name: String) throws {
        try Data(text.utf8).write(to: URL(filePath: path(name)))
    }

    func bytes(of name: String) throws -> Data { try Data(contentsOf: URL(filePath: path(name))) }

    func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: path(name)) }

    /// Returns the sorted names in the folder.
    func names(in name: String = ".") throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: path(name)).sorted()
    }

    /// Copies the data folder and returns the path of the copy.
    func copyData(to name: String) throws -> String {
        try FileManager.default.copyItem(atPath: path("data"), toPath: path(name))
        return path(name)
    }

    // MARK: - Starting the program

    /// Runs the program, by `launch/mpirun` unless `ranks` is 0.
    func lockstep(_ arguments: [String], ranks: Int = 0) throws -> Outcome {
        if ranks == 0 { return try Launch.run(Self.lockstep, arguments, seconds: 60) }
        return try Launch.run(
            "\(Launch.root)/launch/mpirun",
            ["--ranks", "\(ranks)", "--oversubscribe", "--", Self.lockstep] + arguments,
            seconds: 60)
    }

    func lockstep(_ arguments: String..., ranks: Int = 0) throws -> Outcome {
        try lockstep(arguments, ranks: ranks)
    }

    /// Returns the arguments that train the recipe on the data into the folder `run`.
    func training(into run: String = "run", data: String? = nil, set: String...) -> [String] {
        ["train", path("recipe.toml"), "--data", data ?? path("data"), "--out", path(run)]
            + set.flatMap { ["--set", $0] }
    }

    /// Trains to the end.
    func train(into run: String = "run", ranks: Int = 0) throws {
        let outcome = try lockstep(training(into: run), ranks: ranks)
        try #require(outcome.status == 0, "\(outcome.errors)")
    }

    // MARK: - The files of a run

    /// Changes the text of a checkpoint's manifest and adapts its checksum.
    func editManifest(ofStep step: Int, _ change: (String) throws -> String) throws {
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
    func metrics(of run: String = "run") throws -> [[String: Any]] {
        try bytes(of: "\(run)/metrics.jsonl").split(separator: UInt8(ascii: "\n")).map {
            try #require(try JSONSerialization.jsonObject(with: Data($0)) as? [String: Any])
        }
    }

    /// Returns the last validation loss in a run's metrics.
    func lastValidationLoss(of run: String = "run") throws -> Double {
        let text = String(decoding: try bytes(of: "\(run)/metrics.jsonl"), as: UTF8.self)
        return try #require(Self.validationLosses(in: text).last)
    }

    /// Returns the values of validation_loss in JSON lines, exact to the last bit, which
    /// `JSONSerialization` is not.
    static func validationLosses(in text: String) -> [Double] {
        text.matches(of: /"validation_loss":([-+.0-9e]+)/).compactMap { Double($0.1) }
    }

    /// Returns the path of a step's checkpoint within the folder.
    static func checkpoint(_ step: Int, of run: String = "run") -> String {
        let digits = "\(step)"
        return "\(run)/checkpoints/step-" + String(repeating: "0", count: 8 - digits.count) + digits
    }

    /// Returns the contents of the checkpoint's files that hold the state.
    func state(_ step: Int, of run: String = "run") throws -> [Data] {
        try ["model.safetensors", "optimizer.safetensors"].map {
            try bytes(of: "\(Self.checkpoint(step, of: run))/\($0)")
        }
    }
}

/// Expects that a command was refused with a code, a single sentence that contains `words`, and no
/// output.
///
/// `notices` are the beginnings of lines that may precede the sentence.
func expectRefusal(
    _ outcome: Outcome, _ code: Int32, _ words: [String], after notices: [String] = [],
    location: SourceLocation = #_sourceLocation
) {
    #expect(outcome.status == code, "\(outcome.errors)", sourceLocation: location)
    #expect(outcome.output.isEmpty, sourceLocation: location)
    let sentences = outcome.sentences.filter { line in
        !notices.contains { line.hasPrefix($0) }
    }
    #expect(sentences.count == 1, "\(outcome.errors)", sourceLocation: location)
    let sentence = sentences.last ?? ""
    #expect(sentence.hasPrefix("lockstep: "), "\(sentence)", sourceLocation: location)
    for word in words {
        #expect(sentence.contains(word), "\(sentence)", sourceLocation: location)
    }
}
