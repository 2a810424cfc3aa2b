import Report
import Support

extension Analysis {
    /// Everything in plain text, with tables as wide as their cells, for a terminal.
    package var summary: String {
        let percent = Format.significant(100 * level, digits: 3)
        let head = [
            "Intervals are at \(percent) %. Rules scale each seed's best rate at the base batch "
                + "B = \(baseBatch); a rule holds while its",
            "regret, the loss above the best rate's, is at most "
                + "\(Format.significant(tolerance, digits: 3)) nats. B is in sequences.",
        ]
        return (head + designs.flatMap { [""] + $0.summary }).joined(separator: "\n")
    }
}

extension DesignAnalysis {
    /// Lines.
    fileprivate var summary: [String] {
        ["By \(design.name): \(sentence)"]
            + lines(optimaTable, [exponent.sentence])
            + lines(
                regretTable, verdicts.map(\.sentence) + (trainedElsewhere.map { [$0] } ?? []))
            + lines(lawTable, [lawSentence, refusedLaws].compactMap(\.self))
            + lines(sensitivityTable, [])
            + (repeatsTargets
                ? ["", Self.sameTargets] : targets.flatMap { lines($0.table, $0.sentences) })
    }

    /// In the place of tables that would say the same again.
    static let sameTargets = "Steps, tokens and time to a loss are those above."

    /// A table under its title, and what is to be said of it.
    private func lines(_ table: Table, _ sentences: [String]) -> [String] {
        ["", table.caption] + (table.lines + sentences).map { "  " + $0 }
    }
}
