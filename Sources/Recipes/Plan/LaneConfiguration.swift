import Support

/// The division of the global batch into lanes and micro-batches. It depends only on the recipe,
/// except for the default lane count of a run on more than eight ranks.
package struct LaneConfiguration: Sendable, Equatable {
    /// The number of sequences in one optimizer step, over all ranks.
    package let globalBatch: Int
    /// The number of lanes, which is also the maximum number of ranks.
    package let laneCount: Int
    /// The number of sequences that go through the model at once.
    package let microBatch: Int

    /// The number of sequences in one lane.
    package var sequencesPerLane: Int { globalBatch / laneCount }
    /// The number of micro-batches that one lane accumulates.
    package var microBatchesPerLane: Int { sequencesPerLane / microBatch }

    /// Returns the sequences of a lane, as positions in the global batch.
    package func sequences(ofLane lane: Int) -> Range<Int> {
        lane * sequencesPerLane..<(lane + 1) * sequencesPerLane
    }

    /// Resolves a recipe's numbers, in sequences, for a number of ranks.
    ///
    /// If `lanes` is 0, the lane count is the smallest divisor of the global batch that is at least
    /// eight and at least the number of ranks; the global batch itself if it is below eight. More
    /// than eight ranks get the same number of lanes each, and at least two, if the batch allows
    /// it, so that lanes can move away from slow ranks. If `microBatch` is 0, a micro-batch is a
    /// whole lane.
    ///
    /// - Throws: `Failure` (configuration) that names the nearest values that would work.
    package init(
        globalBatch: Int, lanes: Int = 0, microBatch: Int = 0, ranks: Int
    ) throws(Failure) {
        precondition(ranks >= 1, "a run has at least one rank")
        try require(
            globalBatch >= 1,
            or: .key(
                "[training] global_batch", globalBatch, "must be at least one sequence",
                remedy: "set it to 1 or more"))
        self.globalBatch = globalBatch
        laneCount = try Self.resolve(lanes: lanes, globalBatch: globalBatch, ranks: ranks)
        let sequencesPerLane = globalBatch / laneCount
        self.microBatch = microBatch == 0 ? sequencesPerLane : microBatch
        try require(
            microBatch >= 0 && sequencesPerLane % self.microBatch == 0,
            or: .key(
                "[training] micro_batch", microBatch,
                "does not divide a lane, which has \(sequencesPerLane) of the \(globalBatch) sequences",
                remedy: "set micro_batch to "
                    + "\(Self.nearestDivisors(of: sequencesPerLane, to: microBatch)), or to 0 for a "
                    + "whole lane"))
    }

    private static func resolve(
        lanes: Int, globalBatch: Int, ranks: Int
    ) throws(Failure) -> Int {
        if lanes == 0 {
            let suitable = divisors(of: globalBatch).filter { $0 >= max(8, ranks) }
            let movable = suitable.first { $0 >= 2 * ranks && $0 % ranks == 0 }
            if let count = ranks > 8 ? movable ?? suitable.first : suitable.first { return count }
            if ranks <= globalBatch { return globalBatch }
            throw tooManyRanks(ranks, lanes: globalBatch, globalBatch: globalBatch)
        }
        guard lanes > 0, globalBatch % lanes == 0 else {
            var batches = ""
            if lanes > 0 {
                let above = (globalBatch / lanes + 1) * lanes
                let below = above - lanes
                batches = ", or global_batch to \(below > 0 ? "\(below) or " : "")\(above)"
            }
            throw Failure.key(
                "[reduction] lanes", lanes, "does not divide global_batch = \(globalBatch)",
                remedy: "set lanes to \(nearestDivisors(of: globalBatch, to: lanes))\(batches)")
        }
        guard ranks <= lanes else {
            throw tooManyRanks(ranks, lanes: lanes, globalBatch: globalBatch)
        }
        return lanes
    }

    /// Returns the failure for too many ranks. Its remedy names the lanes, and if necessary the
    /// batch, with which this many ranks would work.
    private static func tooManyRanks(_ ranks: Int, lanes: Int, globalBatch: Int) -> Failure {
        let divisor = divisors(of: globalBatch).first { $0 >= ranks }
        let enough =
            divisor.map { "set lanes to \($0)" } ?? "set global_batch and lanes to \(ranks)"
        return .about(
            .configuration, Format.counted(ranks, "rank"),
            "are more than the \(Format.counted(lanes, "lane")) into which global_batch = "
                + "\(globalBatch) is divided",
            remedy: "start at most \(Format.counted(lanes, "rank")), or \(enough)")
    }

    /// Returns the nearest divisors below and above a number as text, such as "4" or "4 or 6".
    private static func nearestDivisors(of number: Int, to wanted: Int) -> String {
        let all = divisors(of: number)
        let near = [all.last { $0 < wanted }, all.first { $0 > wanted }].compactMap { $0 }
        return near.map(String.init).joined(separator: " or ")
    }

    /// Returns the divisors of a number in ascending order.
    package static func divisors(of number: Int) -> [Int] {
        let small = (1...number).prefix { $0 * $0 <= number }.filter { number % $0 == 0 }
        return small + small.reversed().map { number / $0 }.filter { $0 != small.last }
    }
}
