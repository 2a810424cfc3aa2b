/// Returns the inner product in fp64, with eight parallel sums.
package func innerProduct(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, count: Int)
    -> Double
{
    var sums = SIMD8<Double>.zero
    var index = 0
    while index + 8 <= count {
        let x = UnsafeRawPointer(a + index).loadUnaligned(as: SIMD8<Float>.self)
        let y = UnsafeRawPointer(b + index).loadUnaligned(as: SIMD8<Float>.self)
        sums.addProduct(SIMD8<Double>(x), SIMD8<Double>(y))
        index += 8
    }
    var sum = sums.sum()
    while index < count {
        sum += Double(a[index]) * Double(b[index])
        index += 1
    }
    return sum
}
