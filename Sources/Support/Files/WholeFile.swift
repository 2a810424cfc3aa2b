import Glibc

/// Reads all of a file's bytes.
///
/// - Throws: `.missingInput`, `.inputOutput`.
package func readBytes(_ path: String) throws(Failure) -> [UInt8] {
    guard !FileSystem.isFolder(path) else {
        throw .file(.missingInput, path, "is a folder", remedy: "give a file")
    }
    return try Descriptor(reading: path).readToEnd()
}

/// Reads all of a file's bytes; nil if there is no such file, or if it is a device or pipe, which
/// may be endless.
///
/// - Throws: `.inputOutput`.
package func readBytesIfPresent(_ path: String) throws(Failure) -> [UInt8]? {
    guard FileSystem.exists(path) else { return nil }
    let file = try Descriptor(reading: path)
    return try file.regularSize() == nil ? nil : file.readToEnd()
}

/// Reads a whole file as text.
///
/// - Throws: `.missingInput`, `.inputOutput`; `.badData` if it is not UTF-8.
package func readText(_ path: String) throws(Failure) -> String {
    guard let text = String(validating: try readBytes(path), as: UTF8.self) else {
        throw .file(.badData, path, "is not valid UTF-8", remedy: "give a text file")
    }
    return text
}
