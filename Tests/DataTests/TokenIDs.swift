import Data
import Support

/// Returns the ids of bytes that are encoded in chunks of a size.
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
