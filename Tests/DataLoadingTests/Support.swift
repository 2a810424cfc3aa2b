import DataLoading
import FoundationEssentials
import Support
import Testing

let testFolder = String(#filePath.dropLast("/Support.swift".count))
let goldenFolder = testFolder + "/Golden"

/// GPT-2's own vocabulary, which is not part of the repository: `$LOCKSTEP_DATA/gpt2`, or
/// `shared/data/gpt2` beside the repository.
let gpt2Folder =
    (ProcessInfo.processInfo.environment["LOCKSTEP_DATA"] ?? testFolder + "/../../../shared/data")
    + "/gpt2"
let gpt2IsHere = FileManager.default.fileExists(atPath: gpt2Folder)

/// A folder of its own for a test, removed with it.
final class Scratch {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.path + "/lockstep-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    @discardableResult
    func write(_ name: String, _ bytes: some Sequence<UInt8>) throws -> String {
        try Data(bytes).write(to: URL(filePath: "\(path)/\(name)"))
        return "\(path)/\(name)"
    }

    @discardableResult
    func write(_ name: String, _ text: String) throws -> String { try write(name, text.utf8) }

    func read(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: URL(filePath: "\(path)/\(name)")))
    }

    func names(_ folder: String = "") throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: "\(path)/\(folder)").sorted()
    }
}

/// Expects a failure with a code whose one sentence has every one of these parts.
func expectFailure(
    _ code: Failure.Code, _ parts: String..., location: SourceLocation = #_sourceLocation,
    from body: () throws -> Void
) {
    do {
        try body()
        Issue.record("nothing was thrown", sourceLocation: location)
    } catch let failure as Failure {
        #expect(failure.code == code, sourceLocation: location)
        #expect(failure.sentence.hasSuffix("."), sourceLocation: location)
        #expect(!failure.sentence.contains("\n"), sourceLocation: location)
        for part in parts {
            #expect(failure.sentence.contains(part), sourceLocation: location)
        }
    } catch {
        Issue.record("threw \(error)", sourceLocation: location)
    }
}

/// Encodes in chunks of a size.
func encode(
    _ bytes: [UInt8], by tokenizer: some Tokenizer, chunk: Int
) throws(Failure) -> [UInt32] {
    var encoder = tokenizer.makeEncoder(source: "the text")
    var ids: [UInt32] = []
    for start in stride(from: 0, to: bytes.count, by: chunk) {
        let piece = Array(bytes[start..<min(start + chunk, bytes.count)])
        var failure: Failure?
        piece.withUnsafeBytes { piece in
            do throws(Failure) { try encoder.encode(piece, into: &ids) } catch { failure = error }
        }
        if let failure { throw failure }
    }
    try encoder.finish(into: &ids)
    return ids
}

/// Returns all tokens of a data set.
func ids(_ dataset: TokenDataset) throws -> [UInt32] {
    var ids = [Int32](repeating: 0, count: dataset.tokenCount)
    try ids.withUnsafeMutableBufferPointer { target in
        if let base = target.baseAddress {
            try dataset.copy(from: 0, count: dataset.tokenCount, into: base)
        }
    }
    return ids.map(UInt32.init)
}
