import Glibc
import Statistics

/// The rate with the least loss, or the reason why it is unknown.
package enum RateOptimum: Sendable, Equatable {
    case found(BestRate)
    /// The least loss is at the grid's lowest or highest rate, so the grid must extend to that
    /// side.
    case unbracketed(Side)
    /// The losses of the rates differ by no more than noise.
    case flat
    /// The losses clearly rise on both sides of the least one, but no valley fits them.
    case misfit
    /// Fewer than three rates reached the mark without diverging.
    case insufficient

    package var best: BestRate? {
        if case .found(let best) = self { best } else { nil }
    }
}

/// The rate at which a batch's valley has its least loss. Just below a rate that diverges, it is
/// the grid's highest rate that trains.
package struct BestRate: Sendable, Equatable {
    package let logRate: Double
    /// The least loss, the mean over seeds, in nats per token.
    package let loss: Double
    /// The standard error of `logRate` with its degrees of freedom, or nil with one seed.
    package let error: StandardError?
    /// The further error of `logRate` that the error of the valley's asymmetry causes. It is
    /// signed, because that error moves all batches.
    let asymmetryError: Double
    /// The further error of `logRate` that all batches have in common, because the losses have
    /// another form than the valley.
    let shift: Double
    /// The distance in ln(rate) by which the best rate may exceed this one, because the next rate
    /// diverges; 0 otherwise.
    package let resolution: Double

    /// A standard error and its degrees of freedom.
    package struct StandardError: Sendable, Equatable {
        package let value: Double
        package let degreesOfFreedom: Int
    }

    /// The interval of the rate, symmetric in ln(rate), or nil with one seed. It covers the error
    /// that all batches share, which `error` does not.
    package let interval: Interval?

    package var rate: Double { exp(logRate) }

    /// The variance of `logRate` for weights, or nil with one seed: that of the standard error plus
    /// that of a uniform error within the resolution.
    package var variance: Double? {
        error.map { $0.value * $0.value + resolution * resolution / 3 }
    }

    init(
        logRate: Double, loss: Double, error: StandardError?,
        asymmetryError: Double = 0, shift: Double = 0, resolution: Double = 0, level: Double
    ) {
        self.logRate = logRate
        self.loss = loss
        self.error = error
        self.asymmetryError = asymmetryError
        self.shift = shift
        self.resolution = resolution
        interval = error.flatMap { error in
            Interval(
                around: logRate,
                standardError: (error.value * error.value + asymmetryError * asymmetryError
                    + shift * shift).squareRoot(),
                degreesOfFreedom: error.degreesOfFreedom, level: level)
        }?.widened(by: resolution).mapped(exp)
    }
}

/// One seed's best rate at one batch.
package struct SeedOptimum: Sendable, Equatable {
    package let seed: UInt64
    /// ln(best rate), or nil if the batch has none or the seed's runs do not show it.
    package let logRate: Double?
    /// The seed's least loss, or nil if `logRate` is nil.
    package let leastLoss: Double?
    /// The losses of the seed's runs.
    package let losses: RateLosses
}
