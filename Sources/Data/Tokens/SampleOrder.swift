import Compute
import Support

/// The order of samples: a pure function from the number of a sample to a window of the training
/// tokens.
///
/// A sample consists of `contextLength` inputs and of their targets, which are shifted by one. An
/// epoch divides the tokens into `windowsPerEpoch` adjacent windows and visits each once, in the
/// order of a keyed permutation. A new random phase shifts the windows in each epoch. The order does not
/// depend on the layout, and its memory is constant.
package struct SampleOrder: Sendable {
    package let contextLength: Int
    /// The number of windows that an epoch visits (W).
    package let windowsPerEpoch: Int
    /// The number of positions at which the first window of an epoch can start.
    let phaseCount: Int

    private let random: CounterRandom
    private let permutation: KeyedPermutation

    /// Creates the order for N = `tokenCount` tokens and T = `contextLength`, with
    /// W = max(1, (N - T) / T).
    ///
    /// - Throws: `Failure` (bad data) with the largest possible context length if this one leaves
    ///   no room for a window and its last target; (configuration) if it is not positive.
    package init(seed: UInt64, tokenCount: Int, contextLength: Int) throws(Failure) {
        try checkContext(contextLength, tokenCount: tokenCount)
        self.contextLength = contextLength
        windowsPerEpoch = max(1, (tokenCount - contextLength) / contextLength)
        phaseCount = min(contextLength, tokenCount - windowsPerEpoch * contextLength)
        random = CounterRandom(seed: seed, stream: .sampleOrder)
        permutation = KeyedPermutation(count: windowsPerEpoch, random: random)
    }

    /// Returns the position of a sample's first input. Samples are numbered from 0 over the entire
    /// run.
    ///
    /// Sample n = step * globalBatch + i is window perm(n mod W) of epoch n / W, at phase +
    /// window * T. Its last target is at most the last token.
    package func offset(ofSample sample: Int) -> Int {
        precondition(sample >= 0, "samples are numbered from 0")
        let (epoch, index) = sample.quotientAndRemainder(dividingBy: windowsPerEpoch)
        return phase(ofEpoch: epoch) + window(at: index, ofEpoch: epoch) * contextLength
    }

    /// Returns the start of the first window of an epoch, in `0..<phaseCount`.
    func phase(ofEpoch epoch: Int) -> Int {
        // Counters whose second half is all ones belong to phases; the network does not use them.
        let bits = random.bits(UInt64(epoch), .max)
        return Int(bits.multipliedFullWidth(by: UInt64(phaseCount)).high)
    }

    /// Returns the window that an epoch visits at an index: a permutation of `0..<windowsPerEpoch`.
    func window(at index: Int, ofEpoch epoch: Int) -> Int {
        permutation.place(of: index, round: epoch)
    }
}

/// The adjacent windows over the validation tokens that contain each target exactly once.
package struct ValidationWindows: Sendable {
    package let contextLength: Int
    /// The number of windows; only the last can be shorter than `contextLength`.
    package let count: Int
    /// The number of targets, which is one less than that of tokens.
    package let targetCount: Int

    /// Creates the windows over `tokenCount` tokens.
    ///
    /// - Throws: `Failure` (bad data) if there are fewer than two tokens; (configuration) if
    ///   `contextLength` is not positive.
    package init(tokenCount: Int, contextLength: Int) throws(Failure) {
        try checkContext(min(contextLength, 1), tokenCount: tokenCount)
        self.contextLength = contextLength
        targetCount = tokenCount - 1
        count = (targetCount + contextLength - 1) / contextLength
    }

    /// Returns the first input of a window and the number of its targets; it spans `length + 1`
    /// tokens.
    package func window(_ index: Int) -> (offset: Int, length: Int) {
        precondition((0..<count).contains(index), "window \(index) of \(count)")
        let offset = index * contextLength
        return (offset, min(contextLength, targetCount - offset))
    }
}

private func checkContext(_ contextLength: Int, tokenCount: Int) throws(Failure) {
    guard contextLength >= 1 else {
        throw .key(
            "[model] context_length", contextLength, "must be at least 1",
            remedy: "write 1 or more")
    }
    guard tokenCount >= 2 else {
        throw .about(
            .badData, "the data",
            "has \(Format.counted(tokenCount, "token")), but at least two are needed, one to "
                + "predict the other",
            remedy: "use longer text")
    }
    guard contextLength < tokenCount else {
        throw .key(
            "[model] context_length", contextLength, "is too long for data of \(tokenCount) tokens",
            remedy: "write at most \(tokenCount - 1)", code: .badData)
    }
}
