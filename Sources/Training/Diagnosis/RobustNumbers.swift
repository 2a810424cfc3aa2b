import Statistics

/// The ratio of a normal distribution's standard deviation to its median absolute deviation,
/// 1/0.6745 (Rousseeuw & Croux 1993, section 1).
let deviationsPerMedianDeviation = 1.4826

/// Returns the standard deviation estimated from the median absolute deviation, which a few
/// outliers do not affect.
package func robustDeviation(_ values: [Double]) -> Double {
    let middle = median(values)
    return deviationsPerMedianDeviation * median(values.map { abs($0 - middle) })
}

/// Returns the standard deviation of independent noise about a slow curve, estimated from
/// successive differences.
///
/// - Parameter values: at least two values.
func differenceDeviation(_ values: some Collection<Double>) -> Double {
    let differences = zip(values, values.dropFirst()).map { abs($1 - $0) }
    return deviationsPerMedianDeviation * median(differences) / 2.0.squareRoot()
}

/// The last values of a series, oldest first.
struct TrailingValues: Sendable {
    let capacity: Int
    private(set) var values: [Double] = []

    init(capacity: Int) {
        self.capacity = capacity
        values.reserveCapacity(capacity)
    }

    var count: Int { values.count }

    mutating func append(_ value: Double) {
        if values.count == capacity { values.removeFirst() }
        values.append(value)
    }
}
