import Statistics

/// The mean durations of a sweep's finished runs.
package struct RunDurations: Sendable {
    /// The mean duration of a run by batch.
    private let means: [Int: Double]
    /// The number of groups that train at the same time; nil if it is unknown.
    package let groups: Int?

    /// Averages the durations of runs.
    ///
    /// The durations of a batch include evaluations if those of any of its runs do.
    package init(_ points: [TrainedPoint], groups: Int? = nil) {
        self.groups = groups
        means = Dictionary(grouping: points, by: \.batch).mapValues { points in
            // A run that diverges may end early.
            let whole = points.filter { !$0.diverged }
            let runs = whole.isEmpty ? points : whole
            let known = runs.compactMap(\.seconds)
            let steps = runs.map { $0.secondsPerStep * Double($0.curve.last?.step ?? 0) }
            return Sample(known.isEmpty ? steps : known).mean
        }
    }

    /// Returns the duration of a batch's run, or nil if it is unknown.
    package func seconds(ofBatch batch: Int) -> Double? {
        means[batch].flatMap { $0 > 0 ? $0 : nil }
    }

    /// Returns the duration of all runs if one is trained at a time, or nil if the duration of some
    /// run is unknown.
    func seconds(_ sets: [RunSet]) -> Double? {
        var total = 0.0
        for set in sets {
            for batch in set.batches {
                guard let seconds = seconds(ofBatch: batch) else { return nil }
                total += seconds * Double(set.count / set.batches.count)
            }
        }
        return total
    }

    /// Returns the duration of all runs on the sweep's layout, or nil if it is unknown.
    package func secondsOnLayout(_ runs: [PlannedRun]) -> Double? {
        secondsOnLayout(RunSet.sets(of: runs))
    }

    /// Returns the duration of all runs if every group trains one at a time, or nil if the number
    /// of groups or the duration of some run is unknown.
    func secondsOnLayout(_ sets: [RunSet]) -> Double? {
        guard let groups, let total = seconds(sets) else { return nil }
        let longest = sets.flatMap(\.batches).compactMap(seconds(ofBatch:)).max() ?? 0
        return max(total / Double(groups), longest)
    }
}
