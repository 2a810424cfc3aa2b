import Glibc
import Support

/// `base` to the power of `exponent`; 1 to any power is exactly 1.
func power(_ base: Double, _ exponent: Double) -> Double { pow(base, exponent) }

/// A rate with six digits that count, so that its name is short and rounding does not show.
func shortened(_ rate: Double) -> Double {
    guard rate.isFinite, rate > 0 else { return rate }
    let unit = pow(10, floor(log10(rate)) - 5)
    // Through a text, so that it is the very number that a user would write.
    return Double(Format.scientific((rate / unit).rounded() * unit, digits: 6)) ?? rate
}
