import Statistics
import Support

/// The branches from one checkpoint, compared with one another.
package struct CheckpointBranches: Sendable {
    /// The relation of a batch's loss to that of the smallest batch, given the tolerance.
    package enum Standing: String, Sendable {
        /// The batch is the smallest with finite losses, with which the others are compared.
        case reference
        /// The interval of the difference ends below the tolerance.
        case within
        /// The interval of the difference begins above the tolerance.
        case above
        /// The interval contains the tolerance, or there is no interval.
        case undecided
        /// The losses of a repeat stopped being finite.
        case diverged
    }

    /// The branches of one batch.
    package struct Row: Sendable {
        package let batch: Int
        package let learningRate: Double
        package let steps: Int
        /// The loss of each repeat by which the batches are compared.
        package let losses: [Double]
        /// The mean training loss of the last tenth of the tokens.
        package let trainingLoss: Double
        /// The mean loss minus that of the reference; nil if the batch diverged.
        package let excess: Estimate?
        package let standing: Standing

        /// The mean of `losses`; not a number if a repeat diverged.
        package var loss: Double { losses.reduce(0, +) / Double(losses.count) }
    }

    /// The largest batch up to which the loss is at most the tolerance above the reference.
    package struct CriticalBatch: Sendable, Equatable {
        /// The largest batch before the first whose mean loss is above the tolerance.
        package let estimate: Int
        /// The largest batch before the first that is not certainly within the tolerance.
        package let least: Int
        /// The first batch that is certainly above the tolerance or diverged; nil if there is none.
        package let below: Int?
        /// Whether the estimate is the largest batch that was tried.
        package let isLargestTried: Bool
    }

    package let start: BranchDesign.Start
    /// The number of tokens that the run had trained on.
    package let tokensSeen: Int
    /// The batches in ascending order.
    package let rows: [Row]
    package let critical: CriticalBatch
    /// The mean loss at twice the run's batch minus that at the run's batch; nil if one of them
    /// was not tried or diverged.
    package let doubling: Estimate?
    /// The verdict on doubling the run's batch; nil if twice the batch was not tried.
    package let doublingStanding: Standing?
    package let efficiency: TokensAndSteps.Outcome
    private let design: BranchDesign

    /// The level of all intervals.
    package static let level = 0.95
    /// The level as text.
    static let levelText = "\(Format.significant(100 * level, digits: 3)) %"

    /// Compares the branches of a checkpoint.
    ///
    /// - Parameter results: the result of every branch of the checkpoint.
    package init(_ start: BranchDesign.Start, of design: BranchDesign, results: [BranchResult]) {
        self.start = start
        self.design = design
        tokensSeen = start.step * design.trunkBatch * design.contextLength
        let groups = design.batches.map { batch in
            results.filter { $0.point.batch == batch && $0.point.step == start.step }
                .sorted { $0.point.repetition < $1.point.repetition }
        }
        let finite = groups.filter { !$0.contains(where: \.hasDiverged) }
        let places = Dictionary(
            uniqueKeysWithValues: finite.enumerated().map { ($1[0].point.batch, $0) })
        func losses(_ group: [BranchResult]) -> [Double] {
            group.map { $0.comparedLoss(decays: design.decays) }
        }
        let sample = finite.isEmpty ? nil : BlockedSample(finite.map(losses))
        func difference(_ batch: Int, _ other: Int) -> Estimate? {
            guard let sample, let place = places[batch], let reference = places[other] else {
                return nil
            }
            return sample.difference(of: place, from: reference, level: Self.level)
        }
        let tolerance = design.tolerance
        let reference = finite.first?[0].point.batch
        rows = groups.map { group in
            let batch = group[0].point.batch
            let excess = reference.flatMap { difference(batch, $0) }
            return Row(
                batch: batch, learningRate: group[0].learningRate, steps: group[0].steps,
                losses: group.contains(where: \.hasDiverged)
                    ? group.map { _ in .nan } : losses(group),
                trainingLoss: group.reduce(0) { $0 + $1.trainingLoss } / Double(group.count),
                excess: excess,
                standing: batch == reference
                    ? .reference : Self.standing(of: excess, tolerance: tolerance))
        }
        critical = Self.criticalBatch(rows, tolerance: tolerance)
        let double = 2 * design.trunkBatch
        doubling = difference(double, design.trunkBatch)
        doublingStanding =
            design.batches.contains(double)
            ? Self.standing(of: doubling, tolerance: tolerance) : nil
        efficiency = TokensAndSteps.measure(finite, design: design)
    }

    /// Whether at least two batches have finite losses.
    package var allowsComparison: Bool { rows.count { $0.excess != nil } >= 2 }

    private static func standing(of excess: Estimate?, tolerance: Double) -> Standing {
        guard let excess else { return .diverged }
        guard let interval = excess.interval else { return .undecided }
        if interval.upper <= tolerance { return .within }
        return interval.lower > tolerance ? .above : .undecided
    }

    private static func criticalBatch(_ rows: [Row], tolerance: Double) -> CriticalBatch {
        let isFine = rows.prefix { $0.excess.map { $0.value <= tolerance } ?? false }
        let isCertain = rows.prefix { $0.standing == .reference || $0.standing == .within }
        // Without a finite loss at the smallest batch, nothing is known below it.
        let smallest = rows[0].batch
        return CriticalBatch(
            estimate: isFine.last?.batch ?? smallest, least: isCertain.last?.batch ?? smallest,
            below: rows.first { $0.standing == .above || $0.standing == .diverged }?.batch,
            isLargestTried: isFine.count == rows.count)
    }
}

// MARK: - Sentences

extension CheckpointBranches {
    /// The mark of a checkpoint that does not count for a batch warmup; empty for the others.
    var mark: String { start.phase == .training ? "" : "*" }

    /// The reason why the checkpoint does not count for a batch warmup; nil if it does.
    package var phaseSentence: String? {
        let reason =
            switch start.phase {
            case .training: ""
            case .decay:
                "its rate has decayed to \(Format.scientific(start.learningRate, digits: 2)), which "
                    + "by itself allows larger batches"
            case .end: "the run has no steps left there"
            }
        guard start.phase != .training else { return nil }
        return
            "\(mark) Step \(Format.count(start.step)) does not count for a batch warmup: \(reason)."
    }

    /// The critical batch with its uncertainty.
    package var criticalSentence: String {
        let step = "At step \(Format.count(start.step))\(mark),"
        guard let first = rows.first, first.standing == .reference else {
            return "\(step) the smallest batch diverged, so there is no critical batch to state."
        }
        let estimate =
            critical.isLargestTried
            ? "at least \(critical.estimate), the largest tried" : "\(critical.estimate)"
        guard design.repeats > 1 else {
            return "\(step) the critical batch is \(estimate), from one branch per batch and "
                + "without intervals; more repeats give intervals."
        }
        let below = critical.below.map { "below \($0)" }
        let percent = Self.levelText
        let least =
            critical.least > first.batch || critical.estimate > critical.least
            ? "at least \(critical.least)" : nil
        let bounds = [least, below].compactMap(\.self)
        return "\(step) the critical batch is \(estimate)"
            + (bounds.isEmpty
                ? "; no bound is certain at \(percent)."
                : " (\(Format.list(bounds)) at \(percent)).")
    }

    /// The verdict on doubling the run's batch.
    package var doublingSentence: String {
        let batch = design.trunkBatch
        let step = "at step \(Format.count(start.step))\(mark)"
        let subject = "Doubling the batch from \(batch) to \(2 * batch) \(step)"
        let tolerance = "the tolerance of \(Format.significant(design.tolerance, digits: 3))"
        guard let standing = doublingStanding else {
            return "\(subject) was not tried; add 2 to --batches."
        }
        guard !(rows.first { $0.batch == batch }?.standing == .diverged) else {
            return "\(subject) cannot be judged: the branch with the run's batch diverged."
        }
        guard let doubling else { return "\(subject) is not safe: a branch diverged." }
        let amount = Format.fixed(doubling.value.magnitude, decimals: 4)
        let interval = doubling.interval.map {
            " (\(Format.fixed($0.lower, decimals: 4)) to \(Format.fixed($0.upper, decimals: 4)) "
                + "at \(Self.levelText))"
        }
        let loss =
            "the loss ends \(amount) \(doubling.value > 0 ? "higher" : "lower")\(interval ?? "")"
        switch standing {
        case .within, .reference: return "\(subject) is safe: \(loss), within \(tolerance)."
        case .above, .diverged: return "\(subject) is not safe: \(loss), above \(tolerance)."
        case .undecided:
            return doubling.interval == nil
                ? "\(subject) is undecided: \(loss) in one repeat, and \(tolerance) may be smaller "
                    + "than the noise; give --repeats 3."
                : "\(subject) is undecided: \(loss), and the interval contains \(tolerance); more "
                    + "repeats narrow it."
        }
    }
}
