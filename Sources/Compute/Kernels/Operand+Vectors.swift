import CCompute

/// The numbers of an operand's row from a column on.
///
/// A loop over its vectors keeps the address in a register; `Operand` would recompute it for each
/// vector.
struct OperandRow {
    let base: UnsafeMutableRawPointer
    let precision: Precision

    /// Loads eight numbers, or the first `width` followed by zeros.
    @inline(__always)
    func load(_ start: Int, width: Int) -> Floats {
        switch precision {
        case .fp32: return base.assumingMemoryBound(to: Float.self).load(start, width: width)
        case .bf16:
            let numbers = base.assumingMemoryBound(to: UInt16.self) + start
            guard width < 8 else {
                return lockstep_widen8(UnsafeRawPointer(numbers).loadUnaligned(as: SIMD8.self))
            }
            var value = SIMD8<UInt16>.zero
            for lane in 0..<width { value[lane] = numbers[lane] }
            return lockstep_widen8(value)
        }
    }

    /// Writes eight numbers, or the first `width`, rounded to nearest in bf16.
    @inline(__always)
    func store(_ value: Floats, _ start: Int, width: Int) {
        switch precision {
        case .fp32: base.assumingMemoryBound(to: Float.self).store(value, start, width: width)
        case .bf16: storeRounded(value, at: base + 2 * start, width: width)
        }
    }
}

extension Operand {
    @inline(__always)
    func row(_ index: Int, from column: Int) -> OperandRow {
        OperandRow(base: row(index, column: column), precision: precision)
    }

    /// Loads eight numbers of a row, or the first `width` followed by zeros.
    @inline(__always)
    func load(_ row: Int, _ column: Int, width: Int) -> Floats {
        self.row(row, from: column).load(0, width: width)
    }

    /// Writes eight numbers of a row, or the first `width`, rounded to nearest in bf16.
    @inline(__always)
    func store(_ value: Floats, _ row: Int, _ column: Int, width: Int) {
        self.row(row, from: column).store(value, 0, width: width)
    }

    /// Writes a matrix into part of this operand, starting at a row and a column.
    @inline(__always)
    func store(_ matrix: Matrix, _ row: Int = 0, _ column: Int = 0) {
        for i in 0..<matrix.rows {
            let x = matrix.row(i)
            let y = self.row(row + i, from: column)
            forEachVector(matrix.columns) { start, width in
                y.store(x.load(start, width: width), start, width: width)
            }
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

/// Writes floats as bf16, rounded to nearest; `output` may be the address of the floats.
package func roundToOperand(
    _ values: UnsafePointer<Float>, count: Int, into output: UnsafeMutableRawPointer
) {
    let values = UnsafeMutablePointer(mutating: values)
    forEachVector(count) { start, width in
        storeRounded(values.load(start, width: width), at: output + 2 * start, width: width)
    }
}

/// Rounds floats in place to the nearest that bf16 holds.
package func roundToBFloat16(_ values: Matrix) {
    for row in 0..<values.rows {
        let place = values.row(row)
        forEachVector(values.columns) { start, width in
            let x = lockstep_narrow8(place.load(start, width: width))
            for lane in 0..<width {
                place[start + lane] = Float(bitPattern: UInt32(x[lane]) << 16)
            }
        }
    }
}
