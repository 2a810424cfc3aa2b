/// The sums of squares of a part of a tensor and of the values whose norm it is compared with: the
/// gradient in LARS, the direction in LAMB.
package struct NormSums {
    package var parameters: Double
    package var compared: Double

    package init(parameters: Double, compared: Double) {
        self.parameters = parameters
        self.compared = compared
    }
}

extension NormSums {
    /// Computes the sums over `count` parameters and gradients, a multiple of sixteen.
    package init(
        _ parameters: UnsafePointer<Float>, _ gradients: UnsafePointer<Float>, count: Int
    ) {
        var ofParameters = SumOfSquares.Accumulator()
        var ofGradients = SumOfSquares.Accumulator()
        ofParameters.add(parameters, count: count)
        ofGradients.add(gradients, count: count)
        self.init(parameters: ofParameters.total, compared: ofGradients.total)
    }
}
