import Support

/// A reader of questions as JSON lines in HellaSwag's format (Zellers et al. 2019).
///
/// Each line is an object with `ctx`, `endings` and `label`; other keys are ignored. The ending is
/// encoded after a space and apart from the context, as in llm.c's `hellaswag.py`.
struct QuestionLines {
    let path: String
    let tokenizer: any Tokenizer

    /// Returns the questions; blank lines and a byte order mark at the start are skipped.
    ///
    /// - Throws: `Failure` (bad data) that names the line at fault.
    func read(_ bytes: [UInt8]) throws(Failure) -> [Question] {
        var questions: [Question] = []
        let lines = bytes.dropFirst(byteOrderMark(of: bytes)).split(
            separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() where !line.allSatisfy({ $0 == 32 || $0 == 13 }) {
            questions.append(try question(line, name: "\(path), line \(index + 1)"))
        }
        return questions
    }

    private func question(
        _ line: ArraySlice<UInt8>, name: String
    ) throws(Failure) -> Question {
        let entry: Entry
        do throws(JSONProblem) { entry = try Entry(parsing: line) } catch {
            throw .file(.badData, name, error.predicate, remedy: questionRemedy)
        }
        if let problem = entry.problem {
            throw .file(.badData, name, problem, remedy: questionRemedy)
        }
        var encoder = tokenizer.makeEncoder(source: name)
        let context = try encoder.encodeAll(entry.context)
        var endings: [Question.Ending] = []
        for text in entry.endings {
            endings.append(
                Question.Ending(
                    tokens: try encoder.encodeAll(" " + text), bytes: text.utf8.count))
        }
        return Question(context: context, endings: endings, label: entry.label)
    }

    /// The members of a line.
    private struct Entry: JSONReadable {
        let context: String
        let endings: [String]
        let label: Int

        init(json: JSONValue) throws(JSONProblem) {
            context = try json.read("ctx")
            endings = try json.read("endings")
            // Hugging Face's copy of the data set has labels as strings.
            let label: JSONValue? = try JSONObject(json: json)["label"]
            if case .string(let digits)? = label, let number = Int(digits) {
                self.label = number
            } else {
                self.label = try json.read("label")
            }
        }

        /// The mistake in the members, as the predicate of a sentence; nil if there is none.
        var problem: String? {
            if context.isEmpty { return "has an empty ctx" }
            if endings.count < 2 {
                return "has \(Format.counted(endings.count, "ending")), but a choice needs two"
            }
            if let place = endings.firstIndex(where: \.isEmpty) {
                return "has an empty ending \(place)"
            }
            guard endings.indices.contains(label) else {
                return "has the label \(label), but its endings are 0 to \(endings.count - 1)"
            }
            return nil
        }
    }
}
