import CMinpack

/// Returns the parameters near `start` that minimize a sum of squared residuals.
///
/// The method is Levenberg-Marquardt, by MINPACK's `lmder` or `lmdif` and `covar` (Moré, Garbow &
/// Hillstrom 1980). If residuals have weights, `residuals` must multiply them by the square roots.
///
/// - Parameters:
///   - count: the number of residuals, at least that of parameters.
///   - residuals: a function from parameters to `count` residuals. A step to parameters with a
///     residual that is not finite is refused.
///   - derivatives: a function from parameters to the residuals' derivatives, those by the first
///     parameter first; nil for finite differences, which need parameters that are not near 0.
/// - Returns: nil if no minimum was reached, or the residuals do not determine the parameters.
package func nonlinearLeastSquares(
    start: [Double], count m: Int, residuals: ([Double]) -> [Double],
    derivatives: (([Double]) -> [Double])? = nil
) -> LeastSquaresFit? {
    let n = start.count
    precondition(n >= 1, "at least one parameter")
    guard m >= n else { return nil }
    var parameters = start
    var values = [Double](repeating: 0, count: m)
    var jacobian = [Double](repeating: 0, count: m * n)
    var pivots = [Int32](repeating: 0, count: n)
    var scales = [Double](repeating: 1, count: n)
    let zeros = [Double](repeating: 0, count: n)
    var (scaledGradient, work1, work2, work3) = (zeros, zeros, zeros, zeros)
    var work4 = [Double](repeating: 0, count: m)
    var (evaluations, jacobians): (Int32, Int32) = (0, 0)
    let status = withoutActuallyEscaping(residuals) { residuals in
        let function = ResidualFunction(evaluate: residuals, derivatives: derivatives)
        return withUnsafePointer(to: function) { context in
            let context = UnsafeMutableRawPointer(mutating: context)
            return derivatives == nil
                ? lmdif(
                    residualCallback, context, Int32(m), Int32(n), &parameters, &values, 1e-14,
                    1e-12, 0, Int32(1000 * (n + 1)), 0, &scales, 1, 100, 0, &evaluations,
                    &jacobian, Int32(m), &pivots, &scaledGradient, &work1, &work2, &work3, &work4)
                : lmder(
                    derivativeCallback, context, Int32(m), Int32(n), &parameters, &values,
                    &jacobian, Int32(m), 1e-14, 1e-12, 0, 1000, &scales, 1, 100, 0, &evaluations,
                    &jacobians, &pivots, &scaledGradient, &work1, &work2, &work3, &work4)
        }
    }
    // 1 to 4: converged; 6 to 8: no further decrease is possible in fp64. 5: evaluations ran out.
    guard (1...4).contains(status) || (6...8).contains(status) else { return nil }
    guard parameters.allSatisfy(\.isFinite), values.allSatisfy(isAcceptable) else { return nil }
    let diagonal = (0..<n).map { jacobian[$0 + $0 * m].magnitude }
    // Derivatives by differences are accurate to half of fp64's digits.
    guard let least = diagonal.min(), least > 1e-8 * diagonal[0] else { return nil }
    return LeastSquaresFit(
        parameters: parameters,
        unscaledCovariance: unscaledCovariance(&jacobian, rows: m, columns: n, pivots: pivots),
        residualSumOfSquares: values.reduce(0) { $0 + $1 * $1 },
        degreesOfFreedom: m - n)
}

/// A residual that is large enough for a step to it to be refused, but whose square is finite.
private let refusedResidual = 1e100

private func isAcceptable(_ residual: Double) -> Bool { residual.magnitude < refusedResidual }

private struct ResidualFunction {
    let evaluate: ([Double]) -> [Double]
    let derivatives: (([Double]) -> [Double])?
}

/// The callback with which MINPACK evaluates a `ResidualFunction`.
private func residualCallback(
    context: UnsafeMutableRawPointer?, m: Int32, n: Int32, parameters: UnsafePointer<Double>?,
    values: UnsafeMutablePointer<Double>?, flag: Int32
) -> Int32 {
    guard let context, let parameters, let values else { return -1 }
    let function = context.assumingMemoryBound(to: ResidualFunction.self).pointee
    let residuals = function.evaluate(
        Array(UnsafeBufferPointer(start: parameters, count: Int(n))))
    precondition(residuals.count == Int(m), "as many residuals as were announced")
    for (index, residual) in residuals.enumerated() {
        values[index] = isAcceptable(residual) ? residual : refusedResidual
    }
    return 0
}

/// The callback with which MINPACK evaluates a `ResidualFunction` or, if `flag` is 2, its
/// derivatives.
private func derivativeCallback(
    context: UnsafeMutableRawPointer?, m: Int32, n: Int32, parameters: UnsafePointer<Double>?,
    values: UnsafeMutablePointer<Double>?, jacobian: UnsafeMutablePointer<Double>?, rows: Int32,
    flag: Int32
) -> Int32 {
    guard flag == 2 else {
        return residualCallback(
            context: context, m: m, n: n, parameters: parameters, values: values, flag: flag)
    }
    guard let context, let parameters, let jacobian else { return -1 }
    let function = context.assumingMemoryBound(to: ResidualFunction.self).pointee
    let derivatives =
        function.derivatives?(Array(UnsafeBufferPointer(start: parameters, count: Int(n)))) ?? []
    precondition(derivatives.count == Int(m) * Int(n), "a derivative by each parameter")
    for (index, derivative) in derivatives.enumerated() { jacobian[index] = derivative }
    return 0
}
