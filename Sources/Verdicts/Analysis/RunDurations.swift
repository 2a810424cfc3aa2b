import Statistics

/// The typical durations of a sweep's finished runs.
///
/// The duration of a step is the median over all runs of its batch. The rate and the seed do not
/// affect it, but other work of the machine may slow down some runs. The rest of a run, which is its
/// start, its evaluations and its end, is the median difference between the durations of whole runs
/// and of their steps.
package struct RunDurations: Sendable {
    /// The duration of a step by batch.
    private let steps: [Int: Double]
    /// The duration of a whole run by batch.
    private let runs: [Int: Double]
    /// The number of groups that train at the same time; nil if it is unknown.
    package let groups: Int?

    /// Creates the durations of runs.
    ///
    /// If the durations of whole runs are known for some batches only, the rest of a run is assumed
    /// to take the same time at the others.
    package init(_ points: [TrainedPoint], groups: Int? = nil) {
        self.groups = groups
        var (steps, counts, rests) = ([Int: Double](), [Int: Double](), [Int: Double]())
        for (batch, points) in Dictionary(grouping: points, by: \.batch) {
            // Those runs whose whole duration is known were trained on the latest layout.
            let latest = points.filter { $0.seconds != nil }
            let timed = latest.isEmpty ? points : latest
            let positive = timed.map(\.secondsPerStep).filter { $0 > 0 }
            if !positive.isEmpty { steps[batch] = median(positive) }
            // A run that diverges may end early.
            let whole = points.filter { !$0.diverged }
            let ended = whole.isEmpty ? points : whole
            counts[batch] = median(ended.map(\.stepCount))
            let own = ended.compactMap { point in
                point.seconds.map { $0 - point.secondsPerStep * point.stepCount }
            }
            if !own.isEmpty { rests[batch] = median(own) }
        }
        self.steps = steps
        let usualRest = rests.isEmpty ? 0 : median(rests.values.sorted())
        runs = counts.reduce(into: [:]) { runs, batch in
            guard steps[batch.key] != nil || rests[batch.key] != nil else { return }
            runs[batch.key] =
                (steps[batch.key] ?? 0) * batch.value + (rests[batch.key] ?? usualRest)
        }
    }

    /// Returns the duration of a step of a batch, or nil if it is unknown.
    func secondsPerStep(ofBatch batch: Int) -> Double? { steps[batch] }

    /// Returns the duration of a batch's run, or nil if it is unknown.
    package func seconds(ofBatch batch: Int) -> Double? {
        runs[batch].flatMap { $0 > 0 ? $0 : nil }
    }

    /// Returns the duration of all runs if one is trained at a time, or nil if the duration of some
    /// run is unknown.
    func seconds(_ sets: [RunSet]) -> Double? {
        durations(sets.flatMap(\.batchOfEachRun))?.reduce(0, +)
    }

    /// Returns the duration of all runs on the sweep's layout, or nil if it is unknown.
    package func secondsOnLayout(_ runs: [PlannedRun]) -> Double? {
        secondsOnLayout(batches: runs.map(\.batch))
    }

    /// Returns the duration of all runs on the sweep's layout, or nil if it is unknown.
    func secondsOnLayout(_ sets: [RunSet]) -> Double? {
        secondsOnLayout(batches: sets.flatMap(\.batchOfEachRun))
    }

    /// Returns the duration of runs if every group trains one at a time and takes the next one when
    /// it is free, or nil if the number of groups or the duration of some run is unknown.
    private func secondsOnLayout(batches: [Int]) -> Double? {
        guard let groups, let durations = durations(batches) else { return nil }
        var ends = [Double](repeating: 0, count: max(1, groups))
        for duration in durations {
            let free = ends.indices.min { ends[$0] < ends[$1] } ?? 0
            ends[free] += duration
        }
        return ends.max()
    }

    private func durations(_ batches: [Int]) -> [Double]? {
        let known = batches.compactMap(seconds(ofBatch:))
        return known.count == batches.count ? known : nil
    }
}

extension TrainedPoint {
    /// The number of steps up to the last evaluation.
    fileprivate var stepCount: Double { Double(curve.last?.step ?? 0) }
}

extension RunSet {
    /// The batch of every run.
    fileprivate var batchOfEachRun: [Int] {
        batches.flatMap { [Int](repeating: $0, count: count / batches.count) }
    }
}
