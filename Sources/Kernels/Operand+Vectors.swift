import CVector
import Tensors

extension Operand {
    /// Eight numbers of a row, or the first `width` with zeros behind.
    @inline(__always)
    func load(_ row: Int, _ column: Int, width: Int) -> Floats {
        let place = self.row(row, column: column)
        switch precision {
        case .fp32: return place.assumingMemoryBound(to: Float.self).load(0, width: width)
        case .bf16:
            let numbers = place.assumingMemoryBound(to: UInt16.self)
            guard width < 8 else {
                return lockstep_widen8(UnsafeRawPointer(numbers).loadUnaligned(as: SIMD8.self))
            }
            var value = SIMD8<UInt16>.zero
            for lane in 0..<width { value[lane] = numbers[lane] }
            return lockstep_widen8(value)
        }
    }

    /// Writes eight numbers of a row, or the first `width`, rounded to nearest in bf16.
    @inline(__always)
    func store(_ value: Floats, _ row: Int, _ column: Int, width: Int) {
        let place = self.row(row, column: column)
        switch precision {
        case .fp32: place.assumingMemoryBound(to: Float.self).store(value, 0, width: width)
        case .bf16: storeRounded(value, at: place, width: width)
        }
    }

    /// Writes a matrix into a part of this, from a row and a column on.
    @inline(__always)
    func store(_ matrix: Matrix, _ row: Int, _ column: Int) {
        forEachVector(of: matrix) { i, start, width in
            store(
                matrix.row(i).load(start, width: width), row + i, column + start, width: width)
        }
    }
}

/// Writes eight numbers in bf16, or the first `width`.
@inline(__always)
func storeRounded(_ value: Floats, at place: UnsafeMutableRawPointer, width: Int) {
    let rounded = lockstep_narrow8(value)
    if width == 8 {
        place.storeBytes(of: rounded, as: SIMD8<UInt16>.self)
    } else {
        let numbers = place.assumingMemoryBound(to: UInt16.self)
        for lane in 0..<width { numbers[lane] = rounded[lane] }
    }
}

/// Writes floats as bf16, rounded to nearest; `output` may be where the floats are.
package func roundToOperand(
    _ values: UnsafePointer<Float>, count: Int, into output: UnsafeMutableRawPointer
) {
    let values = UnsafeMutablePointer(mutating: values)
    forEachVector(count) { start, width in
        storeRounded(values.load(start, width: width), at: output + 2 * start, width: width)
    }
}
