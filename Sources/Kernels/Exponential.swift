import CVector

/// Eight exponentials, within 2 units in the last place; below -87.3 the result is about 1e-38.
///
/// exp(x) = 2^n exp(r) with n = round(x / ln 2) and |r| <= ln 2 / 2, where exp(r) is a polynomial
/// (Cephes, `expf`). Rounding goes through the magic number 1.5 * 2^23, whose sum with n holds n in
/// its low bits, because SIMD float-to-int conversion is not vectorised. NaN stays NaN.
@inline(__always)
package func exponential(_ x: Floats) -> Floats {
    // What is not a number does not compare, so it passes.
    let clamped = lockstep_min8(
        Floats(repeating: 88.3), lockstep_max8(Floats(repeating: -87.3), x))

    let magic = Floats(repeating: 0x1.8p23)
    let shifted = magic.addingProduct(clamped, Floats(repeating: 1.442_695_04))
    let n = shifted - magic
    // ln 2 in two parts, the first with trailing zeros, so that n times it is exact.
    var r = clamped.addingProduct(n, Floats(repeating: -0.693_359_375))
    r = r.addingProduct(n, Floats(repeating: 2.121_944_4e-4))

    var p = Floats(repeating: 1.987_569_15e-4)
    p = Floats(repeating: 1.398_199_95e-3).addingProduct(p, r)
    p = Floats(repeating: 8.333_451_9e-3).addingProduct(p, r)
    p = Floats(repeating: 4.166_579_6e-2).addingProduct(p, r)
    p = Floats(repeating: 1.666_666_55e-1).addingProduct(p, r)
    p = Floats(repeating: 5.000_000_1e-1).addingProduct(p, r)
    let e = (r + 1).addingProduct(p, r * r)

    // Adding n to the exponent field; e is in [0.7, 1.42], so the field neither over- nor
    // underflows.
    let exponent = unsafeBitCast(shifted, to: SIMD8<UInt32>.self) &<< 23
    return unsafeBitCast(
        unsafeBitCast(e, to: SIMD8<UInt32>.self) &+ exponent, to: Floats.self)
}
