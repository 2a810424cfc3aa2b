import Compute
import Support

/// The names of the tensors of an architecture in Hugging Face's folders.
package struct ModelNames: Sendable {
    /// The prefix that a model with a head puts before the names of its body, which is optional.
    package let prefix: String
    /// A function that returns whether a name without prefix is that of a buffer, which holds no
    /// parameters.
    package let isBuffer: @Sendable (_ name: String) -> Bool

    package init(prefix: String, isBuffer: @escaping @Sendable (_ name: String) -> Bool) {
        self.prefix = prefix
        self.isBuffer = isBuffer
    }

    /// Returns a name without its prefix.
    func bare(_ name: String) -> String {
        name.hasPrefix(prefix) ? String(name.dropFirst(prefix.count)) : name
    }
}

/// The tensors of a trained model in one safetensors file, or in several with an index.
///
/// The files stay open. Their index and headers are checked, because they may come from somebody else.
package final class ModelTensors {
    /// A tensor and the place where it is stored.
    struct Entry {
        let stored: StoredTensor
        let format: StoredFormat
        /// The index of its file.
        let shard: Int
    }

    /// An open file; a class, because an array cannot hold noncopyable values.
    private final class Shard {
        let file: SafetensorsFile

        init(opening path: String) throws(Failure) {
            try requireRegularFile(path)
            file = try SafetensorsFile(opening: path)
        }
    }

    /// The path of the folder or the file, for messages.
    package let path: String
    private let shards: [Shard]
    private let entries: [String: Entry]

    /// The name of the file with all tensors, and of the index of several files.
    static let singleName = "model.safetensors"
    static let indexName = "model.safetensors.index.json"
    /// The greatest number of files, all of which are open at the same time.
    static let mostShards = 512
    /// The greatest size of a JSON file in bytes, far above that of any model.
    package static let longestJSON = 16 << 20
    /// The number of bytes that are read at a time.
    private static let pieceBytes = 1 << 18

    /// Opens the tensors of a folder.
    ///
    /// - Throws: `.missingInput` if the folder has neither file; `.badData` if an index or a file
    ///   is damaged or names something outside the folder, or if a tensor appears twice or has a
    ///   type other than fp32, fp16 and bf16; `.inputOutput`.
    package convenience init(folder: String, names: ModelNames) throws(Failure) {
        if FileSystem.exists("\(folder)/\(Self.singleName)") {
            try self.init(path: folder, files: [Self.singleName], places: nil, names: names)
            return
        }
        let indexPath = "\(folder)/\(Self.indexName)"
        guard FileSystem.exists(indexPath) else {
            throw .file(
                .missingInput, folder, "has neither \(Self.singleName) nor \(Self.indexName)",
                remedy: "save the model there in the safetensors format")
        }
        let index: ShardIndex = try readModelJSON(indexPath)
        let files = try index.files(path: indexPath)
        try self.init(path: folder, files: files, places: index.places, names: names)
    }

    /// Opens the tensors of one file of a folder.
    ///
    /// - Throws: the same as `init(folder:names:)`.
    package convenience init(file: String, in folder: String, names: ModelNames) throws(Failure) {
        try self.init(path: folder, files: [file], places: nil, names: names)
    }

    private init(
        path: String, files: [String], places: [String: String]?, names: ModelNames
    ) throws(Failure) {
        self.path = path
        var shards: [Shard] = []
        var entries: [String: Entry] = [:]
        var unseen = places ?? [:]
        for (number, file) in files.enumerated() {
            let shard = try Shard(opening: "\(path)/\(file)")
            for tensor in shard.file.tensors {
                if let places {
                    guard unseen.removeValue(forKey: tensor.name) != nil,
                        places[tensor.name] == file
                    else {
                        throw Self.invalid(
                            "\(path)/\(file)",
                            "has the tensor \"\(tensor.name)\", which \(Self.indexName) does not "
                                + "place there")
                    }
                }
                let name = names.bare(tensor.name)
                if names.isBuffer(name) { continue }
                guard entries[name] == nil else {
                    throw Self.invalid(
                        "\(path)/\(file)", "has the tensor \"\(tensor.name)\" a second time")
                }
                entries[name] = Entry(
                    stored: tensor, format: try Self.format(of: tensor, in: "\(path)/\(file)"),
                    shard: number)
            }
            shards.append(shard)
        }
        if let name = unseen.keys.min() {
            throw Self.invalid(
                "\(path)/\(Self.indexName)",
                "places the tensor \"\(name)\" in \(unseen[name] ?? ""), which lacks it")
        }
        self.shards = shards
        self.entries = entries
    }

    private static func format(
        of tensor: StoredTensor, in path: String
    ) throws(Failure) -> StoredFormat {
        switch tensor.type {
        case .float32: return .fp32
        case .float16: return .fp16
        case .bfloat16: return .bf16
        default:
            throw .file(
                .badData, path,
                "has the tensor \"\(tensor.name)\" in \(tensor.type.rawValue), but only F32, F16 "
                    + "and BF16 are supported", remedy: "save the model in one of them")
        }
    }

    static func invalid(_ path: String, _ problem: String) -> Failure {
        .file(.badData, path, problem, remedy: "get a fresh copy of the model, or use another one")
    }

    // MARK: - Reading

    /// The names of all tensors without prefix, sorted.
    package var names: [String] {
        entries.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    /// Returns the shape of a tensor; nil if there is none of that name.
    package func shape(of name: String) -> [Int]? { entries[name]?.stored.shape }

    /// Checks that a tensor has a shape.
    ///
    /// - Parameter source: the file that states the shape, for messages.
    /// - Throws: `.badData` if there is no such tensor or it has another shape.
    package func require(_ name: String, shape: [Int], because source: String) throws(Failure) {
        guard let found = self.shape(of: name) else {
            throw Self.invalid(path, "has no tensor \"\(name)\"")
        }
        guard found == shape else {
            throw Self.invalid(
                path, "has the tensor \"\(name)\" of shape \(found), but \(source) needs \(shape)")
        }
    }

    /// Returns whether all numbers of a tensor are zero, or there is no such tensor.
    ///
    /// - Throws: `.inputOutput` if a file cannot be read; `.badData` if it became shorter.
    package func isZero(_ name: String) throws(Failure) -> Bool {
        guard let entry = entries[name] else { return true }
        var isZero = true
        try forEachPiece(of: entry) { (bytes, _) throws(Failure) in
            // The sign bit of a negative zero is in its last byte.
            let last = entry.format.bytes - 1
            isZero =
                isZero
                && bytes.enumerated().allSatisfy { place, byte in
                    byte == 0 || byte == 0x80 && place % entry.format.bytes == last
                }
        }
        return isZero
    }

    /// Returns whether two tensors exist and have the same type, shape and bytes.
    ///
    /// - Throws: the same as `isZero`.
    package func areEqual(_ name: String, _ other: String) throws(Failure) -> Bool {
        guard let a = entries[name], let b = entries[other], a.format == b.format,
            a.stored.shape == b.stored.shape
        else { return false }
        return try digest(of: a) == digest(of: b)
    }

    private func digest(of entry: Entry) throws(Failure) -> String {
        var hash = SHA256()
        try forEachPiece(of: entry) { (bytes, _) throws(Failure) in hash.update(bytes) }
        return hash.finish()
    }

    /// Returns a digest of the names, types, shapes and bytes of all tensors. It does not depend on
    /// the prefix of the names or on the division into files.
    ///
    /// - Throws: the same as `isZero`.
    package func digest() throws(Failure) -> String {
        try copy { _ in nil }
    }

    /// A place in memory for the first numbers of a tensor.
    package struct Destination {
        package let base: UnsafeMutablePointer<Float>
        /// The number of elements to copy, at most that of the tensor.
        package let count: Int

        package init(_ base: UnsafeMutablePointer<Float>, count: Int) {
            self.base = base
            self.count = count
        }
    }

    /// Reads all tensors, copies those that have a destination as fp32, and returns the digest.
    ///
    /// - Parameter destination: the place of a tensor; nil to read it only for the digest.
    /// - Throws: `.badData` if a copied tensor has a number that is not finite, or a file became
    ///   shorter; `.inputOutput`.
    package func copy(
        to destination: (_ name: String) -> Destination?
    ) throws(Failure) -> String {
        var hash = SHA256()
        let scratch = Buffer<Float>(count: Self.pieceBytes / 2)
        for name in names {
            guard let entry = entries[name] else { continue }
            let stored = entry.stored
            hash.update("\(name) \(stored.type.rawValue) \(stored.shape)\n")
            let place = destination(name)
            try forEachPiece(of: entry) { (bytes, start) throws(Failure) in
                hash.update(bytes)
                guard let place else { return }
                let count = bytes.count / entry.format.bytes
                widen(bytes, entry.format, into: scratch.base)
                let values = UnsafeBufferPointer(start: scratch.base, count: count)
                guard firstNonFinite(in: values) == nil else {
                    throw Self.invalid(
                        shards[entry.shard].file.path,
                        "holds a number in \"\(stored.name)\" that is not finite")
                }
                let copied = min(count, place.count - start)
                guard copied > 0 else { return }
                (place.base + start).update(from: scratch.base, count: copied)
            }
        }
        return hash.finish()
    }

    /// Returns an fp32 tensor, or its first rows, to be written under another name.
    ///
    /// - Parameter shape: the tensor's shape, or the same with fewer rows.
    /// - Throws: `.badData` if there is no such tensor in fp32.
    package func source(
        of name: String, named newName: String, shape: [Int]
    ) throws(Failure) -> TensorSource {
        guard let entry = entries[name], entry.format == .fp32,
            entry.stored.shape.dropFirst() == shape.dropFirst()
        else { throw Self.invalid(path, "has no tensor \"\(name)\" of fp32 numbers") }
        let size = shape.reduce(4, *)
        return TensorSource(name: newName, type: .float32, shape: shape) {
            [self] (write) throws(Failure) in
            try forEachPiece(of: entry) { (bytes, start) throws(Failure) in
                let rest = max(0, size - 4 * start)
                try write(UnsafeRawBufferPointer(rebasing: bytes.prefix(rest)))
            }
        }
    }

    /// Calls `body` with each piece of a tensor and the index of its first element.
    private func forEachPiece(
        of entry: Entry, _ body: (UnsafeRawBufferPointer, Int) throws(Failure) -> Void
    ) throws(Failure) {
        try shards[entry.shard].file.forEachPiece(of: entry.stored, bytes: Self.pieceBytes) {
            (piece, offset) throws(Failure) in try body(piece, offset / entry.format.bytes)
        }
    }
}

/// The index of the files of a model.
private struct ShardIndex: JSONReadable {
    /// The file of each tensor.
    let places: [String: String]

    init(json: JSONValue) throws(JSONProblem) { places = try json.read("weight_map") }

    /// Returns the names of the files, each of which must be in the index's own folder.
    func files(path: String) throws(Failure) -> [String] {
        let files = Set(places.values).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        for file in files {
            let bytes = file.utf8
            guard file.hasSuffix(".safetensors"), !file.hasPrefix("."),
                !bytes.contains(UInt8(ascii: "/")), !bytes.contains(0)
            else {
                throw ModelTensors.invalid(
                    path,
                    "names \(jsonQuoted(file)), which is not a safetensors file of its folder")
            }
        }
        guard files.count <= ModelTensors.mostShards else {
            throw .file(
                .badData, path,
                "names \(files.count) files, more than \(ModelTensors.mostShards)",
                remedy: "save the model in fewer files")
        }
        guard !files.isEmpty else { throw ModelTensors.invalid(path, "names no file") }
        return files
    }
}

/// Reads a JSON file of a model's folder, whose size is limited.
///
/// - Throws: `.missingInput`, `.inputOutput`; `.badData` that names the problem.
package func readModelJSON<Value: JSONReadable>(_ path: String) throws(Failure) -> Value {
    try requireRegularFile(path)
    if let size = FileSystem.fileSize(path), size > ModelTensors.longestJSON {
        throw ModelTensors.invalid(
            path, "has \(size) bytes, more than the \(ModelTensors.longestJSON) of any model")
    }
    return try readJSON(path, remedy: "get a fresh copy of the model, or use another one")
}

/// Checks that a path is not that of a pipe or a device, which may have no end.
private func requireRegularFile(_ path: String) throws(Failure) {
    guard FileSystem.exists(path), FileSystem.fileSize(path) == nil else { return }
    throw ModelTensors.invalid(path, "is not a file")
}
