import Glibc

/// A file to which whole lines are appended.
package struct AppendedFile: ~Copyable {
    private let descriptor: Descriptor
    /// The size at which an incomplete line begins that must be removed before the next one; nil if
    /// there is none.
    private var incompleteFrom: Int?

    /// Opens a file for appending, and creates it if it is missing; `new` refuses an existing one.
    ///
    /// A link is refused, because a folder from somebody else could make it append to any file.
    ///
    /// - Throws: `.inputOutput`.
    package init(opening path: String, new: Bool = false) throws(Failure) {
        descriptor = try Descriptor(
            opening: path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | (new ? O_EXCL : 0))
    }

    /// Appends text with one `write(2)`. If only a part of it fits, that part is removed again.
    ///
    /// - Throws: `.inputOutput`; the file is then unchanged.
    package mutating func append(_ text: [UInt8]) throws(Failure) {
        if let incompleteFrom {
            guard descriptor.truncate(to: incompleteFrom) else {
                throw .systemCall("written", descriptor.path)
            }
            self.incompleteFrom = nil
        }
        let size = try descriptor.regularSize() ?? 0
        var written = 0
        repeat {
            written = write(descriptor.number, text, text.count)
        } while written < 0 && errno == EINTR
        if written == text.count { return }
        let error = written < 0 ? errno : ENOSPC
        if written > 0, !descriptor.truncate(to: size) { incompleteFrom = size }
        throw .systemCall("written", descriptor.path, error: error)
    }

    /// Waits until everything appended is on the disk.
    ///
    /// - Throws: `.inputOutput`.
    package borrowing func synchronize() throws(Failure) { try descriptor.synchronize() }
}
