import Support
import Sweeps
import Testing

/// Tests of the budget of a planned sweep.
@Suite struct SweepBudgetTests {
    @Test(
        "a budget is a duration, or a number of runs or tokens",
        arguments: [
            ("20m", SweepBudget.seconds(1200)), ("1.5h", .seconds(5400)), ("1h30m", .seconds(5400)),
            ("90 s", .seconds(90)), ("5 minutes", .seconds(300)), ("2 hours", .seconds(7200)),
            ("160 runs", .runs(160)), ("1run", .runs(1)), ("2e9 tokens", .tokens(2_000_000_000)),
        ])
    func budgets(text: String, budget: SweepBudget) throws {
        #expect(try SweepBudget(text) == budget)
        #expect(try SweepBudget(budget.text) == budget)
    }

    @Test(
        "a budget without a unit, or with a wrong one, is refused",
        arguments: [
            "20", "", "m", "-5m", "0 runs", "1.5 runs", "nan m", "20 minutes ago", "1e99 h",
            "9e14h", "1h75m", "8M", "2H",
        ])
    func badBudgets(text: String) {
        #expect {
            try SweepBudget(text)
        } throws: { error in
            "\(error)".contains("--budget") && (error as? Failure)?.code == .usage
        }
    }

    @Test(
        "a budget of at most 0 is refused for its size, not for its unit",
        arguments: ["0", "0m", "0 runs", "-5m"])
    func tooSmall(text: String) {
        let failure = #expect(throws: Failure.self) { try SweepBudget(text) }
        #expect(
            failure?.sentence.hasPrefix("--budget \"\(text)\": must be above 0; ") == true,
            "\(failure?.sentence ?? "")")
    }
}
