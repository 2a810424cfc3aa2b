import Support

/// The quantity that is held equal when batches are compared. Its value, the mark, is the point of
/// a run's curve at which the run is judged.
///
/// The two designs answer different questions. At equal tokens a larger batch takes fewer steps. A
/// rate in proportion to the batch then keeps the product of rate and steps constant, so the linear
/// rule looks better than at equal steps. A fair report contains both.
package enum Design: Sendable, Hashable {
    /// Every run is judged after this many tokens.
    case equalTokens(Int)
    /// Every run is judged after this many steps.
    case equalSteps(Int)

    /// Returns equal tokens and equal steps, each at the furthest mark that at least one run of
    /// every batch reaches.
    package static func furthest(in points: [TrainedPoint]) -> [Design] {
        func reach(_ mark: (CurvePoint) -> Int) -> Int {
            let byBatch = Dictionary(grouping: points.filter { !$0.diverged }, by: \.batch)
            return byBatch.values.map { runs in
                runs.compactMap { $0.curve.last.map(mark) }.max() ?? 0
            }.min() ?? 0
        }
        return [.equalTokens(reach(\.tokens)), .equalSteps(reach(\.step))]
    }

    /// The design in words, such as "equal tokens (4,096)".
    package var name: String {
        switch self {
        case .equalTokens(let tokens): "equal tokens (\(Format.count(tokens)))"
        case .equalSteps(let steps): "equal steps (\(Format.count(steps)))"
        }
    }

    /// "tokens" or "steps".
    package var unit: String {
        switch self {
        case .equalTokens: "tokens"
        case .equalSteps: "steps"
        }
    }

    /// The tokens or steps after which runs are compared.
    package var mark: Int {
        switch self {
        case .equalTokens(let mark), .equalSteps(let mark): mark
        }
    }

    /// Returns the tokens or steps before a point.
    package func amount(_ point: CurvePoint) -> Int {
        switch self {
        case .equalTokens: point.tokens
        case .equalSteps: point.step
        }
    }
}

extension TrainedPoint {
    /// Returns the loss by which a design judges this run. It is infinite if the run diverged
    /// before the mark, and nil if the run ended before the mark.
    ///
    /// The loss is linearly interpolated between two evaluations. If the mark is not a whole number
    /// of steps, the run reaches it at the last whole step before it. The last evaluation counts if
    /// it narrowly misses the mark and `allowsNearMarks`.
    package func loss(at design: Design) -> Double? {
        if let last = curve.last, miss(of: design) != nil { return last.validationLoss }
        let beyond: Double? = diverged ? .infinity : nil
        guard let last = curve.last else { return beyond }
        let (mark, step): (Int, Double) =
            switch design {
            case .equalSteps(let steps): (steps, Double(steps))
            case .equalTokens(let tokens):
                (tokens, Double(tokens) * Double(last.step) / Double(max(1, last.tokens)))
            }
        guard mark >= 1, step < Double(last.step) + 1 else { return mark >= 1 ? beyond : nil }
        let next = curve.firstIndex { Double($0.step) >= step } ?? curve.count - 1
        let earlier =
            next > 0
            ? curve[next - 1] : CurvePoint(step: 0, tokens: 0, validationLoss: initialLoss)
        let later = curve[next]
        guard step < Double(later.step) else { return later.validationLoss }
        // The initial loss may be unknown.
        guard earlier.validationLoss.isFinite else { return nil }
        let part = (step - Double(earlier.step)) / Double(later.step - earlier.step)
        return earlier.validationLoss + part * (later.validationLoss - earlier.validationLoss)
    }

    /// The share of a mark by which the last evaluation may miss it. Even a loss that falls by
    /// 0.3 nats per doubling changes by only 0.004 nats over 1 %, which is below usual tolerances.
    private static let nearShare = 0.01

    /// Returns the distance of the last evaluation from a mark, as a share of the mark, if it counts
    /// as the evaluation there. It is nil if the run has a loss at the mark anyway, or if the
    /// evaluation is further away than a step's tokens and than 1 % of the mark.
    package func miss(of design: Design) -> Double? {
        guard allowsNearMarks, !diverged, design.mark >= 1, let last = curve.last else {
            return nil
        }
        let distance = Double(design.amount(last) - design.mark)
        let isTokens = design.unit == "tokens"
        let tokensPerStep = isTokens ? self.tokensPerStep ?? 1 : 1
        // Before its first evaluation a run has only its initial loss, and within less than a step
        // after the last one it has the loss of the last one.
        let isBetween = distance > 0 ? curve.count > 1 : -distance < tokensPerStep
        let slack = max(isTokens ? tokensPerStep : 0, Self.nearShare * Double(design.mark))
        guard !isBetween, abs(distance) <= slack else { return nil }
        return abs(distance) / Double(design.mark)
    }
}
