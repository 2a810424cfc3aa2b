import Foundation
import TestSupport

/// A folder with the tokens of a small text, in which tests start real runs of a small model.
final class Workshop {
    let folder: URL

    init() throws {
        folder = FileManager.default.temporaryDirectory
            .appending(path: "lockstep multi-rank \(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let text = folder.appending(path: "text.txt")
        try Self.text.write(to: text, atomically: true, encoding: .utf8)
        let outcome = try Launch.run(
            Self.lockstep, ["tokenize", text.path, "--out", data])
        guard outcome.status == 0 else { throw LaunchProblem(outcome) }
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    static var lockstep: String { "\(Launch.products)/lockstep" }

    /// Jobs end with their test, so each one gets the number of ranks that it asks for.
    static let environment = [
        "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    ]

    var data: String { folder.appending(path: "data").path }

    func run(_ name: String) -> RunResult { RunResult(folder: folder.appending(path: name)) }

    /// Writes a recipe and returns its path.
    func recipe(_ name: String, _ toml: String) throws -> String {
        let path = folder.appending(path: "\(name).toml")
        try toml.write(to: path, atomically: true, encoding: .utf8)
        return path.path
    }

    /// Trains to the end on a number of ranks and threads.
    func train(
        _ arguments: [String], ranks: Int, threads: Int = 1, into run: RunResult,
        environment: [String: String] = [:]
    ) throws -> Outcome {
        try Launch.run(
            "\(Launch.root)/launch/mpirun",
            [
                "--ranks", "\(ranks)", "--threads", "\(threads)", "--oversubscribe", "--",
                Self.lockstep, "train", "--out", run.folder.path,
            ] + arguments, environment: environment)
    }

    /// About 20 KB of text with enough regularity to be learned.
    private static var text: String {
        let words = [
            "the", "lane", "rank", "sum", "tree", "batch", "step", "rate", "noise", "scale", "and",
            "of", "a", "gradient", "falls", "rises", "slowly", "again",
        ]
        var state: UInt64 = 42
        var text = ""
        while text.utf8.count < 20_000 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            text += words[Int(state >> 33) % words.count]
            text += state >> 60 == 0 ? ".\n" : " "
        }
        return text
    }
}

/// A command that did not end as it should have.
struct LaunchProblem: Error, CustomStringConvertible {
    let outcome: Outcome
    init(_ outcome: Outcome) { self.outcome = outcome }
    var description: String { "status \(outcome.status): \(outcome.errors)" }
}

/// The files of a run.
struct RunResult {
    let folder: URL

    /// Returns the lines of metrics.jsonl without the fields that measure time.
    func metrics() throws -> [String] {
        let text = try String(contentsOf: folder.appending(path: "metrics.jsonl"), encoding: .utf8)
        return text.split(separator: "\n").map {
            String($0.replacing(/,"[a-z_]*(seconds|per_second)":[^,}]*/, with: ""))
        }
    }

    /// The number of steps in metrics.jsonl. It is cheap, because tests ask for it while the run
    /// continues.
    var stepsTaken: Int {
        let file = folder.appending(path: "metrics.jsonl")
        let text = (try? String(contentsOf: file, encoding: .utf8)) ?? ""
        return text.components(separatedBy: "\"loss\"").count - 1
    }

    /// Returns the bytes of the checkpoint's files that contain the state.
    func state(step: Int) throws -> [Data] {
        let name = String(repeating: "0", count: 8 - "\(step)".count) + "\(step)"
        let checkpoint = folder.appending(path: "checkpoints/step-\(name)")
        return try ["model.safetensors", "optimizer.safetensors"].map {
            try Data(contentsOf: checkpoint.appending(path: $0))
        }
    }

    /// Returns the number of ranks that wrote a checkpoint according to its manifest.
    func rankCount(step: Int) throws -> Int? {
        let name = String(repeating: "0", count: 8 - "\(step)".count) + "\(step)"
        let manifest = try Data(
            contentsOf: folder.appending(path: "checkpoints/step-\(name)/manifest.json"))
        let object = try JSONSerialization.jsonObject(with: manifest) as? [String: Any]
        return object?["rank_count"] as? Int
    }
}
