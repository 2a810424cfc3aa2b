import Compute

/// A model's parameters: an arena in fp32 and, for products in bf16, a rounded copy of it.
///
/// Code that changes the values must round them again before a model reads them.
package struct Parameters: Sendable {
    /// The arena, laid out by `GPTLayout`. A checkpoint contains it, and an optimizer updates it.
    package let values: Buffer<Float>
    package let precision: Precision
    private let rounded: Buffer<UInt16>?

    /// Creates the parameters in `values` for products in a precision, and rounds them all.
    ///
    /// - Parameter rounded: the memory of the rounded copy; nil to allocate it if necessary.
    package init(
        _ values: Buffer<Float>, precision: Precision = .fp32, rounded: Buffer<UInt16>? = nil
    ) {
        self.values = values
        self.precision = precision
        self.rounded = precision == .bf16 ? rounded ?? Buffer(count: values.count) : nil
        round(0..<values.count)
    }

    /// The bytes of the values and of their rounded copy.
    package var bytes: Int { values.bytes.count + (rounded?.bytes.count ?? 0) }

    /// Rounds a range of the values again after they have changed. The threads of a team may call
    /// this for separate ranges.
    package func round(_ range: Range<Int>) {
        guard let rounded else { return }
        roundToOperand(
            values.base + range.lowerBound, count: range.count,
            into: rounded.base + range.lowerBound)
    }

    /// Rounds all values again after they have changed.
    package func round(engine: ComputeEngine) {
        guard rounded != nil else { return }
        engine.team.forEach(SumOfSquares.blockCount(values.count)) { block, _ in
            round(SumOfSquares.range(ofBlock: block, count: values.count))
        }
    }

    /// Returns a tensor of two axes, of `rows` rows with its padding, as an operand of products.
    func operand(_ tensor: NamedTensor, rows: Int? = nil) -> Operand {
        let (offset, rows, columns) = (tensor.offset, rows ?? tensor.shape[0], tensor.shape[1])
        if let rounded {
            return Operand(
                rounded.base + offset, rows: rows, columns: columns, precision: .bf16)
        }
        return Operand(values.base + offset, rows: rows, columns: columns, precision: .fp32)
    }
}
