import CCompute

// The global norm of the gradients, with bits that depend only on the gradients: the arena is cut
// into fixed blocks, each block is summed in a fixed pattern, and the blocks are added in order.

/// The sum of squares of an arena, block by block.
package enum SumOfSquares {
    /// The number of elements in a block; the arena's last block may be shorter.
    package static let blockSize = 16_384

    /// Returns the number of blocks in an arena of `count` elements.
    package static func blockCount(_ count: Int) -> Int { (count + blockSize - 1) / blockSize }

    /// Returns the elements of a block of an arena of `count` elements.
    package static func range(ofBlock block: Int, count: Int) -> Range<Int> {
        block * blockSize..<min((block + 1) * blockSize, count)
    }

    /// Writes the sums of some blocks to their elements of `sums`.
    ///
    /// Any thread may take any blocks. fp32 squares are exact in double, and so cannot overflow.
    ///
    /// - Parameters:
    ///   - blocks: the blocks to sum, out of `blockCount(arena.count)`.
    ///   - arena: an arena whose number of elements is a multiple of `ArenaLayout.alignment`.
    ///   - sums: one element for each of the arena's blocks.
    package static func blocks(
        _ blocks: Range<Int>, of arena: Buffer<Float>, into sums: Buffer<Double>
    ) {
        let count = arena.count
        precondition(count % ArenaLayout.alignment == 0, "\(count) elements are not an arena")
        precondition(sums.count == blockCount(count), "\(sums.count) sums are not one per block")
        for block in blocks {
            let range = range(ofBlock: block, count: count)
            sums.elements[block] = of(arena.base + range.lowerBound, count: range.count)
        }
    }

    /// Returns the whole arena's sum of squares: the sums of its blocks, added in order.
    package static func total(_ sums: Buffer<Double>) -> Double {
        var total = 0.0
        for sum in sums.elements { total += sum }
        return total
    }

    /// Returns the sum of squares of at most a block's `count` values, a multiple of sixteen.
    package static func of(_ values: UnsafePointer<Float>, count: Int) -> Double {
        var accumulator = Accumulator()
        accumulator.add(values, count: count)
        return accumulator.total
    }

    /// Returns an arena's sum of squares, computed on the calling thread.
    package static func of(_ arena: Buffer<Float>) -> Double {
        let sums = Buffer<Double>(count: blockCount(arena.count))
        blocks(0..<sums.count, of: arena, into: sums)
        return total(sums)
    }

    /// Returns the sum of squares of a short run of values, computed in fp32 for statistics: half
    /// the work of the exact sum. A value beyond 1e19 makes it infinite.
    ///
    /// - Parameter count: a multiple of sixteen, at most a few thousand.
    @inline(__always)
    package static func inSinglePrecision(
        _ values: UnsafePointer<Float>, count: Int
    ) -> Double {
        // Four chains of additions keep up with the values that arrive from a core's second cache.
        var sums = (Floats.zero, Floats.zero, Floats.zero, Floats.zero)
        var index = 0
        while index + 32 <= count {
            sums.0.addSquare(values.load8(index))
            sums.1.addSquare(values.load8(index + 8))
            sums.2.addSquare(values.load8(index + 16))
            sums.3.addSquare(values.load8(index + 24))
            index += 32
        }
        if index < count {
            sums.0.addSquare(values.load8(index))
            sums.1.addSquare(values.load8(index + 8))
        }
        return Double(sum((sums.0 + sums.1) + (sums.2 + sums.3)))
    }

    /// The running sum of one block, taken piece by piece as the pieces pass through the cache.
    ///
    /// There are sixteen running sums, one for each position in a group of sixteen, joined at the
    /// end, so the result does not depend on where the block is cut.
    package struct Accumulator {
        /// The running sums of the even and odd groups of eight, for loops that also do other work.
        package var first = SIMD8<Double>()
        package var second = SIMD8<Double>()

        package init() {}

        /// Adds the squares of the block's next `count` values, a multiple of sixteen.
        package mutating func add(_ values: UnsafePointer<Float>, count: Int) {
            var first = first
            var second = second
            var index = 0
            while index < count {
                let x = lockstep_doubles8(values.load8(index))
                let y = lockstep_doubles8(values.load8(index + 8))
                first.addProduct(x, x)
                second.addProduct(y, y)
                index += 16
            }
            self.first = first
            self.second = second
        }

        /// The sum of all squares added.
        package var total: Double {
            let eight = first + second
            let four = eight.lowHalf + eight.highHalf
            let two = four.lowHalf + four.highHalf
            return two.x + two.y
        }
    }
}

extension Floats {
    @inline(__always)
    fileprivate mutating func addSquare(_ x: Floats) { addProduct(x, x) }
}
