import Support

/// The unchecked content of the files of a byte-pair vocabulary.
struct BytePairFiles {
    /// GPT-2's token that separates documents.
    static let gpt2EndOfText = "<|endoftext|>"

    /// The names of a folder's two files, by Hugging Face and by OpenAI.
    private static let pairsOfNames = [
        (vocabulary: "vocab.json", merges: "merges.txt"),
        (vocabulary: "encoder.json", merges: "vocab.bpe"),
    ]

    /// The tokens and their ids, in the order of the file.
    let vocabulary: [VocabularyEntry]
    /// The parts of each merge; well-formed ones have two.
    let merges: [[String]]
    /// The names of the files in messages.
    let names: (vocabulary: String, merges: String)
    /// The number of the first merge in its file, for messages.
    let firstLine: Int
    /// The settings of the tokenizer. Added tokens that the vocabulary lacks have the ids after it.
    var settings = BytePairSettings()
}

/// A token of a vocabulary and its id.
struct VocabularyEntry {
    let text: String
    let id: Int
}

/// The tokens and ids of a JSON object. A dictionary would join tokens that Unicode calls
/// equivalent.
struct VocabularyEntries: JSONReadable {
    let entries: [VocabularyEntry]

    init(json: JSONValue) throws(JSONProblem) {
        entries = try JSONObject(json: json).members.map { (member) throws(JSONProblem) in
            VocabularyEntry(text: member.key, id: try Int(json: member.value, at: member.key))
        }
    }
}

/// The remedies for files that are damaged, or of two models.
let useOwnFile = "use the model's own file"
let useOneModel = "use the two files of one model"

extension BytePairFiles {
    /// Reads the two files of a folder, or returns nil if it has none of them.
    ///
    /// - Throws: `Failure` (missing input) if one of a pair is missing; (bad data) if one has the
    ///   wrong format.
    init?(folder: String) throws(Failure) {
        for names in Self.pairsOfNames {
            let paths = (
                vocabulary: "\(folder)/\(names.vocabulary)", merges: "\(folder)/\(names.merges)"
            )
            let hasVocabulary = FileSystem.exists(paths.vocabulary)
            let hasMerges = FileSystem.exists(paths.merges)
            guard hasVocabulary || hasMerges else { continue }
            guard hasVocabulary && hasMerges else {
                let (present, missing) =
                    hasMerges ? (names.merges, names.vocabulary) : (names.vocabulary, names.merges)
                throw .file(
                    .missingInput, folder, "has \(present) but not \(missing)",
                    remedy: "put both files of the vocabulary there")
            }
            let vocabulary: VocabularyEntries = try readJSON(
                paths.vocabulary, remedy: "use the model's own \(names.vocabulary)")
            // The text is split by scalars, because CR LF is one Character.
            var lines = try readTextFile(paths.merges).unicodeScalars.split(
                separator: "\n", omittingEmptySubsequences: false
            ).map(String.init)
            let hasHeader = lines.first?.hasPrefix("#version") ?? false
            if hasHeader { lines.removeFirst() }
            while lines.last?.isEmpty ?? false { lines.removeLast() }
            self.init(
                vocabulary: vocabulary.entries, merges: lines.map { Self.parts(of: $0) },
                names: paths, firstLine: hasHeader ? 2 : 1)
            return
        }
        return nil
    }

    /// Returns the parts of a line of merges, which should be two tokens.
    static func parts(of line: some StringProtocol) -> [String] {
        var scalars = String(line).unicodeScalars[...]
        if scalars.last == "\r" { scalars.removeLast() }
        return scalars.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
    }

    /// Returns the vocabulary, after checking that it is consistent.
    ///
    /// - Throws: `Failure` (bad data) if ids have gaps, a merge is not a pair or names a token that
    ///   is not in the vocabulary, or `BytePairVocabulary` refuses it.
    func checked() throws(Failure) -> BytePairVocabulary {
        var tokenNames = [String?](repeating: nil, count: vocabulary.count)
        var ids: [[UInt8]: UInt32] = [:]
        ids.reserveCapacity(vocabulary.count)
        for entry in vocabulary {
            guard tokenNames.indices.contains(entry.id), tokenNames[entry.id] == nil else {
                throw .badData(
                    names.vocabulary,
                    "gives \(jsonQuoted(entry.text)) the id \(entry.id), but its "
                        + "\(vocabulary.count) tokens need the ids 0 to \(vocabulary.count - 1), "
                        + "each once", remedy: useOwnFile)
            }
            tokenNames[entry.id] = entry.text
            ids[Array(entry.text.utf8)] = UInt32(entry.id)
        }
        var pairs: [BytePairVocabulary.Merge] = []
        pairs.reserveCapacity(merges.count)
        for (index, parts) in merges.enumerated() {
            let place = "merge \(index + firstLine)"
            guard parts.count == 2 else {
                throw .badData(
                    names.merges,
                    "\(place) is \(jsonQuoted(parts.joined(separator: " "))), which is not two "
                        + "tokens", remedy: useOwnFile)
            }
            func id(of token: String) throws(Failure) -> UInt32 {
                if let id = ids[Array(token.utf8)] { return id }
                throw .badData(
                    names.merges,
                    "\(place) refers to \(jsonQuoted(token)), which is not in "
                        + names.vocabulary, remedy: useOneModel)
            }
            pairs.append(.init(left: try id(of: parts[0]), right: try id(of: parts[1])))
        }
        var settings = settings
        if settings.addedTokens.isEmpty, let id = ids[Array(Self.gpt2EndOfText.utf8)] {
            settings.addedTokens = [
                AddedToken(
                    id: id, content: Self.gpt2EndOfText, isSpecial: true, isNormalized: true)
            ]
        }
        let unlisted = settings.addedTokens.filter { $0.id >= vocabulary.count }
        return try BytePairVocabulary(
            names: tokenNames.compactMap(\.self) + unlisted.map(\.content), merges: pairs,
            endOfText: settings.endOfText, settings: settings, files: names, firstLine: firstLine)
    }
}
