import Support

/// A context with several possible endings, of which one is right.
package struct Question: Sendable, Equatable {
    /// A possible ending of the context.
    package struct Ending: Sendable, Equatable {
        /// The tokens; there is at least one.
        package let tokens: [UInt32]
        /// The length of the text in bytes, without the space that separates it from the context;
        /// nil if it is unknown.
        package let bytes: Int?
    }

    /// The tokens of the context; there is at least one.
    package let context: [UInt32]
    /// The endings, at least two.
    package let endings: [Ending]
    /// The index of the right ending.
    package let label: Int

    /// Reads questions from a file, which may be compressed: JSON lines as in HellaSwag, or llm.c's
    /// binary file; "-" is standard input.
    ///
    /// The first four bytes of llm.c's files are 20240522.
    ///
    /// - Parameters:
    ///   - tokenizer: the model's tokenizer. Without one, only a binary file can be read, and the
    ///     lengths of its endings in bytes are unknown.
    ///   - vocabularySize: the number of tokens that the model knows.
    /// - Throws: `Failure` (missing input, input/output); (bad data) that names the line or the
    ///   question at fault.
    package static func read(
        _ path: String, tokenizer: (any Tokenizer)?, vocabularySize: Int
    ) throws(Failure) -> [Question] {
        let name = path == "-" ? "standard input" : path
        let bytes = try readAll(path, name: name)
        let questions: [Question]
        if QuestionFile.isBinary(bytes) || path.hasSuffix(".bin") {
            var file = try QuestionFile(bytes, path: name, tokenizer: tokenizer)
            questions = try file.questions()
        } else if let tokenizer {
            questions = try QuestionLines(path: name, tokenizer: tokenizer).read(bytes)
        } else {
            throw .missingTokenizer(for: name)
        }
        guard !questions.isEmpty else {
            throw .file(.badData, name, "has no questions", remedy: questionRemedy)
        }
        for (number, question) in questions.enumerated() {
            let ids = [question.context] + question.endings.map(\.tokens)
            if let id = ids.joined().first(where: { $0 >= vocabularySize }) {
                throw outsideVocabulary(id, of: name, "in question \(number + 1)", vocabularySize)
            }
        }
        return questions
    }

    /// The size of the largest file in bytes. Devices have no end, and a compressed file can hide any size.
    private static let largestFile = 1 << 31

    private static func readAll(_ path: String, name: String) throws(Failure) -> [UInt8] {
        var bytes: [UInt8] = []
        var file = try InputFile(path, name: name)
        try file.forEachChunk { (chunk) throws(Failure) in
            try require(
                bytes.count + chunk.count <= largestFile,
                or: .file(
                    .badData, name, "has more than \(largestFile) bytes",
                    remedy: "check the path"))
            bytes.append(contentsOf: chunk)
        }
        return bytes
    }
}

/// The remedy for a file of questions with a mistake.
let questionRemedy = "give HellaSwag's JSON lines with ctx, endings and label, or llm.c's .bin"

extension Failure {
    /// Returns the failure of text for a model whose tokenizer is unknown.
    package static func missingTokenizer(for path: String) -> Failure {
        .file(
            .missingInput, path,
            "cannot be encoded, because the model's folder has no \(tokenizerFileName)",
            remedy: "copy it there from the data folder or from the original model")
    }
}
