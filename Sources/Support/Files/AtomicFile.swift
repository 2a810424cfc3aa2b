import Glibc

/// Files that appear completely or not at all.
package enum AtomicFile {
    /// Writes a file under a temporary name, brings it to the disk and renames it.
    ///
    /// An existing file of that name keeps its content until the rename. Messages name the file as
    /// the caller does.
    ///
    /// - Parameter fill: a closure that writes the content.
    /// - Throws: `.inputOutput`, or the error of `fill`; nothing is left behind.
    package static func write(
        to path: String, _ fill: (inout OutputFile) throws(Failure) -> Void
    ) throws(Failure) {
        let partial = path + AtomicFolder.partialSuffix
        do throws(Failure) {
            // In a folder from somebody else, the temporary name could be a link to any file.
            unlink(partial)
            var file = try OutputFile(creating: partial, named: path)
            try fill(&file)
            try file.finish()
            try FileSystem.rename(partial, to: path) { .systemCall("written", path) }
        } catch {
            unlink(partial)
            throw error
        }
    }

    /// Writes a text file.
    ///
    /// - Throws: `.inputOutput`; nothing is left behind.
    package static func write(_ text: String, to path: String) throws(Failure) {
        try write(to: path) { (file) throws(Failure) in try file.write(text) }
    }

    /// Replaces a text file and keeps the previous one: "recipe.toml" as
    /// "recipe.superseded-1.toml", or with the next free number. Does nothing if the text is
    /// unchanged.
    ///
    /// - Parameter before: the content of the file.
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
