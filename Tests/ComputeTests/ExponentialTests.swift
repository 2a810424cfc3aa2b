import Compute
import Foundation
import Testing

@Suite struct ExponentialTests {
    @Test("the exponential is within two units in the last place")
    func isWithinTwoUnitsInTheLastPlace() {
        var worst = 0.0
        var x: Float = -126
        while x < 127.4 {
            let y = exponential2(SIMD8(repeating: x))[5]
            let exact = exp2(Double(x))
            worst = max(worst, abs(Double(y) - exact) / exact)
            x += 0.003_7
        }
        #expect(worst < 2.4e-7)
        #expect(exponential2(SIMD8(repeating: 0)) == SIMD8(repeating: 1))
    }

    @Test("the exponential saturates and preserves NaN")
    func saturatesAndKeepsNaN() {
        #expect(exponential2(SIMD8(repeating: -1e30))[0] < 2e-38)
        #expect(exponential2(SIMD8(repeating: -.infinity))[0] < 2e-38)
        #expect(exponential2(SIMD8(repeating: 1e30))[0] > 1e38)
        #expect(exponential2(SIMD8(repeating: .nan))[0].isNaN)
    }
}
