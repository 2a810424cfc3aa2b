/// What is held equal when batches are compared: the mark of the curve at which a run is judged.
///
/// The two are different questions. With equal tokens a larger batch takes fewer steps, so a rate
/// in proportion to the batch keeps rate times steps, and the linear rule looks better than it is
/// with equal steps. A fair report holds both.
package enum Design: Sendable, Hashable {
    /// Every run is judged after this many tokens.
    case equalTokens(Int)
    /// Every run is judged after this many steps.
    case equalSteps(Int)

    /// Equal tokens and equal steps, each at the furthest mark that some run of every batch
    /// reaches.
    package static func furthest(in points: [TrainedPoint]) -> [Design] {
        func reach(_ mark: (CurvePoint) -> Int) -> Int {
            let byBatch = Dictionary(grouping: points.filter { !$0.diverged }, by: \.batch)
            return byBatch.values.map { runs in
                runs.compactMap { $0.curve.last.map(mark) }.max() ?? 0
            }.min() ?? 0
        }
        return [.equalTokens(reach(\.tokens)), .equalSteps(reach(\.step))]
    }

    /// In words: "equal tokens (4,096)".
    package var name: String {
        switch self {
        case .equalTokens(let tokens): "equal tokens (\(tokens))"
        case .equalSteps(let steps): "equal steps (\(steps))"
        }
    }
}

extension TrainedPoint {
    /// The loss by which a design judges this run: infinite where it diverged before the mark, nil
    /// where it ended before it.
    ///
    /// Between two evaluations the loss is taken from the straight line. A mark that is no whole
    /// number of steps counts as reached at the last whole step before it.
    package func loss(at design: Design) -> Double? {
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
        let part = (step - Double(earlier.step)) / Double(later.step - earlier.step)
        return earlier.validationLoss + part * (later.validationLoss - earlier.validationLoss)
    }
}
