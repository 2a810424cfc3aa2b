import Glibc

extension CounterRandom {
    /// Fills a tensor with normal numbers in pairs (Box & Muller 1958). Each depends only on its
    /// place, the generator and `tensor`, a number for the tensor.
    package func fillNormal(_ values: Vector, standardDeviation: Float, tensor: UInt64) {
        let (values, count) = (values.base, values.count)
        for pair in 0..<(count + 1) / 2 {
            // The radius is in (0, 1], so that its logarithm is finite.
            let radius = 1 - uniform(UInt64(2 * pair), tensor)
            let angle = uniform(UInt64(2 * pair + 1), tensor)
            let length = (-2 * log(radius)).squareRoot()
            values[2 * pair] = standardDeviation * Float(length * cos(2 * .pi * angle))
            if 2 * pair + 1 < count {
                values[2 * pair + 1] = standardDeviation * Float(length * sin(2 * .pi * angle))
            }
        }
    }
}
