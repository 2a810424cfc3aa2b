import Recipes
import Support
import TestSupport
import Testing

private let variables = ["lr", "B", "B0", "k", "Bn"]

private func formula(_ text: String) throws(Failure) -> Formula {
    try Formula(text, key: "[scaling] formula", variables: variables)
}

/// Expects that a formula is refused with this sentence, which follows its name and text.
private func expect(
    _ text: String, _ sentence: String, sourceLocation: SourceLocation = #_sourceLocation
) {
    let stop = sentence.hasSuffix("?") ? "" : "."
    #expect(
        throws: Failure(
            .configuration,
            "[scaling] formula = \(text.debugDescription), column \(sentence)\(stop)"),
        sourceLocation: sourceLocation
    ) { _ = try formula(text) }
}

/// Tests of formulas.
@Suite struct FormulaTests {
    @Test("values equal those of Python with ** for ^")
    func values() throws {
        let formulas = try golden("scaling", as: ScalingGolden.self).formulas
        #expect(formulas.count == 38)
        for expected in formulas {
            let value = try formula(expected.text).value([1e-3, 96, 12, 8, 300])
            // A few nested functions are each within a unit in the last place.
            #expect(
                abs(value - expected.value) <= 4e-16 * abs(expected.value), "\(expected.text)")
        }
    }

    @Test("^ binds from the right, before a sign on its left and after one on its right")
    func powers() throws {
        for (text, value) in [
            ("-2^2", -4), ("(-2)^2", 4), ("2^3^2", 512), ("2^-1", 0.5), ("-2^-2", -0.25),
            ("1 - 2 - 3", -4), ("16 / 4 / 2", 2), ("2 + 3 * 4 ^ 2", 50),
        ] as [(String, Double)] {
            #expect(try formula(text).value([0, 0, 0, 0, 0]) == value, "\(text)")
        }
    }

    @Test("an undefined value is NaN, which no function hides")
    func undefined() throws {
        for text in [
            "log(-1)", "sqrt(-1)", "0/0", "min(1, log(-1))", "max(log(-1), 1)", "(-8)^(1/3)",
            "min(log(-1), 1)", "max(1, log(-1))",
        ] {
            #expect(try formula(text).value([0, 0, 0, 0, 0]).isNaN, "\(text)")
        }
        #expect(try formula("1/0").value([0, 0, 0, 0, 0]) == .infinity)
        #expect(try formula("log(0)").value([0, 0, 0, 0, 0]) == -.infinity)
    }

    @Test("a formula knows the variables that it mentions")
    func formulaKnowsItsVariables() throws {
        let some = try formula("lr * min(k, B)")
        #expect(["lr", "k", "B"].allSatisfy(some.mentions))
        #expect(!["B0", "Bn", "min", ""].contains(where: some.mentions))
    }

    @Test("errors name the column, the unexpected text and the possible ones")
    func errors() {
        let value = "write a number, one of lr, B, B0, k, Bn, a function or \"(\""
        let operators = "write one of + - * / ^ between two values"
        let names = "lr, B, B0, k, Bn, sqrt, log, exp, min, max"
        expect("", "1: the formula ends where a value must stand; \(value)")
        expect("   ", "4: the formula ends where a value must stand; \(value)")
        expect("lr * ", "6: the formula ends where a value must stand; \(value)")
        expect("lr * * k", "6: \"*\" stands where a value must stand; \(value)")
        expect("+1", "1: \"+\" stands where a value must stand; \(value)")
        expect("()", "2: \")\" stands where a value must stand; \(value)")
        expect("min(1,)", "7: \")\" stands where a value must stand; \(value)")
        expect("lr k", "4: \"k\" cannot follow a value; \(operators)")
        expect("lr(k)", "3: \"(\" cannot follow a value; \(operators)")
        expect("lr, k", "3: \",\" cannot follow a value; \(operators)")
        expect("lr)", "3: \")\" cannot follow a value; remove it, or open it before")
        expect("lr * (B/B0", "6: \"(\" is not closed; add \")\"")
        expect(
            "(1 2)",
            "4: \"2\" cannot follow a value; \(operators), or close the \"(\" of "
                + "column 1 before it")
        expect("sqrt", "1: \"sqrt\" is a function without its value; write sqrt(...)")
        expect("1 + min * 2", "5: \"min\" is a function without its value; write min(..., ...)")
        expect("sqrt(1, 2)", "1: \"sqrt\" has 2 values; give it one")
        expect("2*max(1)", "3: \"max\" has 1 value; give it two or more")
        expect("lr * Bo", "6: \"Bo\" is not one of \(names); did you mean \"B\"?")
        expect("lr * sqr(k)", "6: \"sqr\" is not one of \(names); did you mean \"sqrt\"?")
        expect("LR", "1: \"LR\" is not one of \(names); did you mean \"lr\"?")
        expect("b", "1: \"b\" is not one of \(names); did you mean \"B\"?")
        expect("x", "1: \"x\" is not one of \(names); use one of these")
        expect("temperature", "1: \"temperature\" is not one of \(names); use one of these")
        for number in ["2k", "1.2.3", "1e", "1e+", ".", "0x10", "1_000"] {
            expect(
                "lr * \(number)",
                "6: \"\(number)\" is not a number; write one such as 0.7 or 1e-4, and * between a "
                    + "number and a variable")
        }
        expect("1e999", "1: \"1e999\" is too large a number; write a smaller one")
        expect("lr · k", "4: \"·\" cannot follow a value; \(operators)")
        expect("lr * \u{1B}[31m", "6: \"\\u{1B}\" stands where a value must stand; \(value)")
        expect("lr *\0", "5: \"\\0\" stands where a value must stand; \(value)")
        expect("٣", "1: \"٣\" stands where a value must stand; \(value)")
    }

    @Test("no formula exhausts the stack or the memory")
    func hostile() throws {
        let deepest = Formula.deepest
        let deep =
            "the formula nests more than \(deepest) deep; write it with fewer parentheses, "
            + "signs and powers in one another"
        expect(String(repeating: "(", count: 400), "\(deepest + 1): \(deep)")
        expect(String(repeating: "-", count: 400), "\(deepest + 1): \(deep)")
        expect("1" + String(repeating: "^1", count: 200), "\(2 * deepest + 1): \(deep)")
        expect(String(repeating: "exp(", count: 100), "\(4 * deepest + 1): \(deep)")
        let nested =
            String(repeating: "(", count: deepest - 1) + "1"
            + String(repeating: ")", count: deepest - 1)
        #expect(try formula(nested).value([0, 0, 0, 0, 0]) == 1)
        let long = "1" + String(repeating: "+1", count: 249)
        #expect(try formula(long).value([0, 0, 0, 0, 0]) == 250)
        for text in [long + "+1", String(repeating: "(", count: 10_000_000)] {
            #expect(
                throws: Failure(
                    .configuration,
                    "[scaling] formula: has \(text.utf8.count) bytes, more than 500; write a "
                        + "shorter formula.")
            ) { _ = try formula(text) }
        }
        // Random sequences of pieces give a value or a sentence.
        let pieces = ["(", ")", "-", "^", "*", "1", ".", "e", "lr", "min(", ",", " ", "sqrt", "é"]
        var state: UInt64 = 1
        for _ in 0..<20_000 {
            var text = ""
            for _ in 0..<12 {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                text += pieces[Int(state >> 33) % pieces.count]
            }
            do throws(Failure) {
                _ = try formula(text).value([0, 0, 0, 0, 0])
            } catch {
                #expect(error.sentence.hasPrefix("[scaling] formula = "))
            }
        }
    }
}
