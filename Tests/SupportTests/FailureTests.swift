import Support
import Testing

/// Tests of the exit codes, which are a contract with scripts and schedulers: the numbers of
/// sysexits.h.
@Suite struct FailureTests {
    @Test("exit codes equal those of sysexits.h")
    func codesAreThoseOfSysexits() {
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
    func describesItselfByItsSentence() {
        let failure = Failure(.badData, "The file is empty; give another.")
        #expect("\(failure)" == failure.sentence)
        #expect(failure != Failure(.usage, failure.sentence))
    }
}
