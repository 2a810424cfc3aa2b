import CCompute

// The global norm of the gradients, with bits that depend only on the gradients: the arena is cut
// into fixed blocks, each block is summed in a fixed pattern, and the blocks are added in order.

/// The sum of squares of an arena, block by block.
package enum SumOfSquares {
    /// The number of elements in a block; the arena's last block may be shorter.
    package static let blockSize = 16_384

    /// The number of blocks in an arena of `count` elements.
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
            var accumulator = Accumulator()
            accumulator.add(arena.base + range.lowerBound, count: range.count)
            sums.elements[block] = accumulator.total
        }
    }

    /// Returns the whole arena's sum of squares: the sums of its blocks, added in order.
    package static func total(_ sums: Buffer<Double>) -> Double {
        var total = 0.0
        for sum in sums.elements { total += sum }
        return total
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
        var sums = (SIMD8<Float>(), SIMD8<Float>(), SIMD8<Float>(), SIMD8<Float>())
        var index = 0
        while index + 32 <= count {
            sums.0.addSquare(of: values + index)
            sums.1.addSquare(of: values + index + 8)
            sums.2.addSquare(of: values + index + 16)
            sums.3.addSquare(of: values + index + 24)
            index += 32
        }
        if index < count {
            sums.0.addSquare(of: values + index)
            sums.1.addSquare(of: values + index + 8)
        }
        let eight = (sums.0 + sums.1) + (sums.2 + sums.3)
        let four = eight.lowHalf + eight.highHalf
        let two = four.lowHalf + four.highHalf
        return Double(two.x + two.y)
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
                let x = doubles(values + index)
                let y = doubles(values + index + 8)
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

extension SIMD8<Float> {
    @inline(__always)
    fileprivate mutating func addSquare(of values: UnsafePointer<Float>) {
        let x = UnsafeRawPointer(values).loadUnaligned(as: SIMD8<Float>.self)
        addProduct(x, x)
    }
}

@inline(__always)
private func doubles(_ values: UnsafePointer<Float>) -> SIMD8<Double> {
    lockstep_doubles8(UnsafeRawPointer(values).loadUnaligned(as: SIMD8<Float>.self))
}
