/// The division of numbered pieces of work among ranks: rank r of P takes the pieces r, r + P, ...
package struct GridShares: Sendable, Equatable {
    package let count: Int
    package let size: Int

    package init(count: Int, size: Int) {
        precondition(count >= 1 && size >= 1, "there must be at least one piece and one rank")
        self.count = count
        self.size = size
    }

    package func pieces(ofRank rank: Int) -> [Int] {
        Array(stride(from: rank, to: count, by: size))
    }

    /// The number of values that every rank sends, the same on all ranks.
    package var slots: Int { (count + size - 1) / size }

    /// Returns the results of the pieces in order.
    ///
    /// - Parameter gathered: `slots` values from each rank, in the order of the ranks.
    package func assemble(_ gathered: [Double]) -> [Double] {
        precondition(gathered.count == slots * size, "every rank sends \(slots) numbers")
        return (0..<count).map { gathered[$0 % size * slots + $0 / size] }
    }
}
