import Glibc
import Support

/// The learning rates of a range test, one a step, rising (Smith 2015, "Cyclical Learning Rates for
/// Training Neural Networks", section 3.3).
package struct RateRamp: Sendable, Equatable {
    package enum Shape: String, Sendable {
        /// By equal factors, so that every decade gets as many steps.
        case geometric
        /// By equal differences, as Smith's own.
        case linear
    }

    package let from: Double
    package let to: Double
    package let steps: Int
    package let shape: Shape

    /// The fewest steps that say anything.
    package static let fewestSteps = 10
    private static let mostSteps = 1_000_000

    /// - Throws: `Failure` (usage) that names the first impossible value, by the command's option.
    package init(
        from: Double, to: Double, steps: Int, shape: Shape = .geometric
    ) throws(Failure) {
        for (name, rate) in [("--from", from), ("--to", to)] {
            guard rate.isFinite, rate > 0 else {
                throw Failure(
                    .usage,
                    "\(name) is \(rate), but a learning rate is a number above 0: use 1e-7 for --from "
                        + "and 10 for --to, or others.")
            }
        }
        guard from < to else {
            throw Failure(
                .usage,
                "--from is \(from) and --to is \(to), but the rate has to rise: give --to the larger "
                    + "one.")
        }
        guard steps >= Self.fewestSteps, steps <= Self.mostSteps else {
            throw Failure(
                .usage,
                "--steps is \(steps), but a range test takes \(Self.fewestSteps) to "
                    + "\(Self.mostSteps): use 100, or more where losses are noisy.")
        }
        self.from = from
        self.to = to
        self.steps = steps
        self.shape = shape
    }

    /// The rate of a step, counted from 0; the first is `from` and the last is `to`, exactly.
    package func rate(ofStep step: Int) -> Double {
        if step == 0 { return from }
        if step == steps - 1 { return to }
        let place = Double(step) / Double(steps - 1)
        return switch shape {
        case .geometric: from * pow(to / from, place)
        case .linear: from + (to - from) * place
        }
    }
}
