import CCompute

/// log2(e): e^x is 2^(log2(e) x). Callers fold it into a factor that they need anyway.
let log2E: Float = 1.442_695_04

/// Returns two to the power of each of eight numbers, within 2 units in the last place. Below -126
/// the result is about 1e-38, above 127.4 about 2e38; NaN stays NaN.
///
/// 2^x = 2^n 2^r with n = round(x) and |r| <= 1/2. 2^r is the polynomial with the smallest maximum
/// relative error, 2e-9 (fitted by Lawson's iteration with 2^0 = 1 held), in Estrin's form, whose
/// chains are short. Rounding adds the magic number 1.5 * 2^23, whose sum with n holds n in its low
/// bits, because SIMD float-to-int conversion is not vectorized.
@inline(__always)
package func exponential2(_ x: Floats) -> Floats {
    // NaN compares false, so it passes through.
    let clamped = lockstep_min8(
        Floats(repeating: 127.4), lockstep_max8(Floats(repeating: -126), x))

    let magic = Floats(repeating: 0x1.8p23)
    let shifted = clamped + magic
    let r = clamped - (shifted - magic)

    let square = r * r
    let low = Floats(repeating: 1).addingProduct(r, Floats(repeating: 0x1.62e430p-1))
    let middle = Floats(repeating: 0x1.ebfbdcp-3)
        .addingProduct(r, Floats(repeating: 0x1.c6aee8p-5))
    let high = Floats(repeating: 0x1.3b2d4cp-7)
        .addingProduct(r, Floats(repeating: 0x1.5f3e52p-10))
        .addingProduct(square, Floats(repeating: 0x1.41fbbcp-13))
    let p = low.addingProduct(square, middle.addingProduct(square, high))

    // This adds n to the exponent field. p is in [0.7, 1.42], so the field neither overflows nor
    // underflows.
    let exponent = unsafeBitCast(shifted, to: SIMD8<UInt32>.self) &<< 23
    return unsafeBitCast(
        unsafeBitCast(p, to: SIMD8<UInt32>.self) &+ exponent, to: Floats.self)
}
