import Foundation

/// A folder for one test, removed with its last reference.
package final class TemporaryFolder: Sendable {
    package let path: String

    /// Makes a folder whose name has a space on purpose, except where a list of words is read from
    /// its path.
    package init(hasSpace: Bool = true) throws {
        let name = hasSpace ? "lockstep test " : "lockstep-test-"
        path = "\(FileManager.default.temporaryDirectory.path)/\(name)\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Writes a file and returns its path.
    @discardableResult
    package func write(_ name: String, _ bytes: some Sequence<UInt8>) throws -> String {
        try TestSupport.write(bytes, to: "\(path)/\(name)")
        return "\(path)/\(name)"
    }

    /// Writes a file and returns its path.
    @discardableResult
    package func write(_ name: String, _ text: String) throws -> String {
        try write(name, text.utf8)
    }

    /// Returns the bytes of a file.
    package func bytes(of name: String) throws -> [UInt8] {
        try TestSupport.bytes(of: "\(path)/\(name)")
    }

    /// Returns the text of a file.
    package func read(_ name: String) throws -> String {
        String(decoding: try bytes(of: name), as: UTF8.self)
    }

    /// Returns the sorted names in the folder or in a folder inside it.
    package func names(_ folder: String = "") throws -> [String] {
        try TestSupport.names(in: "\(path)/\(folder)")
    }
}
