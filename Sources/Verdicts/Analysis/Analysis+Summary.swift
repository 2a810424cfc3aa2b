import Report
import Support

extension Analysis {
    /// All findings as plain text for a terminal, with tables as wide as their cells.
    package var summary: String { ([terms] + findings).joined(separator: "\n") }

    /// The lines of the summary after the terms.
    private var findings: [String] { designs.flatMap { [""] + $0.summary } }

    /// The summary without the terms, to follow a summary that explains them.
    package var summaryWithoutTerms: String {
        findings.dropFirst().joined(separator: "\n")
    }

    /// The meaning of the terms.
    private var terms: String {
        let percent = Format.significant(100 * level, digits: 3)
        let symbols = "Intervals are at \(percent) %. B is the global batch in sequences."
        let rules = [
            "\(symbols) A rule scales the best rate of the base batch,",
            "B = \(baseBatch). Its regret is the loss at its rate minus the loss at the best rate. "
                + "A rule holds at a batch if the",
            "whole interval of its regret is at most "
                + "\(Format.significant(tolerance, digits: 3)) nats, and fails if the whole "
                + "interval is above;",
            "otherwise it is undecided.",
        ]
        return designs.allSatisfy(\.hasOneBatch) ? symbols : rules.joined(separator: "\n")
    }
}

extension DesignAnalysis {
    /// The lines of the summary.
    fileprivate var summary: [String] {
        ["By \(design.name): \(sentence)"]
            + [hasOneBatch ? nil : bestGuess, nextRuns?.sentence ?? settledSentence]
            .compactMap { $0.map { "  " + $0 } }
            + lines(optimaTable, hasOneBatch ? [] : [exponentSentence])
            + (hasOneBatch ? [] : rulesAndLaws)
            + lines(sensitivityTable, [])
            + (repeatsTargets
                ? ["", Self.sameTargets] : targets.flatMap { lines($0.table, $0.sentences) })
    }

    /// The lines about the rules and about the laws of the best rate.
    private var rulesAndLaws: [String] {
        lines(regretTable, verdicts.map(\.sentence) + (trainedElsewhere.map { [$0] } ?? []))
            + (fittedVerdicts.isEmpty
                ? [] : lines(fittedRegretTable, fittedVerdicts.map(\.sentence)))
            + lines(lawTable, [lawSentence, refusedLaws].compactMap(\.self))
    }

    /// The sentence that replaces the tables of target losses if they would repeat the first
    /// design's.
    package static let sameTargets =
        "The steps, tokens and times to each target loss are the same as above."

    /// Returns the lines of a table under its caption and of the sentences about it.
    private func lines(_ table: Table, _ sentences: [String]) -> [String] {
        let rows = table.rows.isEmpty ? [] : table.lines
        return rows.isEmpty && sentences.isEmpty
            ? [] : ["", table.caption] + (rows + sentences).map { "  " + $0 }
    }
}
