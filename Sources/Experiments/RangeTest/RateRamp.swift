import Glibc
import Support

/// The rising learning rates of a range test, one per step (Smith 2015, "Cyclical Learning Rates
/// for Training Neural Networks", section 3.3).
package struct RateRamp: Sendable, Equatable {
    /// The way the rate rises from one step to the next.
    package enum Shape: String, Sendable {
        /// The rate rises by equal factors, so every decade gets the same number of steps.
        case geometric
        /// The rate rises by equal differences, as in Smith's paper.
        case linear
    }

    package let from: Double
    package let to: Double
    package let steps: Int
    package let shape: Shape

    /// The fewest steps that give a usable curve.
    package static let fewestSteps = 10
    private static let mostSteps = 1_000_000

    /// Creates a ramp between two rates.
    ///
    /// - Throws: `Failure` (usage) that names the first invalid option of the command.
    package init(from: Double, to: Double, steps: Int, shape: Shape = .geometric) throws(Failure) {
        for (name, rate) in [("--from", from), ("--to", to)] {
            guard rate.isFinite, rate > 0 else {
                throw .option(
                    name, rate, "must be a finite number above 0",
                    remedy: "use 1e-7 for --from and 10 for --to, or similar values")
            }
        }
        guard from < to else {
            throw Failure.option(
                "--from", from, "must be below --to \(to)", remedy: "give --to the larger rate")
        }
        try requireOption(
            "--steps", steps, in: Self.fewestSteps...Self.mostSteps,
            remedy: "use 100, or more if the losses are noisy")
        self.from = from
        self.to = to
        self.steps = steps
        self.shape = shape
    }

    /// Returns the rate of a step, counted from 0. The first is exactly `from`, and the last
    /// exactly `to`.
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
