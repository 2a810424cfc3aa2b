// The global norm of the gradients, in bits that depend on nothing but the gradients: the arena is
// cut into fixed blocks, each summed by a fixed pattern, and the blocks are added in their order.

import Tensors

/// The sum of squares of an arena, block by block.
package enum SumOfSquares {
    /// Elements in a block; the arena's last block may be shorter.
    package static let blockSize = 16_384

    /// The number of blocks in an arena of `count` elements.
    package static func blockCount(_ count: Int) -> Int { (count + blockSize - 1) / blockSize }

    /// Writes the sums of some blocks to their places in `sums`.
    ///
    /// Any thread may take any blocks. fp32 squares are exact in double, and so cannot overflow.
    ///
    /// - Parameters:
    ///   - blocks: which blocks, out of `blockCount(arena.count)`.
    ///   - arena: its number of elements is a multiple of `ArenaLayout.alignment`.
    ///   - sums: one element for each of the arena's blocks.
    package static func blocks(
        _ blocks: Range<Int>, of arena: Buffer<Float>, into sums: Buffer<Double>
    ) {
        let count = arena.count
        precondition(count % ArenaLayout.alignment == 0, "\(count) elements are not an arena")
        precondition(sums.count == blockCount(count), "\(sums.count) sums are not one a block")
        for block in blocks {
            let start = block * blockSize
            sums.elements[block] = sum(arena.base, start..<min(start + blockSize, count))
        }
    }

    /// The whole arena's sum of squares: its blocks' sums, added in order.
    package static func total(_ sums: Buffer<Double>) -> Double {
        var total = 0.0
        for sum in sums.elements { total += sum }
        return total
    }

    /// An arena's sum of squares, on the calling thread.
    package static func of(_ arena: Buffer<Float>) -> Double {
        let sums = Buffer<Double>(count: blockCount(arena.count))
        blocks(0..<sums.count, of: arena, into: sums)
        return total(sums)
    }

    /// Sixteen running sums, one for each place in a group of sixteen, joined at the end.
    private static func sum(_ values: UnsafePointer<Float>, _ range: Range<Int>) -> Double {
        var first = SIMD8<Double>()
        var second = SIMD8<Double>()
        var index = range.lowerBound
        while index < range.upperBound {
            let x = doubles(values + index)
            let y = doubles(values + index + 8)
            first.addProduct(x, x)
            second.addProduct(y, y)
            index += 16
        }
        let eight = first + second
        let four = eight.lowHalf + eight.highHalf
        let two = four.lowHalf + four.highHalf
        return two.x + two.y
    }

    @inline(__always)
    private static func doubles(_ x: UnsafePointer<Float>) -> SIMD8<Double> {
        SIMD8(
            Double(x[0]), Double(x[1]), Double(x[2]), Double(x[3]),
            Double(x[4]), Double(x[5]), Double(x[6]), Double(x[7]))
    }
}

/// What gradients are multiplied by so that their global norm does not pass `clipNorm`.
///
/// min(1, clipNorm / (norm + 1e-6)), as `torch.nn.utils.clip_grad_norm_`; 1 when `clipNorm` is 0.
/// Steps with a norm that is not finite are for the caller to skip: no coefficient saves them.
package func clippingCoefficient(norm: Double, clipNorm: Double) -> Float {
    guard clipNorm > 0 else { return 1 }
    return Float(min(1, clipNorm / (norm + 1e-6)))
}
