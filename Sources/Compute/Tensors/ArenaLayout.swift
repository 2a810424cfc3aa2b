/// A tensor's name, shape and position in an arena.
public struct NamedTensor: Sendable, Equatable {
    public let name: String
    public let shape: [Int]
    /// The index of the first element in the arena.
    public let offset: Int

    /// The number of elements.
    public var count: Int { shape.reduce(1, *) }

    public init(name: String, shape: [Int], offset: Int) {
        self.name = name
        self.shape = shape
        self.offset = offset
    }

    /// The range of the elements in the arena.
    public var range: Range<Int> { offset..<offset + count }
}

/// The positions of tensors in one contiguous arena of elements.
///
/// Tensors start on multiples of 16 elements (64 bytes of fp32). The gaps always stay zero, so an
/// elementwise pass over the whole arena is one loop.
public struct ArenaLayout: Sendable {
    /// The number of elements to which every tensor's start is aligned.
    public static let alignment = 16

    /// The tensors in the order of their offsets.
    public private(set) var tensors: [NamedTensor] = []
    /// The arena's size in elements, including gaps; a multiple of `alignment`.
    public private(set) var count = 0

    public init() {}

    /// Appends a tensor after the last one and returns its description.
    ///
    /// The `padding` elements after it stay zero: rows that exist only to round a size up.
    @discardableResult
    public mutating func append(_ name: String, shape: [Int], padding: Int = 0) -> NamedTensor {
        let tensor = NamedTensor(name: name, shape: shape, offset: count)
        tensors.append(tensor)
        let alignment = Self.alignment
        count += (tensor.count + padding + alignment - 1) / alignment * alignment
        return tensor
    }

    /// The tensor with this name, or nil.
    public subscript(name: String) -> NamedTensor? { tensors.first { $0.name == name } }

    /// The number of elements that belong to tensors, without gaps and padding.
    package var elementCount: Int { tensors.reduce(0) { $0 + $1.count } }
}
