import Compute

/// The factors by which LAMB and LARS scale the step of each tensor to the tensor's norm.
///
/// Norms are of whole tensors, and their bits depend only on the values: the arena is divided into
/// the fixed blocks of `SumOfSquares`, any thread sums a tensor's part of each block in a fixed
/// pattern, and the parts are added in order.
struct TrustRatios: Sendable {
    /// The sums of the parts, for the parameters and for the values with which the ratio compares
    /// them.
    ///
    /// The part of run r in block b has place b + r. From one part to the next in the arena, r or b
    /// or both increase, so no two parts share a place.
    private let parameterSums: Buffer<Double>
    private let comparedSums: Buffer<Double>
    private let ratios: Buffer<Double>

    /// Creates ratios of 1, one for each run, which is a tensor.
    ///
    /// - Parameters:
    ///   - runs: the number of runs.
    ///   - elements: the number of elements of the arena.
    init(runs: Int, elements: Int) {
        let places = SumOfSquares.blockCount(elements) + runs
        parameterSums = Buffer(count: places)
        comparedSums = Buffer(count: places)
        ratios = Buffer(count: runs)
        ratios.elements.update(repeating: 1)
    }

    /// The ratio of a run.
    subscript(run: Int) -> Double { ratios.elements[run] }

    /// Stores the sums of a run's part of a block.
    func note(_ sums: NormSums, ofRun run: Int, inBlock block: Int) {
        parameterSums.elements[block + run] = sums.parameters
        comparedSums.elements[block + run] = sums.compared
    }

    /// Sets a run's ratio from its two norms.
    ///
    /// The ratio is 1 if either norm is zero, so that a tensor of zeros can take its first step. It
    /// is at most fp32's largest number, because gradients may be as small as fp32's smallest.
    func settle(
        _ run: Int, over elements: Range<Int>,
        _ ratio: (_ parameters: Double, _ compared: Double) -> Double
    ) {
        var sums: NormSums = (0, 0)
        let first = elements.lowerBound / SumOfSquares.blockSize
        let last = (elements.upperBound - 1) / SumOfSquares.blockSize
        for block in first...max(first, last) {
            sums.parameters += parameterSums.elements[block + run]
            sums.compared += comparedSums.elements[block + run]
        }
        let isZero = sums.parameters == 0 || sums.compared == 0
        let fitted = ratio(sums.parameters.squareRoot(), sums.compared.squareRoot())
        ratios.elements[run] = isZero ? 1 : min(fitted, Double(Float.greatestFiniteMagnitude))
    }
}
