import Glibc
import Recipes
import Statistics

/// A power law of the activations' change at one place against the model's size.
package struct CoordinateSlope: Sendable, Equatable {
    package let parametrization: Parametrization
    package let place: CoordinatePlace
    /// The power of the size to which the change is proportional.
    package let exponent: Estimate

    /// The largest absolute exponent of a change that counts as independent of the size. At 0.25, a
    /// width that is 16 times larger doubles the change.
    package static let flatBound = 0.25
    package static let level = 0.95

    /// Fits ln(change after the last step) = a + exponent ln(size) to all runs of a
    /// parametrization.
    ///
    /// Returns nil with fewer than two sizes, or if a change is zero or not finite.
    init?(
        _ runs: [CoordinateRun], _ place: CoordinatePlace, _ axis: CoordinateAxis
    ) {
        guard let first = runs.first else { return nil }
        let changes = runs.compactMap { $0.changes.last?[place] }
        guard changes.count == runs.count, changes.allSatisfy({ $0.isFinite && $0 > 0 }),
            let fit = linearLeastSquares(
                runs.map { [1, log(Double(axis.value(of: $0.size)))] },
                observations: changes.map { log($0) })
        else { return nil }
        parametrization = first.parametrization
        self.place = place
        exponent = fit.estimate(1, level: Self.level)
    }

    /// The direction in which the change depends on the size.
    package enum Finding: String, Sendable {
        /// The interval of the exponent lies within `flatBound` of 0.
        case flat
        /// The interval lies above `flatBound`.
        case grows
        /// The interval lies below `-flatBound`.
        case shrinks
        /// The interval crosses a bound, or there is none.
        case undecided
    }

    /// The finding that the interval of the exponent allows.
    package var finding: Finding {
        guard let interval = exponent.interval else { return .undecided }
        if interval.lower > Self.flatBound { return .grows }
        if interval.upper < -Self.flatBound { return .shrinks }
        return interval.lower >= -Self.flatBound && interval.upper <= Self.flatBound
            ? .flat : .undecided
    }
}

/// The part of a model's size that a check varies.
package enum CoordinateAxis: String, Sendable {
    case width
    case layers

    /// The name of the axis in sentences.
    var quantity: String { self == .width ? "width" : "number of layers" }

    /// The places whose activations should change equally along the axis.
    ///
    /// With more layers each block should change less, so the first block is left out.
    var places: [CoordinatePlace] {
        switch self {
        case .width: CoordinatePlace.allCases
        case .layers: [.embedding, .lastBlock, .logits]
        }
    }

    func value(of size: ModelSize) -> Int {
        switch self {
        case .width: size.width
        case .layers: size.layers
        }
    }

    /// Returns a size with another value on this axis.
    package func size(_ value: Int, like size: ModelSize) -> ModelSize {
        switch self {
        case .width: ModelSize(width: value, layers: size.layers)
        case .layers: ModelSize(width: size.width, layers: value)
        }
    }
}
