import Verdicts

/// The runs that differ only in their seeds.
struct SeedRepeats {
    /// Whether all runs have the same losses with each of their seeds.
    ///
    /// Such runs are copies of one another. Taken as repeats, they would show that the runs have no
    /// noise, whereas nothing is known about it.
    let areCopies: Bool

    static let note =
        "The seeds had no effect: every run has the same losses with all of its seeds, so the copies "
        + "count as one run and the noise is unknown. Probably one run was copied, or the seed is "
        + "unused; let it change the initialization and the order of the data, and train the runs "
        + "of further seeds again."

    /// The least number of repeated runs that can show this, because losses with few digits may
    /// agree by chance.
    private static let fewestRuns = 3

    /// Creates the repeats among the runs of each model.
    init(_ models: [[TrainedPoint]]) {
        let groups = models.flatMap(Self.groups).filter { $0.count > 1 }
        areCopies =
            groups.count { !$0[0].curve.isEmpty } >= Self.fewestRuns
            && groups.allSatisfy { group in
                group.allSatisfy {
                    $0.curve == group[0].curve && $0.diverged == group[0].diverged
                }
            }
    }

    /// Returns the first run of each group of copies, in the order of the runs.
    static func withoutCopies(_ points: [TrainedPoint]) -> [TrainedPoint] {
        var known: Set<Setting> = []
        return points.filter { known.insert(Setting($0)).inserted }
    }

    private static func groups(_ points: [TrainedPoint]) -> [[TrainedPoint]] {
        Array(Dictionary(grouping: points, by: Setting.init).values)
    }

    /// The values that runs have in common if they differ only in their seeds.
    private struct Setting: Hashable {
        let rule: String
        let batch: Int
        let rate: Double

        init(_ point: TrainedPoint) {
            (rule, batch, rate) = (point.rule, point.batch, point.learningRate)
        }
    }
}
