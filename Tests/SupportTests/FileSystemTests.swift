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
}
