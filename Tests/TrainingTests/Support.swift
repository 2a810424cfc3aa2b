import Foundation
import Support
import Testing
import Training

/// A folder for one test, removed with its last reference; its name has a space on purpose.
final class TemporaryFolder {
    let path: String

    init() throws {
        let url = FileManager.default.temporaryDirectory
            .appending(path: "lockstep training \(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        path = url.path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
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
    _ code: Failure.Code, _ words: [String], location: SourceLocation = #_sourceLocation,
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

/// A recipe from TOML text, under the name "test.toml".
func recipe(_ toml: String, set overrides: String...) throws(Failure) -> Recipe {
    try Recipe(toml: toml, name: "test.toml", overrides: overrides)
}
