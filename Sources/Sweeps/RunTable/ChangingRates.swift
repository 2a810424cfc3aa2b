import Support

/// The rows of one batch and seed, which may be those of one run whose rate changes.
///
/// The log of such a run has the rate of each step, so that every row would count as a run of its
/// own.
struct ChangingRates {
    /// The fewest rates that show a change, and the factor from the first step to the last beyond
    /// which runs of different rates could not be compared.
    private static let (fewestRates, span) = (3, 1.5)

    /// Checks that a table is not the log of runs whose rates change.
    ///
    /// - Throws: `Failure` (bad data) if no rows of a batch and seed have several rates at one step,
    ///   although their steps are far apart.
    static func refuse(_ rows: [RunRow], path: String) throws(Failure) {
        let groups = Dictionary(grouping: rows.filter { $0.loss != nil && !$0.isStart }) { row in
            Group(model: row.model, rule: row.rule, batch: row.batch, seed: row.seed)
        }.values.filter { Set($0.map(\.learningRate)).count >= fewestRates }
        guard let first = groups.min(by: { $0[0].line < $1[0].line }),
            let other = first.first(where: { $0.learningRate != first[0].learningRate }),
            groups.allSatisfy(isOneRun)
        else { return }
        throw .file(
            .badData, path,
            "line \(other.line): has another rate than line \(first[0].line) at another step of "
                + "batch \(first[0].batch) and seed \(first[0].seed), and so on, as in the log of a "
                + "run whose rate changes",
            remedy: "write the peak rate of a run into all of its rows")
    }

    private static func isOneRun(_ rows: [RunRow]) -> Bool {
        let marks = rows.compactMap { $0.step ?? $0.tokens }.sorted()
        guard let first = marks.first, let last = marks.last, Set(marks).count == marks.count else {
            return false
        }
        return Double(last) > span * Double(first)
    }

    /// The values that the rows of a run have in common.
    private struct Group: Hashable {
        let model: RunModel
        let rule: String
        let batch: Int
        let seed: UInt64
    }
}
