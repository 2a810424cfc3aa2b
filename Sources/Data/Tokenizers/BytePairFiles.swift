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

    /// The ids by token.
    let vocabulary: [String: Int]
    /// The parts of each merge; well-formed ones have two.
    let merges: [[String]]
    /// The names of the files in messages.
    let names: (vocabulary: String, merges: String)
    /// The number of the first merge in its file, for messages.
    let firstLine: Int
    /// The text of the token that separates documents; the vocabulary may lack it.
    let endOfText: String

    init(
        vocabulary: [String: Int], merges: [[String]],
        names: (vocabulary: String, merges: String), firstLine: Int,
        endOfText: String = gpt2EndOfText
    ) {
        self.vocabulary = vocabulary
        self.merges = merges
        self.names = names
        self.firstLine = firstLine
        self.endOfText = endOfText
    }

    /// Reads the two files of a folder, or returns nil if it has none of them.
    ///
    /// - Throws: `Failure` (missing input) if one of a pair is missing; (bad data) if one has the
    ///   wrong format.
    init?(folder: String) throws(Failure) {
        for names in Self.pairsOfNames {
            let vocabularyPath = "\(folder)/\(names.vocabulary)"
            let mergesPath = "\(folder)/\(names.merges)"
            switch (FileSystem.exists(vocabularyPath), FileSystem.exists(mergesPath)) {
            case (false, false): continue
            case (true, false), (false, true):
                let (there, missing) =
                    FileSystem.exists(mergesPath)
                    ? (names.merges, names.vocabulary) : (names.vocabulary, names.merges)
                throw .file(
                    .missingInput, folder, "has \(there) but not \(missing)",
                    remedy: "put both files of the vocabulary there")
            case (true, true):
                let remedy = "use the model's own \(names.vocabulary)"
                let vocabulary = try decodeJSONFile(
                    [String: Int].self, at: vocabularyPath, remedy: remedy)
                // The text is split by scalars, because CR LF is one Character.
                var lines = try readTextFile(mergesPath).unicodeScalars.split(
                    separator: "\n", omittingEmptySubsequences: false
                ).map(String.init)
                let hasHeader = lines.first?.hasPrefix("#version") ?? false
                if hasHeader { lines.removeFirst() }
                while lines.last?.isEmpty ?? false { lines.removeLast() }
                self.init(
                    vocabulary: vocabulary, merges: lines.map { Self.parts(of: $0) },
                    names: (vocabulary: vocabularyPath, merges: mergesPath),
                    firstLine: hasHeader ? 2 : 1)
                return
            }
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
        for (name, id) in vocabulary {
            guard tokenNames.indices.contains(id), tokenNames[id] == nil else {
                throw .file(
                    .badData, self.names.vocabulary,
                    "gives \"\(name)\" the id \(id), but its \(vocabulary.count) tokens need the "
                        + "ids 0 to \(vocabulary.count - 1), each once",
                    remedy: "use the model's own file")
            }
            tokenNames[id] = name
        }
        let names = tokenNames.compactMap { $0 }
        var pairs: [BytePairVocabulary.Merge] = []
        pairs.reserveCapacity(merges.count)
        for (index, parts) in merges.enumerated() {
            let place = "merge \(index + firstLine)"
            guard parts.count == 2 else {
                throw .file(
                    .badData, self.names.merges,
                    "\(place) is \"\(parts.joined(separator: " "))\", which is not two tokens",
                    remedy: "use the model's own file")
            }
            pairs.append(
                .init(left: try id(of: parts[0], in: place), right: try id(of: parts[1], in: place))
            )
        }
        return try BytePairVocabulary(
            names: names, merges: pairs, endOfText: vocabulary[endOfText].map(UInt32.init),
            files: self.names, firstLine: firstLine)
    }

    private func id(of token: String, in place: String) throws(Failure) -> UInt32 {
        guard let id = vocabulary[token] else {
            throw .file(
                .badData, names.merges,
                "\(place) refers to \"\(token)\", which is not in \(names.vocabulary)",
                remedy: "use the two files of one model")
        }
        return UInt32(id)
    }
}
