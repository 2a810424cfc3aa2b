import Report
import Sweeps
import Testing

/// Tests of the answer of a sweep in two sentences.
@Suite struct PlainAnswerTests {
    private typealias Rule = PlainAnswer.Rule

    /// Returns verdicts at batches 8, 16, ... from letters: h holds, u is undecided, f fails.
    private func verdicts(_ letters: String) -> [(batch: Int, kind: Verdict.Kind)] {
        letters.enumerated().map { place, letter in
            (8 << place, letter == "h" ? .holds : letter == "f" ? .fails : .undecided)
        }
    }

    private func answer(
        _ rules: [Rule], batches: [Int] = [4, 8, 16, 32], growth: String? = "1.41 (1.36 to 1.46)"
    ) -> PlainAnswer {
        PlainAnswer(rules: rules, batches: batches, baseBatch: 4, growth: growth)
    }

    private func expect(
        _ answer: PlainAnswer, _ kind: Verdict.Kind, _ sentences: String...,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(answer.kind == kind, sourceLocation: sourceLocation)
        #expect([answer.finding, answer.outlook] == sentences, sourceLocation: sourceLocation)
    }

    @Test("one rule holds and the others fail")
    func decided() {
        expect(
            answer([
                Rule("none", verdicts: verdicts("fff"), side: .tooLow, cost: 0.2),
                Rule("sqrt", verdicts: verdicts("hhh"), cost: 0.001),
                Rule("linear", verdicts: verdicts("hff"), side: .tooHigh, cost: 0.1),
            ]), .holds,
            "When the batch grows from 4 to 32, the square-root rule's rate is still good; the "
                + "unchanged rate is too low from batch 8 and the linear rule's rate is too high from "
                + "batch 16.",
            "Each time the batch doubles, the best rate grows by a factor of 1.41 (1.36 to 1.46).")
    }

    @Test("several rules hold and none fails")
    func holdsOnly() {
        expect(
            answer(
                [
                    Rule("none", verdicts: verdicts("hhh"), cost: 0.004),
                    Rule("sqrt", verdicts: verdicts("hhh"), cost: 0.00002),
                ], growth: nil), .holds,
            "When the batch grows from 4 to 32, the unchanged rate and the square-root rule's rate "
                + "are still good.",
            "The square-root rule costs least: its loss is estimated at no more than 0.0001 above the "
                + "best one.")
    }

    @Test("one rule holds and another one is undecided")
    func holdsAndUndecided() {
        expect(
            answer([
                Rule("sqrt", verdicts: verdicts("hhh"), cost: 0.001),
                Rule("linear", verdicts: verdicts("uuu"), cost: 0.02),
            ]), .holds,
            "When the batch grows from 4 to 32, the square-root rule's rate is still good.",
            "It is undecided whether the linear rule's rate is good from batch 8 to 32.")
    }

    @Test("every rule fails")
    func failsOnly() {
        expect(
            answer([
                Rule("none", verdicts: verdicts("fff"), side: .tooLow, cost: 0.2),
                Rule("B^0.9", verdicts: verdicts("fff"), side: .tooHigh, cost: 0.03),
                Rule(
                    "adam-sde (trained)", isTrained: true, verdicts: verdicts("f"), side: .tooHigh),
            ]), .fails,
            "No rule is shown to give a good rate above batch 4; the unchanged rate is too low from "
                + "batch 8, the rate of the rule B^0.9 is too high from batch 8 and the rule adam-sde "
                + "(trained) is bad at batch 8.",
            "No rule that changes only the rate is good at every batch; the rule B^0.9 comes closest: "
                + "its loss is estimated at no more than 0.03 above the best one.")
    }

    @Test("nothing is decided")
    func undecidedOnly() {
        let rules = [
            Rule("none", verdicts: verdicts("uuu"), cost: 0.05),
            Rule("sqrt", verdicts: verdicts("uhu"), cost: 0.008),
            Rule("linear", verdicts: verdicts("uuu")),
        ]
        expect(
            answer(rules), .undecided,
            "No rule is shown to give a good rate from batch 4 up.",
            "It is undecided whether the unchanged rate and the linear rule's rate are good from "
                + "batch 8 to 32 and the square-root rule's rate at batches 8 and 32; the best guess "
                + "is the square-root rule: its loss is estimated at no more than 0.008 above the "
                + "best one.")
        expect(
            answer(rules.suffix(1)), .undecided,
            "No rule is shown to give a good rate above batch 4.",
            "It is undecided whether the linear rule's rate is good from batch 8 to 32; the runs "
                + "do not show yet which rule is the best guess.")
    }

    @Test("without a rule whose costs are all known, the best guess rests on the known ones")
    func partial() {
        let rules = [
            Rule("none", verdicts: verdicts("uuu"), cost: 0.02, isPartial: true),
            Rule("sqrt", verdicts: verdicts("uuf"), side: .tooHigh, cost: 0.1, isPartial: true),
            Rule("linear", verdicts: verdicts("uff"), side: .tooHigh, cost: .infinity),
        ]
        expect(
            answer(rules), .undecided,
            "No rule is shown to give a good rate above batch 4; the square-root rule's rate is too "
                + "high at batch 32 and the linear rule's rate is too high from batch 16.",
            "It is undecided whether the unchanged rate is good from batch 8 to 32, but it is the "
                + "best guess: its known costs are the lowest.")
        // A rule whose costs are all known is a better guess.
        let known = Rule("B^0.2", verdicts: verdicts("uuu"), cost: 0.03)
        #expect(
            answer(rules + [known]).outlook.contains("the best guess is the rule B^0.2: its loss"))
    }

    @Test("a rule that holds at first, is then undecided and fails is not called failing at first")
    func laterFailureIsNotAtFirst() {
        expect(
            answer([
                Rule("none", verdicts: verdicts("uff"), side: .tooLow, cost: 0.4),
                Rule("sqrt", verdicts: verdicts("huf"), side: .tooLow, cost: 0.026),
            ]), .undecided,
            "When the batch grows from 4 to 8, the square-root rule's rate is still good, but it is "
                + "too low at batch 32; the unchanged rate is too low from batch 16.",
            "No rule is good at every batch; the square-root rule comes closest: its loss is "
                + "estimated at no more than 0.026 above the best one.")
    }

    @Test("a rule that fails is no best guess while another one may hold")
    func guessMayHold() {
        expect(
            answer([
                Rule("none", verdicts: verdicts("hhf"), side: .tooLow, cost: 0.02),
                Rule("sqrt", verdicts: verdicts("uuu"), cost: 0.04),
            ]), .undecided,
            "When the batch grows from 4 to 16, the unchanged rate is still good, but it is too "
                + "low at batch 32.",
            "It is undecided whether the square-root rule's rate is good from batch 8 to 32, but "
                + "it is the best guess: its loss is estimated at no more than 0.04 above the best "
                + "one."
        )
    }

    @Test("a rule that fails at single batches, on different sides, is reported so")
    func failsBetween() {
        let rule = Rule("none", verdicts: verdicts("fhf"), cost: 0.1)
        #expect(
            answer([rule]).finding
                == "No rule is shown to give a good rate from batch 4 up; the unchanged rate is "
                + "bad at batches 8 and 32.")
    }

    @Test("a rule that was trained only up to a smaller batch does not hold up to the largest one")
    func shortRule() {
        let rule = Rule("adam-sde (trained)", isTrained: true, verdicts: verdicts("hh"))
        let found = answer([rule])
        #expect(found.kind == .undecided)
        #expect(
            found.finding
                == "When the batch grows from 4 to 16, the rule adam-sde (trained) is still good.")
    }

    @Test("a failure below the base batch is stated")
    func failsBelowBase() {
        let rule = Rule("sqrt", verdicts: verdicts("hhh"), cost: 0.03, failuresBelowBase: [1, 2])
        #expect(
            answer([rule], growth: nil).outlook
                == "The square-root rule costs least: its loss is estimated at no more than 0.03 above "
                + "the best one. Below the base batch, the square-root rule's rate is bad at batches 1 "
                + "and 2.")
    }

    @Test("sweeps that judge no rule say why")
    func nothingJudged() {
        let none = [Rule("sqrt", verdicts: [])]
        #expect(answer(none, batches: [4]).finding.hasPrefix("The runs have only one batch, so"))
        #expect(answer(none, batches: [8, 16]).finding.hasPrefix("No run of batch 4 has ended"))
        #expect(answer(none, batches: [2, 4]).finding.hasPrefix("Batch 4, from whose best rate"))
        #expect(answer([]).finding == "No rule was named, so none is judged.")
        #expect(
            answer([]).outlook
                == "Each time the batch doubles, the best rate grows by a factor of 1.41 (1.36 to "
                + "1.46).")
        let unknown = answer(none, batches: [4], growth: nil)
        #expect(unknown.outlook == "How the best rate changes with the batch is not known yet.")
        #expect(unknown.kind == .undecided)
    }
}
