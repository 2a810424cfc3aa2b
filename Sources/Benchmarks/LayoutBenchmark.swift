import Foundation
import Recipes
import Support
import Training

/// A layout of one machine: a number of ranks, with some threads each.
package struct RankLayout: Sendable, Equatable {
    package let ranks: Int
    package let threads: Int

    package init(ranks: Int, threads: Int) {
        self.ranks = ranks
        self.threads = threads
    }

    /// Returns the layouts that use all cores and have no more ranks than a recipe has lanes, the
    /// one with most ranks first.
    ///
    /// - Throws: `Failure` (configuration) if the recipe cannot be trained on one rank.
    package static func candidates(cores: Int, recipe: Recipe) throws(Failure) -> [RankLayout] {
        _ = try TrainingPlan(recipe, ranks: 1)
        return (1...max(1, cores)).filter { threads in
            cores % threads == 0 && (try? TrainingPlan(recipe, ranks: cores / threads)) != nil
        }.map { RankLayout(ranks: cores / $0, threads: $0) }
    }
}

/// The measured speed of a layout.
package struct LayoutResult: Sendable, Equatable {
    package let layout: RankLayout
    package let tokensPerSecond: Double
    package let stepSeconds: Double
    /// The expected memory of all ranks.
    package let hostGibibytes: Double

    package init(
        layout: RankLayout, tokensPerSecond: Double, stepSeconds: Double, hostGibibytes: Double
    ) {
        self.layout = layout
        self.tokensPerSecond = tokensPerSecond
        self.stepSeconds = stepSeconds
        self.hostGibibytes = hostGibibytes
    }
}

/// Measures training steps of a recipe on the layouts of this machine, each in a job of its own.
package struct LayoutBenchmark: Sendable {
    private let recipePath: String
    private let steps: Int
    private let overrides: [String]
    private let launcher: String
    private let program: String
    /// The layouts to measure.
    package let layouts: [RankLayout]

    /// - Throws: `Failure` if the recipe cannot be read or trained, or launch/mpirun is missing.
    package init(recipePath: String, steps: Int, overrides: [String]) throws(Failure) {
        let recipe = try Recipe(
            toml: readText(recipePath), name: recipePath, overrides: overrides)
        try StepBenchmark.requireVocabulary(recipe)
        layouts = try RankLayout.candidates(cores: UsableCores.here.count, recipe: recipe)
        self.recipePath = recipePath
        self.steps = steps
        self.overrides = overrides
        program = FileSystem.absolute("/proc/self/exe")
        guard let launcher = FileSystem.pathAboveProgram("launch/mpirun") else {
            throw .file(
                .missingInput, program, "has no launch/mpirun in a folder above it",
                remedy: "run the lockstep of a checkout or of a package")
        }
        self.launcher = launcher
    }

    /// Starts a job on a layout, and returns its speed.
    package func measure(_ layout: RankLayout) throws(Failure) -> LayoutResult {
        let process = Process()
        process.executableURL = URL(filePath: launcher)
        process.arguments =
            ["--ranks", "\(layout.ranks)", "--threads", "\(layout.threads)", "--", program]
            + ["bench", "step", recipePath, "--steps", "\(steps)", "--json"]
            + overrides.flatMap { ["--set", $0] }
        let (output, errors) = (Pipe(), Pipe())
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = errors
        let text: Data
        let messages: Data
        do {
            try process.run()
            messages = try errors.fileHandleForReading.readToEnd() ?? Data()
            text = try output.fileHandleForReading.readToEnd() ?? Data()
        } catch {
            throw .file(
                .inputOutput, launcher, "could not be started (\(error.localizedDescription))",
                remedy: "check that it is executable")
        }
        process.waitUntilExit()
        guard process.terminationStatus == 0,
            case .object(let report)? = try? JSONValue(parsing: text)
        else { throw Self.failure(of: layout, process.terminationStatus, messages) }
        func number(_ key: String) -> Double { report[key]?.number ?? 0 }
        return LayoutResult(
            layout: layout, tokensPerSecond: number("tokens_per_second"),
            stepSeconds: number("step_seconds"), hostGibibytes: number("planned_host_gib"))
    }

    private static func failure(
        of layout: RankLayout, _ status: Int32, _ messages: Data
    ) -> Failure {
        let last = String(decoding: messages, as: UTF8.self).split(separator: "\n").last ?? ""
        return .about(
            Failure.Code(rawValue: status) ?? .inputOutput,
            "\(Format.counted(layout.ranks, "rank")) x \(Format.counted(layout.threads, "thread"))",
            "failed with code \(status)", remedy: "see its last message: \(last)")
    }
}

// MARK: - Report

extension LayoutBenchmark {
    /// Returns the lines of a table of layouts, and the command line of the fastest.
    package func text(_ results: [LayoutResult]) -> [String] {
        guard let best = results.max(by: { $0.tokensPerSecond < $1.tokensPerSecond }) else {
            return []
        }
        var table = TextTable(
            ["ranks", "threads", "tokens/s", "of the best", "step ms", "host GiB"], leftColumns: 0)
        for result in results {
            table.add([
                "\(result.layout.ranks)", "\(result.layout.threads)",
                Format.count(Int(result.tokensPerSecond.rounded())),
                "\(Format.fixed(100 * result.tokensPerSecond / best.tokensPerSecond, decimals: 0)) %",
                Format.fixed(1000 * result.stepSeconds, decimals: 1),
                Format.fixed(result.hostGibibytes, decimals: 2),
            ])
        }
        return table.lines + ["", "fastest: \(command(best.layout))"]
    }

    /// The results and the best command line as JSON.
    package func json(_ results: [LayoutResult]) -> JSONValue {
        let best = results.max { $0.tokensPerSecond < $1.tokensPerSecond }
        return [
            "layouts": .array(
                results.map {
                    [
                        "ranks": .integer($0.layout.ranks), "threads": .integer($0.layout.threads),
                        "tokens_per_second": .number($0.tokensPerSecond),
                        "step_seconds": .number($0.stepSeconds),
                        "planned_host_gib": .number($0.hostGibibytes),
                    ]
                }),
            "command": best.map { .string(command($0.layout)) } ?? .null,
        ]
    }

    private func command(_ layout: RankLayout) -> String {
        "\(shellQuoted(launcher)) --ranks \(layout.ranks) --threads \(layout.threads) -- lockstep "
            + "train \(shellQuoted(recipePath)) --data DATA --out RUN"
            + overrides.map { " --set \(shellQuoted($0))" }.joined()
    }
}
