import Checkpointing
import Foundation
import Support
import Testing

/// A folder for one test, removed with its last reference.
final class TemporaryFolder {
    let path: String

    init() throws {
        var template = Array("/tmp/lockstep-test-XXXXXX".utf8CString)
        let name = try #require(mkdtemp(&template))
        path = String(cString: name)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// The bytes of a golden file.
func golden(_ name: String) throws -> [UInt8] {
    try bytes(of: goldenPath(name))
}

func goldenPath(_ name: String) -> String {
    let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    return tests.appendingPathComponent("Golden/\(name)").path
}

func bytes(of path: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
}

func write(_ bytes: some Sequence<UInt8>, to path: String) throws {
    try Data(bytes).write(to: URL(fileURLWithPath: path))
}

/// The names in a folder, sorted.
func names(in folder: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
}

/// The failure that a piece of code ends with, and nil where it ends well.
func caughtFailure(of body: () throws(Failure) -> Void) -> Failure? {
    do throws(Failure) {
        try body()
        return nil
    } catch { return error }
}

/// Expects a failure of a kind whose one sentence holds some words.
func expectFailure(
    _ code: Failure.Code, _ words: String..., location: SourceLocation = #_sourceLocation,
    of body: () throws(Failure) -> Void
) {
    guard let failure = caughtFailure(of: body) else {
        Issue.record("no failure with \(words)", sourceLocation: location)
        return
    }
    #expect(failure.code == code, "\(failure)", sourceLocation: location)
    for word in words {
        #expect(failure.sentence.contains(word), "\(failure)", sourceLocation: location)
    }
    #expect(!failure.sentence.contains("\n"), "\(failure)", sourceLocation: location)
}
