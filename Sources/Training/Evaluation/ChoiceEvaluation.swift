import Data
import MPI
import Support

/// The result of an evaluation on multiple-choice questions.
package struct ChoiceEvaluation: Sendable, Equatable {
    /// The answers to a question, by the index of the ending.
    package struct Answer: Sendable, Equatable {
        /// The right ending.
        package let label: Int
        /// The summed log-likelihood of each ending in nats.
        package let logLikelihoods: [Double]
        /// The ending with the greatest log-likelihood.
        package let choice: Int
        /// The ending with the greatest log-likelihood per byte; nil if a length is unknown.
        package let choicePerByte: Int?
        /// The ending with the greatest log-likelihood per token.
        package let choicePerToken: Int

        /// Creates the answers to a question whose endings have these log-likelihoods. The first of
        /// equal endings is chosen.
        init(_ question: Question, _ logLikelihoods: [Double]) {
            func best(_ lengths: [Int]) -> Int {
                let scores = zip(logLikelihoods, lengths).map { $0 / Double($1) }
                return scores.indices.dropFirst().reduce(0) { scores[$1] > scores[$0] ? $1 : $0 }
            }
            label = question.label
            self.logLikelihoods = logLikelihoods
            choice = best(question.endings.map { _ in 1 })
            choicePerToken = best(question.endings.map(\.tokens.count))
            let bytes = question.endings.compactMap(\.bytes)
            choicePerByte = bytes.count == question.endings.count ? best(bytes) : nil
        }

        /// The answers as a line of JSON.
        fileprivate func line(_ index: Int) -> String {
            let line: JSONObject = [
                "index": .integer(index), "label": .integer(label), "choice": .integer(choice),
                "choice_norm": choicePerByte.map { .integer($0) } ?? .null,
                "choice_token": .integer(choicePerToken),
                "log_likelihoods": .array(logLikelihoods.map { .number($0) }),
            ]
            return line.text
        }
    }

    /// The answers in the order of the questions; there is at least one.
    package let answers: [Answer]

    /// The fraction of questions for which the likeliest ending is the right one.
    package var accuracy: Double { fraction { $0.choice == $0.label } }
    /// The fraction for which the likeliest ending per byte is the right one; nil if a length is unknown.
    package var accuracyPerByte: Double? {
        answers.contains { $0.choicePerByte == nil }
            ? nil : fraction { $0.choicePerByte == $0.label }
    }
    /// The fraction for which the likeliest ending per token is the right one.
    package var accuracyPerToken: Double { fraction { $0.choicePerToken == $0.label } }

    private func fraction(_ isRight: (Answer) -> Bool) -> Double {
        Double(answers.count(where: isRight)) / Double(answers.count)
    }

    /// Writes the answers to each question as JSON lines.
    ///
    /// - Throws: `Failure` (input/output) if the file cannot be written.
    package func write(to path: String) throws(Failure) {
        try AtomicFile.write(to: path) { (file) throws(Failure) in
            for (index, answer) in answers.enumerated() {
                try file.write(answer.line(index) + "\n")
            }
        }
    }
}

extension EvaluatedModel {
    /// Returns the answers to the questions of a file, on the first rank, and nil on the others.
    /// Collective: every rank must call this.
    ///
    /// - Parameter answersPath: a new file for the answers; nil for none.
    /// - Throws: `Failure`, the same on all ranks, if the questions are invalid, if a loss is not a
    ///   number, or if the file exists or cannot be written.
    package func evaluate(
        questions path: String, writingAnswersTo answersPath: String?, in job: Job
    ) throws(Failure) -> ChoiceEvaluation? {
        let prepared = try job.communicator.onFirstRank { () throws(Failure) in
            if let answersPath {
                guard !FileSystem.exists(answersPath) else {
                    throw .taken(answersPath, remedy: "remove it or choose another file")
                }
                try FileSystem.requireWritable(answersPath)
            }
            let questions = try Question.read(
                path, tokenizer: tokenizer, vocabularySize: configuration.vocabularySize)
            let rows = try ScoredRows(
                questions, path: path, contextLength: configuration.contextLength)
            return (questions, rows)
        }
        let rows = try (prepared?.1 ?? ScoredRows()).fromFirstRank(job.communicator)
        let losses = try rows.losses(of: self, in: job)
        return try job.communicator.onFirstRank { () throws(Failure) in
            var rest = losses[...]
            let answers = (prepared?.0 ?? []).map { question in
                defer { rest = rest.dropFirst(question.endings.count) }
                return ChoiceEvaluation.Answer(
                    question, rest.prefix(question.endings.count).map { -$0 })
            }
            let evaluation = ChoiceEvaluation(answers: answers)
            if let answersPath { try evaluation.write(to: answersPath) }
            return evaluation
        }
    }
}
