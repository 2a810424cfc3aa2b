import Recipes
import Statistics
import Support
import Training

/// The results of a step benchmark, as text and as JSON.
package struct StepReport: Sendable {
    let benchmark: StepBenchmark
    let plan: TrainingPlan
    let ranks: Int
    let threads: Int
    /// The measured steps, in order.
    let records: [StepRecord]
    /// The times of all ranks.
    let rankTimes: [RankTimes]
    /// The measured peak, in operations of the precision per second.
    let peakFlopsPerCore: Double
    let memory: MemoryPlan
    /// The largest peak memory of any rank.
    let residentBytes: Int
    /// The reason why ranks of a host share no memory although they could, or nil if they do.
    let notice: String?

    /// The median duration of a step.
    package var stepSeconds: Double { median(seconds) }
    /// The tokens per second of all ranks together.
    package var tokensPerSecond: Double { Double(plan.tokensPerStep) / stepSeconds }
    /// The floating-point operations per second of one rank, by the model's formula.
    package var flopsPerRank: Double {
        flopsPerToken * tokensPerSecond / Double(ranks)
    }
    private var flopsPerToken: Double {
        plan.recipe.model.flopsPerToken(sequenceLength: plan.sequenceLength)
    }
    /// The model FLOP/s utilization: the model's arithmetic as a share of the cores' peak
    /// (Chowdhery et al. 2022, appendix B).
    package var utilization: Double {
        flopsPerRank / (Double(threads) * peakFlopsPerCore)
    }

    /// The durations of the parts of a step on rank 0, as means over the steps.
    private var meanTimes: StepTimes { Self.mean(records) }

    /// Returns the mean durations of the parts of a step.
    static func mean(_ records: [StepRecord]) -> StepTimes {
        var sum = StepTimes()
        for record in records { sum.add(record.times) }
        return sum.divided(by: Double(records.count))
    }

    private var seconds: [Double] { records.map(\.times.total) }

    private var loss: Double { records.last?.loss ?? .nan }

    /// Returns the parts of a step, in order.
    private func parts(_ times: StepTimes) -> [(name: String, seconds: Double)] {
        [
            ("data", times[.data]), ("forward", times[.forward]), ("backward", times[.backward]),
            ("exposed reduce", times.exposedReduce), ("update", times[.update]),
            ("other", times.other),
        ]
    }
}

// MARK: - JSON

extension StepReport {
    /// The report as one line of JSON, with the fields that the peers in Tests/Peers print and
    /// additional ones.
    package var json: JSONObject {
        let times = meanTimes
        var object: JSONObject = [
            "peer": .string("lockstep \(version)"), "size": .string(benchmark.subject.name),
            "precision": .string(plan.recipe.training.precision.rawValue),
            "sequence_length": .integer(plan.sequenceLength),
            "ranks": .integer(ranks), "threads_per_rank": .integer(threads),
            "step_seconds": rounded(stepSeconds, 5),
            "tokens_per_second": rounded(tokensPerSecond, 1),
            "gflops_per_rank": rounded(flopsPerRank / 1e9, 1),
            "peak_rss_gib": gibibytes(residentBytes), "loss": rounded(loss, 4),
            "parameters": .integer(plan.recipe.model.parameterCount),
            "steps": .integer(records.count),
            "mean_step_seconds": rounded(times.total, 6),
            "step_seconds_deviation": rounded(robustDeviation(seconds), 6),
        ]
        for (name, seconds) in parts(times) {
            object[name.replacing(" ", with: "_") + "_seconds"] = rounded(seconds, 6)
        }
        object["rank_times"] = .array(rankTimes.map(\.json))
        object["planned_gib"] = gibibytes(memory.rankBytes)
        object["planned_host_gib"] = gibibytes(memory.hostBytes)
        if let notice { object["notice"] = .string(notice) }
        object["mfu"] = rounded(utilization, 4)
        object["peak_gflops_per_core"] = rounded(peakFlopsPerCore / 1e9, 1)
        object["overrides"] = .array(benchmark.overrides.map { .string($0) })
        object["recipe"] = .string(plan.recipe.tomlWithoutComments)
        return object
    }

    private func rounded(_ number: Double, _ decimals: Int) -> JSONValue {
        .number(Double(Format.fixed(number, decimals: decimals)) ?? number)
    }

    private func gibibytes(_ bytes: Int) -> JSONValue { rounded(Double(bytes) / 0x1p30, 3) }
}

// MARK: - A table

extension StepReport {
    /// The lines of the report.
    package var text: String {
        ([heading] + overrideLines + [""] + rates + [""] + breakdown + [""] + rankLines
            + memoryLines
            + (notice.map { ["ranks share no memory: \($0)"] } ?? [])).joined(separator: "\n")
    }

    private var heading: String {
        "\(benchmark.subject.name) in \(plan.recipe.training.precision.rawValue) on "
            + "\(Format.layout(ranks: ranks, threads: threads)): "
            + "\(Format.counted(plan.lanes.globalBatch, "sequence")) of \(plan.sequenceLength) tokens "
            + "per step, \(Format.counted(records.count, "step")) after "
            + "\(StepBenchmark.warmupSteps) warm-up steps"
    }

    private var overrideLines: [String] {
        benchmark.overrides.isEmpty ? [] : ["with \(benchmark.overrides.joined(separator: ", "))"]
    }

    private var rates: [String] {
        let cores = ranks * threads
        let unit = ranksYield ? "thread" : "core"
        return [
            "  speed    \(Format.rate(tokensPerSecond, of: "tokens"))",
            "  step     \(milliseconds(stepSeconds)) ms (median; from "
                + "\(milliseconds(seconds.min() ?? 0)) to \(milliseconds(seconds.max() ?? 0)))",
            "  MFU      \(Format.fixed(100 * utilization, decimals: 1)) % = tokens/s x (6 N + 12 L C T) "
                + "/ (\(unit)s x peak)",
            "           with 6 N + 12 L C T = \(Format.significant(flopsPerToken / 1e9, digits: 4)) GFLOP "
                + "per token, N without the position table,",
            "           \(Format.counted(cores, unit))\(ranksYield ? " on fewer cores" : "") and a measured "
                + "peak of "
                + "\(Format.fixed(peakFlopsPerCore / 1e9, decimals: 1)) GFLOP/s per \(unit) in "
                + "\(plan.recipe.training.precision.rawValue)",
            "  loss     \(Format.fixed(loss, decimals: 4))",
        ]
    }

    private var breakdown: [String] {
        let times = meanTimes
        let rows = parts(times) + [("step", times.total)]
        return ["  \(padded("part (mean, rank 0)", 20))\(aligned("ms", 12))\(aligned("%", 8))"]
            + rows.map { name, seconds in
                let share = Format.fixed(100 * seconds / times.total, decimals: 1)
                return
                    "  \(padded(name, 20))\(aligned(milliseconds(seconds), 12))\(aligned(share, 8))"
            }
    }

    /// The times of several ranks, and an empty line.
    private var rankLines: [String] {
        guard ranks > 1 else { return [] }
        let shown = RankTimes.shown(rankTimes)
        let title = shown.count < ranks ? "\(shown.count) busiest ranks" : "rank (mean)"
        return [
            "  \(padded(title, 20))\(aligned("lanes", 12))\(aligned("busy ms", 12))\(aligned("waiting ms", 12))"
        ]
            + shown.map { times in
                "  \(padded("\(times.rank) on \(times.host)", 20))\(aligned("\(times.lanes)", 12))"
                    + aligned(milliseconds(times.busySeconds), 12)
                    + aligned(milliseconds(times.waitingSeconds), 12)
            } + [""]
    }

    private var memoryLines: [String] {
        let rows =
            memory.parts.map { ($0.name, $0.bytes) }
            + [("planned", memory.rankBytes), ("resident at most", residentBytes)]
            + (ranks > 1 ? [("planned on a host", memory.hostBytes)] : [])
        return ["  \(padded("memory of a rank", 20))\(aligned("MiB", 12))"]
            + rows.map { name, bytes in
                let mebibytes = Format.fixed(Double(bytes) / 0x1p20, decimals: 1)
                return "  \(padded(name, 20))\(aligned(mebibytes, 12))"
            }
    }

    private func milliseconds(_ seconds: Double) -> String {
        Format.fixed(1000 * seconds, decimals: seconds < 1 ? 2 : 0)
    }

    private func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    private func aligned(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }
}
