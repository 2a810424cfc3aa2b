import Compute
import Support

/// The order of samples from several data sets, which are mixed by weight.
///
/// A period of 2^16 samples takes a fixed number from each data set, in the order of a keyed permutation. Each
/// data set has a `SampleOrder` of its own. The order is a pure function of a sample's number: it does not depend
/// on the layout, and its memory is constant. With one data set and no weights, it is the data set's order.
package struct MixtureOrder: Sendable {
    /// A data set of the mixture.
    package struct Part: Sendable {
        let order: SampleOrder
        /// The position of the data set's first token among the tokens of all.
        let start: Int
        /// The numbers of the data set's samples within a period.
        let slots: Range<Int>
        /// The number of tokens in the data set.
        package let tokenCount: Int
    }

    /// The number of samples in a period.
    static let period = 1 << 16

    package let parts: [Part]
    /// The permutation of the samples of a period; nil for one data set.
    private let permutation: KeyedPermutation?

    /// Creates the order of one data set.
    ///
    /// - Throws: the same as `SampleOrder`.
    package init(seed: UInt64, tokenCount: Int, contextLength: Int) throws(Failure) {
        let order = try SampleOrder(
            seed: seed, tokenCount: tokenCount, contextLength: contextLength)
        parts = [Part(order: order, start: 0, slots: 0..<Self.period, tokenCount: tokenCount)]
        permutation = nil
    }

    /// Creates the order of data sets whose tokens follow one another.
    ///
    /// - Parameters:
    ///   - tokenCounts: the number of tokens of each data set.
    ///   - weights: the share of each data set's samples, relative to the sum of the weights.
    /// - Throws: `Failure` (configuration) if a share is less than one sample per period; the same as
    ///   `SampleOrder`.
    package init(
        seed: UInt64, tokenCounts: [Int], weights: [Double], contextLength: Int
    ) throws(Failure) {
        precondition(tokenCounts.count == weights.count, "a weight for each data set")
        let counts = try Self.slotCounts(weights)
        var parts: [Part] = []
        var (start, slot) = (0, 0)
        for (index, tokenCount) in tokenCounts.enumerated() {
            let order = try SampleOrder(
                seed: CounterRandom.mix(seed ^ CounterRandom.mix(UInt64(index))),
                tokenCount: tokenCount, contextLength: contextLength)
            parts.append(
                Part(
                    order: order, start: start, slots: slot..<slot + counts[index],
                    tokenCount: tokenCount))
            start += tokenCount
            slot += counts[index]
        }
        self.parts = parts
        permutation = KeyedPermutation(
            count: Self.period, random: CounterRandom(seed: seed, stream: .mixture))
    }

    /// Returns the number of samples of each data set in a period, by the largest remainders.
    private static func slotCounts(_ weights: [Double]) throws(Failure) -> [Int] {
        let sum = weights.reduce(0, +)
        let exact = weights.map { $0 / sum * Double(period) }
        var counts = exact.map { Int($0) }
        let byRemainder = exact.indices.sorted {
            let (first, second) = (exact[$0] - Double(counts[$0]), exact[$1] - Double(counts[$1]))
            return first != second ? first > second : $0 < $1
        }
        for index in byRemainder.prefix(period - counts.reduce(0, +)) { counts[index] += 1 }
        for (index, count) in counts.enumerated() where count == 0 {
            throw .key(
                "[[data.mixture]] \(index + 1): weight", weights[index],
                "is less than 1/\(period) of the sum of all weights",
                remedy: "use a larger weight, or remove the part")
        }
        return counts
    }

    /// Returns the position of a sample's first input. Samples are numbered from 0 over the entire
    /// run.
    package func offset(ofSample sample: Int) -> Int {
        guard let permutation else { return parts[0].order.offset(ofSample: sample) }
        let (period, index) = sample.quotientAndRemainder(dividingBy: Self.period)
        let slot = permutation.place(of: index, round: period)
        let part = parts[partIndex(ofSlot: slot)]
        return part.start
            + part.order.offset(
                ofSample: period * part.slots.count + slot - part.slots.lowerBound)
    }

    /// Returns the number of samples that each data set has among the first `count` of a run.
    package func sampleCounts(ofFirst count: Int) -> [Int] {
        guard let permutation else { return [count] }
        let (periods, rest) = count.quotientAndRemainder(dividingBy: Self.period)
        var counts = parts.map { periods * $0.slots.count }
        for index in 0..<rest {
            counts[partIndex(ofSlot: permutation.place(of: index, round: periods))] += 1
        }
        return counts
    }

    /// The approximate number of consecutive samples that do not repeat a token.
    package var samplesWithoutRepeat: Int {
        guard permutation != nil else { return parts[0].order.windowsPerEpoch }
        let counts = parts.map { part in
            let (high, low) = part.order.windowsPerEpoch.multipliedFullWidth(by: Self.period)
            return part.slots.count.dividingFullWidth((high, low)).quotient
        }
        return counts.min() ?? 0
    }

    private func partIndex(ofSlot slot: Int) -> Int {
        var (low, high) = (0, parts.count - 1)
        while low < high {
            let middle = (low + high) / 2
            if slot < parts[middle].slots.upperBound { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
