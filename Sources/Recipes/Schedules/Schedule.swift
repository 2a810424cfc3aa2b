import Glibc

/// The learning rate as a function of the step, in closed form and in double precision.
///
/// Steps count from 0: the first update uses `learningRate(at: 0)`. Nothing is accumulated from
/// step to step, so a resumed run needs no state. After its last step, every shape stays at its
/// last rate, whereas PyTorch's recursive `CosineAnnealingLR` rises again.
public enum Schedule: Sendable, Equatable {
    /// The same rate at every step.
    case constant(Double)
    /// A change of a shape from `from` at step 0 to `to` at step `steps`.
    case change(Shape, from: Double, to: Double, steps: Int)
    /// nanoGPT's warmup: the fraction (step + 1) / (steps + 1) of `to`, which is never zero.
    case offsetWarmup(to: Double, steps: Int)
    /// One schedule after another, each counting its own steps from 0: PyTorch's `SequentialLR`.
    case sequence([Part])

    /// The shapes of a change of the rate, by their names in recipes.
    public enum Shape: String, NamedChoice {
        /// A straight line: PyTorch's `LinearLR`.
        case linear
        /// Half a cosine wave: PyTorch's `CosineAnnealingLR` (Loshchilov & Hutter 2017, "SGDR",
        /// equation 5, without restarts).
        case cosine
        /// One minus the square root of the elapsed fraction: fast at first and then slower (Hägele
        /// et al. 2024, "Scaling Laws and Compute-Optimal Training Beyond Fixed Training
        /// Durations").
        case sqrt
    }

    /// A schedule in a sequence and its number of steps. The last part has no end.
    public struct Part: Sendable, Equatable {
        public let schedule: Schedule
        public let steps: Int

        public init(_ schedule: Schedule, steps: Int) {
            self.schedule = schedule
            self.steps = steps
        }
    }

    /// Returns the rate for the update that follows `step` finished steps.
    public func learningRate(at step: Int) -> Double {
        switch self {
        case .constant(let rate):
            return rate
        case .change(let shape, let start, let end, let steps):
            guard step < steps else { return end }
            let elapsed = Double(step) / Double(steps)
            switch shape {
            case .linear: return start + (end - start) * elapsed
            case .cosine: return end + 0.5 * (1 + cos(Double.pi * elapsed)) * (start - end)
            case .sqrt: return end + (1 - elapsed.squareRoot()) * (start - end)
            }
        case .offsetWarmup(let end, let steps):
            guard step < steps else { return end }
            return end * Double(step + 1) / Double(steps + 1)
        case .sequence(let parts):
            var start = 0
            for part in parts.dropLast() {
                if step < start + part.steps {
                    return part.schedule.learningRate(at: step - start)
                }
                start += part.steps
            }
            return parts.last?.schedule.learningRate(at: step - start) ?? 0
        }
    }
}
