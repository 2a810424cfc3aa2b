import Compute

/// The factors by which LAMB and LARS fit the step of each tensor to the tensor's own norm.
///
/// Norms are of whole tensors, in bits that depend only on the values: the arena is cut into
/// the fixed blocks of `SumOfSquares`, a tensor's part of each is summed by a fixed pattern on
/// whichever thread, and the parts are added in their order.
struct TrustRatios: Sendable {
    /// One element for each part, of the parameters and of what the ratio compares them with.
    ///
    /// The part of run r in block b has place b + r: from one part to the next in the arena one of
    /// the two rises, or both do, so no two parts share a place.
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

    /// A run's ratio.
    subscript(run: Int) -> Double { ratios.elements[run] }

    /// Keeps the sums of a run's part of a block.
    func note(_ sums: NormSums, ofRun run: Int, inBlock block: Int) {
        parameterSums.elements[block + run] = sums.parameters
        comparedSums.elements[block + run] = sums.compared
    }

    /// Sets a run's ratio from its two norms; 1 where either is zero, as a tensor's first step from
    /// zeros must be. Never more than fp32 holds: gradients may be as small as its smallest
    /// numbers.
    func settle(
        _ run: Int, over elements: Range<Int>,
        _ ratio: (_ parameters: Double, _ compared: Double)
            -> Double
    ) {
        var sums = NormSums(parameters: 0, compared: 0)
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
