import Foundation
import Support
import TestSupport
import Testing

/// Tests of questions about paths and of the removal of temporary files.
@Suite struct FileSystemTests {
    private let temporary: TemporaryFolder
    private var folder: String { temporary.path }

    init() throws { temporary = try TemporaryFolder() }

    @Test("the size of a file is its number of bytes, also through a link")
    func sizesOfFiles() throws {
        try AtomicFile.write("12345", to: "\(folder)/file")
        try FileManager.default.createSymbolicLink(
            atPath: "\(folder)/link", withDestinationPath: "file")
        #expect(FileSystem.fileSize("\(folder)/file") == 5)
        #expect(FileSystem.fileSize("\(folder)/link") == 5)
    }

    @Test("folders, devices and missing paths have no size")
    func pathsWithoutSize() throws {
        for path in [folder, "/dev/null", "\(folder)/missing"] {
            #expect(FileSystem.fileSize(path) == nil, "\(path)")
        }
    }

    @Test("a file that cannot be created or replaced is named as the caller names it")
    func namesInFailures() throws {
        let missing = "\(folder)/missing/page.html"
        let created = #expect(throws: Failure.self) { try AtomicFile.write("", to: missing) }
        #expect(
            created?.sentence
                == "\(missing): cannot be created (No such file or directory); check the path.")
        let written = #expect(throws: Failure.self) { try AtomicFile.write("", to: folder) }
        #expect(
            written?.sentence.hasPrefix("\(folder): cannot be written (Is a directory); ")
                == true, "\(written?.sentence ?? "")")
    }

    @Test("a file is removed, and a missing one is not an error")
    func removal() throws {
        let path = "\(folder)/file"
        try AtomicFile.write("text", to: path)
        FileSystem.removeIfPossible(path)
        #expect(!FileSystem.exists(path))
        FileSystem.removeIfPossible(path)
    }

    /// A folder from somebody else may hold links that lead anywhere.
    @Test("a link in a folder does not let a write or a removal reach another place")
    func linksAreNotFollowed() throws {
        let kept = "\(folder)/kept"
        try FileManager.default.createDirectory(atPath: kept, withIntermediateDirectories: false)
        try AtomicFile.write("own", to: "\(kept)/own.txt")
        func link(_ name: String, to target: String) throws {
            try FileManager.default.createSymbolicLink(
                atPath: "\(folder)/\(name)", withDestinationPath: target)
        }
        try link("step-1.partial", to: kept)
        try FileSystem.removeFlatFolder("\(folder)/step-1.partial")
        #expect(!FileSystem.exists("\(folder)/step-1.partial"))

        try link("page.html.partial", to: "\(kept)/own.txt")
        try AtomicFile.write("page", to: "\(folder)/page.html")
        #expect(try readText("\(folder)/page.html") == "page")

        try link("log", to: "\(kept)/own.txt")
        expectFailure(
            .inputOutput, "log: cannot be created", "replace the link by what it leads to"
        ) { () throws(Failure) in _ = try AppendedFile(opening: "\(folder)/log") }
        expectFailure(
            .inputOutput, "log: cannot be created", "replace the link by what it leads to"
        ) { () throws(Failure) in try takeLock("\(folder)/log") }
        #expect(try readText("\(kept)/own.txt") == "own")
    }

    /// Takes and releases a lock. The compiler crashes if a test's closure does this itself.
    private func takeLock(_ path: String) throws(Failure) {
        _ = try FileLock(waitingFor: path)
    }

    @Test("a file that states a huge size is refused before memory is allocated")
    func hugeFiles() throws {
        let path = "\(folder)/huge"
        try AtomicFile.write("{", to: path)
        try FileHandle(forWritingTo: URL(filePath: path)).truncate(atOffset: 1 << 43)
        let failure = #expect(throws: Failure.self) { try readBytes(path) }
        #expect(failure?.code == .badData)
        #expect(failure?.sentence.contains("has more than 2147483648 bytes") == true)
    }
}
