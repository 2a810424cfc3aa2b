import Recipes
import Support

extension ClusterPlan {
    /// The plan as tables and sentences.
    package var text: String {
        (heading + [""] + costTable.lines + [""] + rateTable.lines + [""] + sentences)
            .joined(separator: "\n")
    }

    private var heading: [String] {
        let (step, network) = (request.step, request.network)
        let batch =
            request.sequencesPerRank.map { "\(Format.counted($0, "sequence")) per rank" }
            ?? "a global batch of \(Format.counted(request.recipe.training.globalBatch, "sequence"))"
        let model = request.recipe.model
        return [
            "a model of \(Format.counted(model.parameterCount, "parameter")), for which peak rates of "
                + "\(model.typicalRateText) are typical with Adam or AdamW",
            "\(batch) of \(request.recipe.model.contextLength) tokens, "
                + "\(Format.counted(request.ranksPerHost, "rank")) per host x "
                + "\(Format.counted(step.threads, "thread")), network \(network.name)",
            "measured step: \(Self.milliseconds(step.seconds)) ms for "
                + "\(Format.count(step.tokens)) tokens per rank on "
                + "\(Format.counted(step.ranks, "rank")), \(Self.milliseconds(step.reduction)) ms "
                + "of it in the reduction",
        ]
    }

    private var costTable: TextTable {
        let executed = request.executes ? ["executed ms"] : []
        var table = TextTable(
            ["ranks", "hosts", "step ms"] + executed + [
                "exposed ms", "tokens/s", "efficiency", "memory", "batch", "tokens", "hours",
                "core-hours",
            ], leftColumns: 0)
        for row in rows {
            let executed =
                request.executes ? [row.executedSeconds.map(Self.milliseconds) ?? "-"] : []
            table.add(
                [
                    Format.count(row.ranks), Format.count(row.hosts),
                    Self.milliseconds(row.stepSeconds),
                ] + executed + [
                    Self.milliseconds(row.exposedSeconds),
                    Self.whole(row.tokensPerSecond),
                    Format.fixed(row.efficiency, decimals: 3), Format.bytes(row.rankBytes),
                    Format.count(row.globalBatch), Format.significant(row.tokens, digits: 3),
                    Format.significant(row.hours, digits: 3),
                    Format.significant(row.coreHours, digits: 3),
                ])
        }
        return table
    }

    /// The peak rates by each rule; only one row if all batches are equal.
    private var rateTable: TextTable {
        var table = TextTable(["batch"] + rules.map { "rate by \($0.rawValue)" }, leftColumns: 0)
        for row in request.sequencesPerRank == nil ? Array(rows.prefix(1)) : rows {
            table.add(
                [Format.count(row.globalBatch)]
                    + row.rates.map { $0.map { Format.significant($0, digits: 3) } ?? "-" })
        }
        return table
    }

    private var sentences: [String] {
        var sentences: [String] = []
        if let (row, next, gain) = lastWorthwhile {
            sentences.append(
                "Beyond \(Format.counted(row.ranks, "rank")), more ranks do not pay: "
                    + "\(Format.count(next.ranks)) would be "
                    + "\(Format.fixed(100 * gain, decimals: 0)) % faster, at "
                    + "\(Format.significant(next.coreHours / row.coreHours, digits: 3)) times the core-hours."
            )
        } else if let last = rows.last {
            sentences.append(
                "More ranks pay up to \(Format.count(last.ranks)), the most that are planned.")
        }
        if let criticalSentence { sentences.append(criticalSentence) }
        if let limit { sentences.append("No larger layout is possible: \(limit.sentence)") }
        let variation = request.step.deviation / request.step.seconds
        if variation > Self.usualVariation {
            sentences.append(
                "The measured steps vary by \(Format.fixed(100 * variation, decimals: 0)) %, so waits "
                    + "for the slowest rank are a large part of the plan; measure on idle cores for a "
                    + "better one.")
        }
        if request.step.ranks != request.ranksPerHost {
            sentences.append(
                "The step was measured on \(Format.counted(request.step.ranks, "rank")), but a host has "
                    + "\(request.ranksPerHost), which share its memory bandwidth; measure on "
                    + "\(request.ranksPerHost) for a better plan.")
        }
        return sentences
    }

    /// The relation of the batches to the critical batch; nil if it is unknown and all are equal.
    private var criticalSentence: String? {
        guard let critical = request.criticalBatch else {
            return request.sequencesPerRank == nil
                ? nil
                : "The critical batch is unknown, so every batch is assumed to need as many tokens; "
                    + "give --critical-batch or --run."
        }
        let text = "the critical batch of \(Format.significant(critical, digits: 4)) sequences"
        guard let criticalRanks else {
            let batch = request.recipe.training.globalBatch
            let side = Double(batch) > critical ? "exceeds" : "does not exceed"
            return "The batch of \(Format.counted(batch, "sequence")) \(side) \(text)."
        }
        return "Beyond \(Format.counted(criticalRanks, "rank")), the batch exceeds \(text)."
    }

    /// The standard deviation of steps relative to their median on a machine that does nothing else.
    private static let usualVariation = 0.05

    private static func whole(_ number: Double) -> String {
        number < 1e15
            ? Format.count(Int(number.rounded())) : Format.significant(number, digits: 3)
    }

    private static func milliseconds(_ seconds: Double) -> String {
        Format.fixed(1000 * seconds, decimals: seconds < 1 ? 2 : 0)
    }

    /// The plan as JSON.
    package var json: JSONObject {
        let model = request.recipe.model
        var object: JSONObject = [
            "schema": .integer(1), "network": .string(request.network.name),
            "parameters": .integer(model.parameterCount),
            "typical_rates": .array(
                [model.typicalRates.lowerBound, model.typicalRates.upperBound].map { .number($0) }),
            "ranks_per_host": .integer(request.ranksPerHost),
            "threads_per_rank": .integer(request.step.threads),
            "sequences_per_rank": request.sequencesPerRank.map { .integer($0) } ?? .null,
            "critical_batch": request.criticalBatch.map { .number($0) } ?? .null,
            "critical_ranks": criticalRanks.map { .integer($0) } ?? .null,
            "last_worthwhile_ranks": lastWorthwhile.map { .integer($0.row.ranks) } ?? .null,
            "rows": .array(rows.map { .object(json($0)) }),
        ]
        object["limit"] = limit.map { .string($0.sentence) }
        return object
    }

    private func json(_ row: Row) -> JSONObject {
        var rates = JSONObject()
        for (rule, rate) in zip(rules, row.rates) {
            rates[rule.rawValue] = rate.map { .number($0) } ?? .null
        }
        var object: JSONObject = [
            "ranks": .integer(row.ranks), "hosts": .integer(row.hosts),
            "global_batch": .integer(row.globalBatch), "step_seconds": .number(row.stepSeconds),
            "exposed_seconds": .number(row.exposedSeconds),
            "straggler_seconds": .number(row.stragglerSeconds),
            "tokens_per_second": .number(row.tokensPerSecond),
            "efficiency": .number(row.efficiency), "rank_bytes": .integer(row.rankBytes),
            "tokens": .number(row.tokens), "hours": .number(row.hours),
            "core_hours": .number(row.coreHours), "learning_rates": .object(rates),
        ]
        object["executed_seconds"] = row.executedSeconds.map { .number($0) }
        return object
    }
}
