import Glibc
import Statistics

/// The form of the valley that the best rates of a design share, and the errors of these rates.
package struct ValleySummary: Sendable, Equatable {
    /// c of the loss 2 c / k^2 (exp(k z) - k z - 1) above the least one at z = ln(rate / best rate),
    /// in nats.
    package let curvature: Double
    /// k, above 0 if the loss rises more steeply above the best rate than below it.
    package let asymmetry: Double
    /// The standard deviation of a run's loss around the valley, in nats.
    package let noise: Double
    /// The standard deviation of ln(best rate) between the seeds of a batch, or nil with one seed.
    package let seedDeviation: Double?
    package let seedDegreesOfFreedom: Int?
    /// The standard error of a batch's ln(best rate) because the losses have another form.
    package let misfit: Double
    /// The same for an error that all batches have in common.
    package let shift: Double

    init(_ valley: SharedValley) {
        let main = valley.fits[0]
        // The geometric mean, because curvatures differ by factors.
        curvature = exp(Sample(main.valleys.map { log($0.curvature) }).mean)
        asymmetry = Sample(main.valleys.map(\.growth)).mean
        noise = main.noise
        seedDeviation = valley.seedVariance?.variance.squareRoot()
        seedDegreesOfFreedom = valley.seedVariance?.degreesOfFreedom
        (misfit, shift) = (valley.misfit, valley.shift)
    }
}
