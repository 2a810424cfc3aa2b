import Glibc
import Support

/// Returns `base` to the power of `exponent`; 1 to any power is exactly 1.
func power(_ base: Double, _ exponent: Double) -> Double { pow(base, exponent) }

/// Returns a rate rounded to six significant digits, which keeps the names of points short.
func shortened(_ rate: Double) -> Double {
    guard rate.isFinite, rate > 0 else { return rate }
    let unit = pow(10, floor(log10(rate)) - 5)
    // Parsing the decimal digits gives the same number as a rate that a user writes.
    return Double(Format.scientific((rate / unit).rounded() * unit, digits: 6)) ?? rate
}
