import Support
import Testing

/// Tests of the exit codes, which are a contract with scripts and schedulers: the numbers of
/// sysexits.h.
@Suite struct FailureTests {
    @Test("exit codes equal those of sysexits.h")
    func codesEqualSysexits() {
        let codes: [(Failure.Code, Int32)] = [
            (.usage, 64), (.badData, 65), (.missingInput, 66), (.bug, 70), (.inputOutput, 74),
            (.requeue, 75), (.configuration, 78),
        ]
        for (code, number) in codes {
            #expect(code.rawValue == number)
            #expect(Failure.Code(rawValue: number) == code)
        }
    }

    @Test("a failure describes itself by its sentence")
    func failureIsDescribedByItsSentence() {
        let failure = Failure(.badData, "The file is empty; give another.")
        #expect("\(failure)" == failure.sentence)
        #expect(failure != Failure(.usage, failure.sentence))
    }

    @Test("a name from a file can neither break the line nor command a terminal")
    func controlCharactersAreEscaped() {
        let failure = Failure.file(
            .badData, "a\nb", "has the key \"\u{1B}[2J\u{9B}é\"", remedy: "correct it")
        #expect(failure.sentence == #"a\nb: has the key "\u{1B}[2J\u{009B}é"; correct it."#)
    }

    @Test("every builder gives the subject, the problem and the remedy")
    func builders() {
        let failures: [(Failure, Failure.Code, String)] = [
            (
                .file(.badData, "a.txt", "is empty", remedy: "give another"), .badData,
                "a.txt: is empty; give another."
            ),
            (
                .option("--grid", 2, "must be from 3 to 501", remedy: "try 21"), .usage,
                "--grid 2: must be from 3 to 501; try 21."
            ),
            (
                .option("--rules", "is for CSV files", remedy: "leave it out"), .usage,
                "--rules: is for CSV files; leave it out."
            ),
            (
                .missing("<recipe>", remedy: "name one"), .usage,
                "<recipe>: is missing; name one."
            ),
            (
                .key("[model] heads", 3, "does not divide width = 16", remedy: "use 4"),
                .configuration, "[model] heads = 3: does not divide width = 16; use 4."
            ),
            (
                .about(.usage, "\"trian\"", "is not a command", remedy: "did you mean \"train\"?"),
                .usage, "\"trian\": is not a command; did you mean \"train\"?"
            ),
        ]
        for (failure, code, sentence) in failures {
            #expect(failure == Failure(code, sentence))
            #expect(failure.line == "lockstep: \(sentence)")
        }
    }

    @Test("a number outside its range is refused with the range")
    func ranges() throws {
        try requireOption("--grid", 3, in: 3...501, remedy: "try 21")
        try requireOption("--grid", 501, in: 3...501, remedy: "try 21")
        for number in [2, 502] {
            #expect(
                throws: Failure.option(
                    "--grid", number, "must be from 3 to 501", remedy: "try 21")
            ) { try requireOption("--grid", number, in: 3...501, remedy: "try 21") }
        }
    }
}
