/// The counts of fp32 values in logarithmic bins: eight for each sign and power of two.
///
/// Counts and sums are integers, so they do not depend on the order in which values are added, nor
/// on their division among threads and ranks.
package final class ValueCounts: @unchecked Sendable {
    /// The counts of all bins, and then the sums of significands and of their squares for each sign
    /// and exponent.
    package private(set) var numbers: Buffer<Int64>
    /// The lowest and the highest value that was added; infinite before the first.
    package var minimum = Float.infinity
    package var maximum = -Float.infinity

    /// The bits of a magnitude that do not matter for its bin, and those of its significand.
    private static let (binShift, exponentShift) = (20, 23)
    /// The numbers of bins and of exponents for each sign.
    private static let (binsPerSign, exponents) = (1 << 11, 1 << 8)
    private static let binCount = 2 * binsPerSign
    /// The number of low bits of a square that are dropped, so that the sum of 2^31 squares fits.
    private static let squareShift = 16

    package init() { numbers = Buffer(count: Self.binCount + 4 * Self.exponents) }

    /// Removes all values.
    package func removeAll() {
        numbers.elements.update(repeating: 0)
        (minimum, maximum) = (.infinity, -.infinity)
    }

    /// Adds values; those that are not finite are left out.
    package func add(_ values: UnsafeBufferPointer<Float>) {
        let counts = numbers.base
        let sums = counts + Self.binCount
        var (lowest, highest) = (minimum, maximum)
        for value in values {
            let bits = value.bitPattern
            let magnitude = Int(bits & 0x7fff_ffff)
            let exponent = magnitude >> Self.exponentShift
            guard exponent < 0xff else { continue }
            let isNegative = value < 0
            // A bin includes its lower limit, which for negative values has the larger magnitude.
            let bin =
                isNegative
                ? Self.binsPerSign + (magnitude - 1) >> Self.binShift : magnitude >> Self.binShift
            counts[bin] += 1
            let significand = Int64(magnitude & 0x7f_ffff | (exponent > 0 ? 0x80_0000 : 0))
            let place = 2 * (isNegative ? Self.exponents + exponent : exponent)
            sums[place] += significand
            sums[place + 1] += (significand * significand) >> Int64(Self.squareShift)
            lowest = value < lowest ? value : lowest
            highest = value > highest ? value : highest
        }
        (minimum, maximum) = (lowest, highest)
    }

    /// Adds the values of other counts.
    package func add(_ other: ValueCounts) {
        for index in 0..<numbers.count { numbers.base[index] += other.numbers.base[index] }
        minimum = min(minimum, other.minimum)
        maximum = max(maximum, other.maximum)
    }

    /// The number of values.
    package var count: Int {
        numbers.elements[..<Self.binCount].reduce(0) { $0 + Int($1) }
    }

    /// The sum of the values.
    package var sum: Double { total { Double($0.significands) * ($0.isNegative ? -1 : 1) } }

    /// The sum of the squares of the values, up to a factor of 1 + 2^-29.
    package var sumOfSquares: Double {
        total { sums in
            Double(sums.squares) * Double(1 << Self.squareShift) * sums.unit
        }
    }

    private typealias ExponentSums = (
        significands: Int64, squares: Int64, unit: Double, isNegative: Bool
    )

    /// Returns the sum over all signs and exponents of a number of units, in a fixed order.
    private func total(_ number: (ExponentSums) -> Double) -> Double {
        var total = 0.0
        for place in 0..<2 * Self.exponents {
            let exponent = place % Self.exponents
            // Subnormal numbers have the unit of the lowest exponent.
            let unit = Double(sign: .plus, exponent: max(exponent, 1) - 150, significand: 1)
            let start = Self.binCount + 2 * place
            let sums = (
                numbers.base[start], numbers.base[start + 1], unit, place >= Self.exponents
            )
            total += number(sums) * unit
        }
        return total
    }

    /// The bins that have values, in ascending order. A bin includes its lower limit, and excludes
    /// its upper limit.
    package var bins: [(limits: Range<Double>, count: Int)] {
        var bins: [(limits: Range<Double>, count: Int)] = []
        for index in (0..<Self.binsPerSign).reversed() {
            let count = Int(numbers.base[Self.binsPerSign + index])
            if count > 0 {
                bins.append((-Self.limit(index + 1)..<(-Self.limit(index)), count))
            }
        }
        for index in 0..<Self.binsPerSign {
            let count = Int(numbers.base[index])
            if count > 0 { bins.append((Self.limit(index)..<Self.limit(index + 1), count)) }
        }
        return bins
    }

    /// Returns the magnitude at which a bin of positive values begins.
    private static func limit(_ bin: Int) -> Double {
        let value = Float(bitPattern: UInt32(bin) << UInt32(binShift))
        return value.isFinite ? Double(value) : 0x1p128
    }
}
