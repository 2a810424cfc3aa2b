import Foundation
import TestSupport

/// Real runs of small models, each in its own folder of the workbench.
extension Workbench {
    func run(_ name: String) -> RunResult { RunResult(folder: URL(filePath: path(name))) }

    /// Writes a recipe and returns its path.
    func recipe(_ name: String, _ toml: String) throws -> String {
        try write(toml, to: "\(name).toml")
        return path("\(name).toml")
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
    static let learnableText: String = {
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
    }()
}
