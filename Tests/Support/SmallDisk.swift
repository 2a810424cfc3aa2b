import Foundation

/// A small separate file system in memory.
package enum SmallDisk {
    /// Whether this process may mount file systems.
    package static let isPossible = (try? with(size: "64k") { _ in }) != nil

    /// Calls a closure with the path of a new file system and unmounts it afterward.
    ///
    /// The closure must close its files.
    package static func with(size: String, _ body: (_ path: String) throws -> Void) throws {
        let folder = try TemporaryFolder()
        try with(size: size, at: folder.path) { try body(folder.path) }
    }

    /// Calls a closure while a new file system is mounted at a path.
    package static func with(size: String, at path: String, _ body: () throws -> Void) throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try run("mount", "-t", "tmpfs", "-o", "size=\(size)", "tmpfs", path)
        let result = Result { try body() }
        try run("umount", path)
        try result.get()
    }

    private static func run(_ command: String, _ arguments: String...) throws {
        let outcome = try Launch.run(command, arguments)
        guard outcome.status == 0 else { throw CommandFailed(errors: outcome.errors) }
    }

    private struct CommandFailed: Error { let errors: String }
}
