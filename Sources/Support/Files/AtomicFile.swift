import Glibc

/// Files that appear whole or not at all.
package enum AtomicFile {
    /// Writes a file under a temporary name, brings it to the disk and then gives it its name.
    ///
    /// Until the rename a file of that name, if there was one, stays as it was.
    ///
    /// - Parameter fill: writes the content.
    /// - Returns: the size and digest of what was written.
    /// - Throws: `.inputOutput`, or what `fill` throws; nothing is left behind.
    @discardableResult
    package static func write(
        to path: String, _ fill: (inout OutputFile) throws(Failure) -> Void
    ) throws(Failure) -> FileRecord {
        let partial = path + AtomicFolder.partialSuffix
        do throws(Failure) {
            var file = try OutputFile(creating: partial)
            try fill(&file)
            let record = try file.finish()
            try FileSystem.rename(partial, to: path)
            return record
        } catch {
            unlink(partial)
            throw error
        }
    }

    /// Writes a text file.
    ///
    /// - Throws: `.inputOutput`; nothing is left behind.
    @discardableResult
    package static func write(_ text: String, to path: String) throws(Failure) -> FileRecord {
        try write(to: path) { (file) throws(Failure) in try file.write(text) }
    }

    /// Writes a text file over another, which is kept: "recipe.toml" as "recipe.superseded-1.toml",
    /// or with the next number that is free. The same text changes nothing.
    ///
    /// - Parameter before: what the file holds.
    /// - Throws: `.inputOutput`.
    package static func supersede(
        _ path: String, holding before: String, with text: String
    ) throws(Failure) {
        guard before != text else { return }
        let name = path.suffix(from: path.lastIndex(of: "/") ?? path.startIndex)
        let dot = name.lastIndex(of: ".") ?? path.endIndex
        let kept = { (number: Int) in "\(path[..<dot]).superseded-\(number)\(path[dot...])" }
        var number = 1
        while FileSystem.exists(kept(number)) { number += 1 }
        try write(before, to: kept(number))
        try write(text, to: path)
    }
}

/// Folders that appear whole or not at all.
package enum AtomicFolder {
    /// The suffix of a folder's name while its content is incomplete.
    package static let partialSuffix = ".partial"

    /// The name of the temporary folder inside an empty folder that is filled in place.
    package static let innerPartialName = "new" + partialSuffix

    /// Makes a folder under a temporary name, has it filled, and then gives it its name.
    ///
    /// An empty folder that exists may be a mount point or the target of a link, which cannot be
    /// replaced. It is filled in place instead: everything is written into a temporary folder inside
    /// it and then moved up, `marker` last.
    ///
    /// - Parameters:
    ///   - path: a path that does not exist, or an empty folder; missing parent folders are made.
    ///   - marker: the file or folder whose presence marks the folder as complete.
    ///   - fill: receives the temporary folder's path and must bring every file it writes there to
    ///     the disk, as `OutputFile.finish()` does.
    /// - Throws: `.inputOutput`, or what `fill` throws; the temporary folder is then removed.
    package static func create(
        at path: String, marker: String? = nil, _ fill: (_ partial: String) throws(Failure) -> Void
    ) throws(Failure) {
        if FileSystem.isEmptyFolder(path) {
            return try fillInPlace(path, marker: marker, fill)
        }
        let partial = path + partialSuffix
        try FileSystem.makeFolders(FileSystem.parent(of: path))
        try FileSystem.makeNewFolder(partial)
        do throws(Failure) {
            try fill(partial)
            try FileSystem.synchronizeFolder(partial)
            try FileSystem.rename(partial, to: path)
        } catch {
            // The first error is the one that matters; what cannot be removed now is removed later.
            try? FileSystem.removeFlatFolder(partial)
            throw error
        }
    }

    private static func fillInPlace(
        _ path: String, marker: String?, _ fill: (_ partial: String) throws(Failure) -> Void
    ) throws(Failure) {
        let partial = "\(path)/\(innerPartialName)"
        try FileSystem.makeNewFolder(partial)
        var moved: [String] = []
        do throws(Failure) {
            try fill(partial)
            let names = try FileSystem.names(in: partial)
            for name in names.filter({ $0 != marker }) + names.filter({ $0 == marker }) {
                try FileSystem.rename("\(partial)/\(name)", to: "\(path)/\(name)")
                moved.append(name)
            }
            try FileSystem.removeFlatFolder(partial)
        } catch {
            for name in moved.reversed() { unlink("\(path)/\(name)") }
            try? FileSystem.removeFlatFolder(partial)
            throw error
        }
    }
}
