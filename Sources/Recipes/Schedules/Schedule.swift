import Glibc

/// The learning rate as a function of the step, in closed form and in double precision.
///
/// Steps count from 0: the first update uses `learningRate(at: 0)`. Nothing is accumulated from
/// step to step, so a resumed run needs no state. After its last step, every shape stays at its
/// last rate, whereas PyTorch's recursive `CosineAnnealingLR` rises again.
package enum Schedule: Sendable, Equatable {
    /// The same rate at every step.
    case constant(Double)
    /// A straight line from `from` at step 0 to `to` at step `steps`: PyTorch's `LinearLR`.
    case linear(from: Double, to: Double, steps: Int)
    /// Half a cosine wave from `from` at step 0 to `to` at step `steps`: PyTorch's
    /// `CosineAnnealingLR` (Loshchilov & Hutter 2017, "SGDR", equation 5, without restarts).
    case cosine(from: Double, to: Double, steps: Int)
    /// A fall from `from` at step 0 to `to` at step `steps`, as one minus the square root of the
    /// elapsed fraction: fast at first and then slower (Hägele et al. 2024, "Scaling Laws and
    /// Compute-Optimal Training Beyond Fixed Training Durations").
    case oneMinusRoot(from: Double, to: Double, steps: Int)
    /// nanoGPT's warmup: the fraction (step + 1) / (steps + 1) of `to`, which is never zero.
    case offsetWarmup(to: Double, steps: Int)
    /// One schedule after another, each counting its own steps from 0: PyTorch's `SequentialLR`.
    case sequence([Part])

    /// A schedule in a sequence and its number of steps. The last part has no end.
    package struct Part: Sendable, Equatable {
        package let schedule: Schedule
        package let steps: Int

        package init(_ schedule: Schedule, steps: Int) {
            self.schedule = schedule
            self.steps = steps
        }
    }

    /// Returns the rate for the update that follows `step` finished steps.
    package func learningRate(at step: Int) -> Double {
        switch self {
        case .constant(let rate):
            return rate
        case .linear(let start, let end, let steps):
            guard step < steps else { return end }
            return start + (end - start) * (Double(step) / Double(steps))
        case .cosine(let start, let end, let steps):
            guard step < steps else { return end }
            let elapsed = Double(step) / Double(steps)
            return end + 0.5 * (1 + cos(Double.pi * elapsed)) * (start - end)
        case .oneMinusRoot(let start, let end, let steps):
            guard step < steps else { return end }
            return end + (1 - (Double(step) / Double(steps)).squareRoot()) * (start - end)
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
