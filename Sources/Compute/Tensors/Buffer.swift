import Glibc
import Support

/// 64-byte-aligned memory for `count` elements, its own or part of another owner's.
///
/// An arena is one buffer with an `ArenaLayout` that gives each tensor's position.
/// The class is `@unchecked Sendable` because the thread team's tiles write disjoint parts of it.
public final class Buffer<Element: BitwiseCopyable>: @unchecked Sendable {
    public let base: UnsafeMutablePointer<Element>
    public let count: Int
    /// The owner of the memory; nil if the buffer owns it.
    private let owner: AnyObject?

    /// Allocates zeroed memory, which is freed with the buffer's last reference.
    public init(count: Int) {
        precondition(count >= 0, "a buffer cannot have \(count) elements")
        let bytes = max(64, count * MemoryLayout<Element>.stride)
        let memory = alignedMemory(bytes: bytes)
        memset(memory, 0, bytes)
        base = memory.bindMemory(to: Element.self, capacity: count)
        self.count = count
        owner = nil
    }

    /// Creates a view of memory that belongs to `owner`, which the buffer keeps alive.
    package init(at base: UnsafeMutablePointer<Element>, count: Int, owner: AnyObject) {
        self.base = base
        self.count = count
        self.owner = owner
    }

    deinit { if owner == nil { free(base) } }

    /// The elements, as a Swift collection.
    public var elements: UnsafeMutableBufferPointer<Element> {
        UnsafeMutableBufferPointer(start: base, count: count)
    }

    /// The memory, as bytes.
    public var bytes: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(elements) }

    /// A new buffer with the same elements.
    package var copy: Buffer<Element> {
        let copy = Buffer<Element>(count: count)
        copy.fill(from: self)
        return copy
    }

    /// Copies the elements of another buffer of the same length.
    package func fill(from other: Buffer<Element>) {
        precondition(other.count == count, "the buffers must have the same length")
        base.update(from: other.base, count: count)
    }
}

/// Returns memory with arbitrary contents, to be freed with `free`. It is aligned to 64 bytes, or
/// to 2 MiB if it is large, so that the kernel can back it with huge pages.
package func alignedMemory(bytes: Int) -> UnsafeMutableRawPointer {
    let hugePage = 2 << 20
    var memory: UnsafeMutableRawPointer?
    let status = posix_memalign(&memory, bytes >= hugePage ? hugePage : 64, max(bytes, 64))
    guard status == 0, let memory else {
        Failure.about(
            .configuration, "\((bytes + 1_048_575) / 1_048_576) MiB of memory",
            "cannot be allocated (\(systemMessage(status)))",
            remedy: "lower the model's size or micro_batch, start fewer ranks, or raise the limit "
                + "(ulimit -v)"
        ).endProcess()
    }
    if bytes >= hugePage { madvise(memory, bytes, MADV_HUGEPAGE) }
    return memory
}
