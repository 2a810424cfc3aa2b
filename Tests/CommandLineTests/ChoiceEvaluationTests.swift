import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests of `evaluate --multiple-choice`. The context is 32 characters.
    @Suite(.serialized) struct ChoiceEvaluationTests {
        /// A question of a test, in which each character is a token.
        private struct Question {
            let context: String
            let endings: [String]
            let label: Int
        }

        /// The right endings are those of the text on which the run is trained; the other ones have
        /// the same letters or are much shorter.
        private static let questions = [
            Question(context: "the lane and the", endings: ["knar", "rank"], label: 1),
            Question(
                context: "the rank make a", endings: ["sum, and the sum", "w,ms und eeh", "mus"],
                label: 0),
            Question(context: "a batch of", endings: ["i;", "eeeeesion", "noise falls"], label: 2),
            // The label is wrong, so no choice is right.
            Question(context: "the sum makes", endings: ["a tree", "f;hbr"], label: 1),
        ]

        private func bench() throws -> Workbench {
            let bench = try Workbench()
            let outcome = try bench.lockstep(
                bench.training(
                    set: "model.context_length=32", "training.steps=120", "evaluation.every=0",
                    "checkpoint.every=0"))
            try #require(outcome.status == 0, "\(outcome.errors)")
            let lines = Self.questions.map { question in
                let endings = question.endings.map { "\"\($0)\"" }.joined(separator: ", ")
                return "{\"ind\": 7, \"ctx\": \"\(question.context)\", \"endings\": [\(endings)], "
                    + "\"label\": \(question.label)}\n"
            }
            try bench.write(lines.joined(), to: "questions.jsonl")
            return bench
        }

        /// The answers that the program wrote.
        private struct Answer: Decodable, Equatable {
            let index: Int
            let label: Int
            let choice: Int
            let choiceNorm: Int?
            let choiceToken: Int
            let logLikelihoods: [Double]
        }

        private func answers(_ bench: Workbench, _ name: String) throws -> [Answer] {
            let decoder = JSONDecoder()
            decoder.keyDecodingStrategy = .convertFromSnakeCase
            return try bench.bytes(of: name).split(separator: UInt8(ascii: "\n")).map {
                try decoder.decode(Answer.self, from: Data($0))
            }
        }

        private func evaluate(
            _ bench: Workbench, _ file: String, answers: String? = nil, ranks: Int = 0,
            _ options: String...
        ) throws -> Outcome {
            try bench.lockstep(
                ["evaluate", bench.path("run"), "--multiple-choice", bench.path(file)]
                    + (answers.map { ["--answers", bench.path($0)] } ?? []) + options, ranks: ranks)
        }

        /// Returns the summed loss of all characters of a text after the first.
        private func total(_ bench: Workbench, _ text: String) throws -> Double {
            try bench.write(text, to: "part.txt")
            let outcome = try bench.lockstep(
                "evaluate", bench.path("run"), "--json", "--text", bench.path("part.txt"))
            let loss = try #require(outcome.output.firstMatch(of: /"loss":([-.0-9e]+)/)).1
            return try #require(Double(loss)) * Double(text.count - 1)
        }

        @Test("endings are scored after their context, and planted answers are found")
        func scores() throws {
            let bench = try bench()
            let outcome = try evaluate(bench, "questions.jsonl", answers: "answers.jsonl", "--json")
            try #require(outcome.status == 0, "\(outcome.errors)")
            let answers = try answers(bench, "answers.jsonl")
            #expect(answers.map(\.index) == [0, 1, 2, 3])
            #expect(answers.map(\.label) == Self.questions.map(\.label))
            var right = 0
            for (answer, question) in zip(answers, Self.questions) {
                for (ending, found) in zip(question.endings, answer.logLikelihoods) {
                    let expected =
                        try total(bench, question.context)
                        - total(bench, "\(question.context) \(ending)")
                    #expect(abs(found - expected) < 1e-4, "\(question.context) \(ending)")
                }
                func best(_ lengths: [Int]) -> Int? {
                    let scores = zip(answer.logLikelihoods, lengths).map { $0 / Double($1) }
                    return scores.firstIndex(of: scores.max() ?? 0)
                }
                #expect(answer.choice == best(question.endings.map { _ in 1 }))
                #expect(answer.choiceNorm == best(question.endings.map(\.count)))
                #expect(answer.choiceToken == best(question.endings.map { $0.count + 1 }))
                if answer.choice == question.label { right += 1 }
            }
            #expect(answers.map(\.choiceNorm) == [1, 0, 2, 0], "\(answers)")
            #expect(outcome.output.contains("\"acc\":\(Double(right) / 4),\"acc_norm\":0.75,"))
            #expect(outcome.output.contains("\"questions\":4}"))
            // The answers are not overwritten.
            let again = try evaluate(bench, "questions.jsonl", answers: "answers.jsonl")
            expectRefusal(again, 64, ["answers.jsonl: already exists"])
        }

        /// Returns the questions as llm.c's binary file.
        private func binary() -> [UInt8] {
            let vocabulary = Set(Workbench.text.unicodeScalars).sorted { $0.value < $1.value }
            func block(_ text: String) -> [UInt16] {
                [UInt16(text.count)]
                    + text.unicodeScalars.map { UInt16(vocabulary.firstIndex(of: $0) ?? 0) }
            }
            var words: [UInt16] = []
            for (index, question) in Self.questions.enumerated() {
                let blocks = block(question.context) + question.endings.flatMap { block(" \($0)") }
                words += [65535, UInt16(2 * (5 + blocks.count)), UInt16(index)]
                words += [UInt16(question.label), UInt16(question.endings.count)] + blocks
            }
            let header = [20_240_522, 1, Int32(Self.questions.count)]
            let padded = header + [Int32](repeating: 0, count: 253)
            return padded.flatMap { word in withUnsafeBytes(of: word.littleEndian, Array.init) }
                + words.flatMap { word in withUnsafeBytes(of: word.littleEndian, Array.init) }
        }

        @Test("the layout and the format do not change a bit")
        func layouts() throws {
            let bench = try bench()
            try Data(binary()).write(to: URL(filePath: bench.path("questions.bin")))
            let expected = try evaluate(bench, "questions.jsonl", answers: "lines", "--json")
            let answers = try bench.bytes(of: "lines")
            let binary = try evaluate(bench, "questions.bin", answers: "binary", "--json")
            #expect(binary.output == expected.output, "\(binary.errors)")
            #expect(try bench.bytes(of: "binary") == answers)
            for (ranks, threads) in [(1, 1), (2, 1), (3, 1), (2, 2)] {
                let name = "answers-\(ranks)-\(threads)"
                let outcome = try evaluate(
                    bench, "questions.jsonl", answers: name, ranks: ranks, "--json",
                    "--threads-per-rank", "\(threads)")
                #expect(outcome.output == expected.output, "\(outcome.errors)")
                #expect(try bench.bytes(of: name) == answers)
            }
            // Without a tokenizer, the lengths in bytes are unknown.
            try FileManager.default.removeItem(atPath: bench.path("run/tokenizer.json"))
            let plain = try evaluate(bench, "questions.bin", "--json")
            #expect(plain.output.contains("\"acc\":") && !plain.output.contains("acc_norm"))
            expectRefusal(try evaluate(bench, "questions.jsonl"), 66, ["has no tokenizer.json"])
        }

        @Test("a context that is too long loses its oldest tokens")
        func longContexts() throws {
            let bench = try bench()
            let text = "the lane and the rank make a sum, and the sum makes a"
            for (name, context) in [("long", text), ("short", String(text.suffix(28)))] {
                try bench.write(
                    "{\"ctx\": \"\(context)\", \"endings\": [\"tree\", \"eert\"], \"label\": 0}",
                    to: name)
                let outcome = try evaluate(bench, name, answers: "\(name).answers")
                #expect(outcome.status == 0, "\(outcome.errors)")
            }
            #expect(try bench.bytes(of: "long.answers") == bench.bytes(of: "short.answers"))
            let ending = String(repeating: "a", count: 32)
            try bench.write(
                "{\"ctx\": \"a\", \"endings\": [\"tree\", \"\(ending)\"], \"label\": 0}", to: "big")
            expectRefusal(
                try evaluate(bench, "big", ranks: 2), 65,
                ["big, question 1: has 33 tokens in ending 1, more than the model's context of 32"])
        }

        @Test("questions with mistakes are refused", arguments: [0, 2])
        func refusals(ranks: Int) throws {
            let bench = try bench()
            func refuse(_ line: String, _ words: String) throws {
                try bench.write(line, to: "bad.jsonl")
                expectRefusal(try evaluate(bench, "bad.jsonl", ranks: ranks), 65, [words])
            }
            try refuse("", "bad.jsonl: has no questions; give HellaSwag's JSON lines")
            try refuse("{\"ctx\"", "bad.jsonl, line 1: is not valid JSON")
            try refuse("{\"ctx\": \"a\", \"label\": 0}", "line 1: has no array at endings")
            try refuse(
                "{\"ctx\": \"a\", \"endings\": [\"a\", \"b\"], \"label\": 2}",
                "line 1: has the label 2, but its endings are 0 to 1")
            try refuse(
                "{\"ctx\": \"É\", \"endings\": [\"a\", \"b\"], \"label\": 0}",
                "bad.jsonl, line 1: has the character \"É\"")
            try Data(binary().dropLast()).write(to: URL(filePath: bench.path("cut.bin")))
            expectRefusal(
                try evaluate(bench, "cut.bin", ranks: ranks), 65,
                ["cut.bin: is cut off in question 4 of 4; write the file again"])
            var damaged = binary()
            damaged[1024 + 12] = 200
            try Data(damaged).write(to: URL(filePath: bench.path("other.bin")))
            expectRefusal(
                try evaluate(bench, "other.bin", ranks: ranks), 65,
                ["other.bin: has the token 200 in question 1, outside the model's vocabulary of 25"]
            )
            expectRefusal(
                try bench.lockstep(
                    "evaluate", bench.path("run"), "--answers", bench.path("new"), ranks: ranks),
                64, ["--answers: does nothing without --multiple-choice"])
        }
    }
}
