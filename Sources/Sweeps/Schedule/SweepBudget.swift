import Support

/// The limit of a planned sweep.
package enum SweepBudget: Sendable, Equatable {
    /// The duration of the training in this start of the sweep.
    case seconds(Double)
    /// The number of runs in the sweep's folder.
    case runs(Int)
    /// The number of tokens on which these runs are trained.
    case tokens(Int)

    /// The greatest number of a unit; in seconds it is 30 years.
    private static let greatest = 1e9
    private static let greatestTokens = 1e15

    private static let units: [(names: [String], budget: @Sendable (Double) -> SweepBudget?)] = [
        (["s", "seconds", "second"], { .seconds($0) }),
        (["m", "min", "minutes", "minute"], { .seconds(60 * $0) }),
        (["h", "hours", "hour"], { .seconds(3600 * $0) }),
        (["runs", "run"], { Int(exactly: $0).map(SweepBudget.runs) }),
        (["tokens", "token"], { Int(exactly: $0).map(SweepBudget.tokens) }),
    ]

    /// Reads a budget such as "20m", "1h30m", "160 runs" or "2e9 tokens".
    ///
    /// - Throws: `Failure` (usage) if the text is not one.
    package init(_ text: String) throws(Failure) {
        if let parts = text.wholeMatch(of: /(\d{1,5})h *(\d{1,2})m(?:in)?/),
            let hours = Double(parts.1), let minutes = Double(parts.2), minutes < 60
        {
            self = .seconds(3600 * hours + 60 * minutes)
            return
        }
        let number = text.prefix { $0.isNumber || ".+-".contains($0) || $0 == "e" || $0 == "E" }
        // Units are in lowercase, because a capital M could mean millions.
        let unit = text.dropFirst(number.count).drop { $0 == " " }
        let known = Self.units.first { $0.names.contains(String(unit)) }
        let most = unit.hasPrefix("token") ? Self.greatestTokens : Self.greatest
        if known != nil || unit.isEmpty, let value = Double(number), value <= 0 {
            throw Failure.option(
                "--budget", "\(jsonQuoted(text))", "must be above 0",
                remedy: "write one such as 20m, 1h30m, \"160 runs\" or \"2e9 tokens\"")
        }
        guard let value = Double(number), value > 0, value <= most,
            let budget = known?.budget(value)
        else {
            throw Failure.option(
                "--budget", "\(jsonQuoted(text))",
                "is not a duration, a number of runs or a number of tokens",
                remedy: "write one such as 20m, 1h30m, \"160 runs\" or \"2e9 tokens\"")
        }
        self = budget
    }

    /// The budget as `init(_:)` reads it, without rounding.
    package var text: String {
        switch self {
        case .seconds(let seconds): "\(seconds)s"
        case .runs(let count): "\(count) runs"
        case .tokens(let count): "\(count) tokens"
        }
    }

    /// The budget in words.
    var phrase: String {
        switch self {
        case .seconds(let seconds): Format.duration(seconds, tenths: false)
        case .runs(let count): Format.counted(count, "run")
        case .tokens(let count): Format.counted(count, "token")
        }
    }
}
