import Glibc
import Statistics
import Support

/// The tokens and steps that each batch takes from a checkpoint to the same loss: E and S of
/// McCandlish et al. 2018, "An Empirical Model of Large-Batch Training", section 2.4.
///
/// The loss is the highest at which one of the batches ends, so all of them reach it. Along the
/// curve of (E / Emin - 1) (S / Smin - 1) = 1, the tokens E = Emin + B L Smin are a line in the batch
/// B, with L tokens in a sequence, and Emin / (L Smin) is the critical batch in sequences.
package struct TokensAndSteps: Sendable {
    /// The tokens and steps that one batch takes to the target.
    package struct Row: Sendable {
        package let batch: Int
        /// The tokens after which the mean loss curve stays at or below the target.
        package let tokens: Double
        package let steps: Double
    }

    /// The validation loss, over the windows of the curves, that all batches reach.
    package let target: Double
    package let rows: [Row]
    /// The least number of tokens, Emin.
    package let leastTokens: Double
    /// The least number of steps, Smin.
    package let leastSteps: Double
    /// Emin / Smin in sequences; nil if the line does not allow one.
    package let criticalBatch: Estimate?

    /// The measurement, or a clause that states why there is none.
    package enum Outcome: Sendable {
        case measured(TokensAndSteps)
        case impossible(String)
    }

    /// The number of half-widths of the losses' interval that the fall must have. With less, noise
    /// could change the tokens by more than half.
    private static let clearFall = 2.0

    /// Measures the tokens and steps to the same loss.
    ///
    /// - Parameter groups: the repeats of each batch, in ascending order of batches, all finite.
    static func measure(_ groups: [[BranchResult]], design: BranchDesign) -> Outcome {
        guard !design.decays else {
            return .impossible(
                "with a decayed rate only the end of a branch is a result, so its curve does not "
                    + "show when it would have reached a loss")
        }
        let falling = groups.filter { group in
            let curve = meanCurve(group)
            return curve[curve.count - 1] < curve[0]
        }
        guard falling.count >= 3 else {
            return .impossible("it needs three batches that end below the loss at the checkpoint")
        }
        let batches = falling.map { $0[0].point.batch }
        let tokens = falling[0][0].curve.map { Double($0.tokens) }
        let curves = falling.map(meanCurve)
        guard let found = solve(curves, tokens: tokens, batches: batches) else {
            return .impossible("the loss is not above its end at any earlier point of a branch")
        }
        let ends = BlockedSample(falling.map { $0.map { $0.curve[$0.curve.count - 1].loss } })
        if let interval = ends.difference(of: 1, from: 0, level: CheckpointBranches.level).interval,
            curves[0][0] - found.target < clearFall * interval.width / 2
        {
            return .impossible(
                "the loss falls by only "
                    + Format.significant(curves[0][0] - found.target, digits: 2)
                    + " to the highest end of a branch, which is hardly more than the noise of "
                    + Format.significant(interval.width / 2, digits: 2))
        }
        let length = Double(design.contextLength)
        let rows = zip(batches, found.tokens).map { batch, tokens in
            Row(batch: batch, tokens: tokens, steps: tokens / (Double(batch) * length))
        }
        return .measured(
            TokensAndSteps(
                target: found.target, rows: rows, leastTokens: found.intercept,
                leastSteps: found.slope / length,
                criticalBatch: critical(falling, found, tokens: tokens, batches: batches)))
    }

    /// Returns Emin / Smin in sequences with the interval of a jackknife over the repeats.
    private static func critical(
        _ groups: [[BranchResult]], _ found: Solution, tokens: [Double], batches: [Int]
    ) -> Estimate? {
        guard found.slope > 0, found.intercept > 0 else { return nil }
        let value = found.intercept / found.slope
        guard groups[0].count >= 2 else { return Estimate(value) }
        let series = groups.flatMap { group in
            tokens.indices.map { mark in group.map { $0.curve[mark].loss } }
        }
        // In logarithms, because a ratio's errors are factors.
        let estimate = jackknife(series, level: CheckpointBranches.level) { means in
            let curves = batches.indices.map {
                Array(means[$0 * tokens.count..<($0 + 1) * tokens.count])
            }
            guard let found = solve(curves, tokens: tokens, batches: batches), found.slope > 0,
                found.intercept > 0
            else { return .nan }
            return log(found.intercept / found.slope)
        }
        return Estimate(value, interval: estimate?.interval.mapped { exp($0) })
    }

    /// Returns the mean loss of a batch's repeats at each point of their curves.
    private static func meanCurve(_ group: [BranchResult]) -> [Double] {
        group[0].curve.indices.map { mark in
            group.reduce(0) { $0 + $1.curve[mark].loss } / Double(group.count)
        }
    }

    private struct Solution {
        let target: Double
        /// The tokens of each batch.
        let tokens: [Double]
        /// The tokens of the line at a batch of 0, and per sequence of the batch.
        let intercept: Double
        let slope: Double
    }

    private static func solve(
        _ curves: [[Double]], tokens: [Double], batches: [Int]
    ) -> Solution? {
        let target = curves.map { $0[$0.count - 1] }.max() ?? .nan
        let reached = curves.compactMap { crossing(of: $0, tokens: tokens, target: target) }
        guard reached.count == curves.count, reached.allSatisfy({ $0 > 0 }),
            // The errors of tokens are factors.
            let line = linearLeastSquares(
                batches.map { [1, Double($0)] }, observations: reached,
                weights: reached.map { 1 / ($0 * $0) })
        else { return nil }
        return Solution(
            target: target, tokens: reached, intercept: line.parameters[0],
            slope: line.parameters[1])
    }

    /// Returns the tokens after which a curve stays at or below a loss, by linear interpolation;
    /// nil if it is never above the loss, or still above it at its end.
    static func crossing(of curve: [Double], tokens: [Double], target: Double) -> Double? {
        guard let last = curve.lastIndex(where: { $0 > target }), last + 1 < curve.count else {
            return nil
        }
        let part = (curve[last] - target) / (curve[last] - curve[last + 1])
        return tokens[last] + part * (tokens[last + 1] - tokens[last])
    }
}

extension TokensAndSteps {
    /// A sentence about the tokens, the steps and the critical batch.
    var sentence: String {
        func number(_ tokens: Double) -> String { Format.count(Int(tokens.rounded())) }
        let parts = rows.map {
            "batch \($0.batch) takes \(number($0.tokens)) tokens in "
                + "\(Format.significant($0.steps, digits: 3)) steps"
        }
        let reached = "To the loss \(Format.fixed(target, decimals: 4)), \(Format.list(parts))."
        guard leastSteps > 0 else {
            return "\(reached) The tokens do not grow with the batch, so none of these batches is "
                + "above the critical batch of this curve."
        }
        guard let criticalBatch else {
            return
                "\(reached) The tokens grow at least in proportion to the batch, so all of these "
                + "batches are above the critical batch of this curve."
        }
        let interval =
            criticalBatch.interval.map {
                "\(Self.sequences($0.lower)) to \(Self.sequences($0.upper)) at "
                    + CheckpointBranches.levelText
            } ?? "the repeats give no interval"
        return "\(reached) The line through them has Emin = \(number(leastTokens)) tokens and "
            + "Smin = \(Format.significant(leastSteps, digits: 3)) steps, a critical batch of "
            + "\(Self.sequences(criticalBatch.value)) (\(interval))."
    }

    /// Returns a number of sequences as text, rounded to two significant digits.
    private static func sequences(_ value: Double) -> String {
        guard value.isFinite, value >= 10, value < 1e15 else {
            return Format.significant(value, digits: 2)
        }
        let unit = pow(10, floor(log10(value)) - 1)
        return Format.count(Int((value / unit).rounded() * unit))
    }

    /// An explanation of why the two critical batches differ.
    static let twoCriticalBatches =
        "The two critical batches answer different questions: one is the largest batch tried whose "
        + "loss after equal tokens stays within the tolerance; the other, which takes twice the "
        + "least tokens to reach one loss, may be much larger."
}
