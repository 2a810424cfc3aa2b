import Glibc

/// Folders that appear completely or not at all.
package enum AtomicFolder {
    /// The suffix of a folder's name while its content is incomplete.
    package static let partialSuffix = ".partial"

    /// The name of the temporary folder inside an empty folder that is filled in place.
    package static let innerPartialName = "new" + partialSuffix

    /// Returns the temporary folder in which `create` fills a folder.
    package static func partial(of path: String) -> String {
        let inner = "\(path)/\(innerPartialName)"
        return FileSystem.isEmptyFolder(path) || FileSystem.exists(inner)
            ? inner : path + partialSuffix
    }

    /// Creates a folder under a temporary name, fills it and renames it.
    ///
    /// An empty folder that exists may be a mount point or the target of a link, which cannot be
    /// replaced. It is filled in place instead: everything is written into a temporary folder inside
    /// it and then moved up, `marker` last.
    ///
    /// - Parameters:
    ///   - path: a path that does not exist, or an empty folder; missing parent folders are created.
    ///   - marker: the file or folder whose presence marks the folder as complete.
    ///   - resumes: whether to continue in the temporary folder that an earlier call left.
    ///   - keepsPartial: whether the temporary folder stays after an error; read after the error.
    ///   - fill: a closure that gets the temporary folder's path. It must flush every file that it
    ///     writes to disk, as `OutputFile.finish()` does.
    /// - Throws: `.inputOutput`, or the error of `fill`; nothing is left behind unless `keepsPartial`.
    package static func create<Value>(
        at path: String, marker: String? = nil, resumes: Bool = false,
        keepsPartial: @autoclosure () -> Bool = false,
        _ fill: (_ partial: String) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        let partial = partial(of: path)
        if partial != path + partialSuffix {
            return try fillInPlace(
                path, marker: marker, resumes: resumes, keepsPartial: keepsPartial(), fill)
        }
        let parents = try FileSystem.makeFolders(FileSystem.parent(of: path))
        do throws(Failure) {
            if !resumes { try FileSystem.makeNewFolder(partial) }
        } catch {
            for parent in parents.reversed() { FileSystem.removeFolderIfEmpty(parent) }
            throw error
        }
        do throws(Failure) {
            let value = try fill(partial)
            try FileSystem.synchronizeFolder(partial)
            try FileSystem.rename(partial, to: path)
            return value
        } catch {
            if keepsPartial() { throw error }
            // The first error is the one to report.
            try? FileSystem.removeFlatFolder(partial)
            for parent in parents.reversed() { FileSystem.removeFolderIfEmpty(parent) }
            throw error
        }
    }

    private static func fillInPlace<Value>(
        _ path: String, marker: String?, resumes: Bool, keepsPartial: @autoclosure () -> Bool,
        _ fill: (_ partial: String) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        let partial = "\(path)/\(innerPartialName)"
        if !resumes { try FileSystem.makeNewFolder(partial) }
        var moved: [String] = []
        do throws(Failure) {
            let value = try fill(partial)
            let names = try FileSystem.names(in: partial)
            for name in names.filter({ $0 != marker }) + names.filter({ $0 == marker }) {
                try FileSystem.rename("\(partial)/\(name)", to: "\(path)/\(name)")
                moved.append(name)
            }
            try FileSystem.removeFlatFolder(partial)
            return value
        } catch {
            if keepsPartial() { throw error }
            for name in moved.reversed() { unlink("\(path)/\(name)") }
            try? FileSystem.removeFlatFolder(partial)
            throw error
        }
    }
}
