/// The number format of the operands of matrix products.
package enum Precision: String, CaseIterable, Sendable {
    case fp32
    /// The upper half of fp32's bits: the same range, with 8 bits of precision.
    case bf16

    /// The size of a number in bytes.
    package var bytes: Int { self == .fp32 ? 4 : 2 }
}
