/// The number format of what enters matrix products.
package enum Precision: String, CaseIterable, Sendable {
    case fp32
    /// The upper half of fp32's bits: its range, with 8 bits of precision.
    case bf16

    /// Bytes of a number.
    package var bytes: Int { self == .fp32 ? 4 : 2 }
}
