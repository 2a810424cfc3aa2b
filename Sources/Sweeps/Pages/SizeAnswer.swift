import Report
import Support
import Verdicts

/// The answer to whether the smallest model's best rate suits larger models, in two sentences for
/// readers who do not know the terms of the analysis.
package struct SizeAnswer: Sendable, Equatable {
    /// Holds if the rate suits the largest model, and fails if it is bad at some model.
    package let kind: Verdict.Kind
    /// The sentence that states the findings.
    package let finding: String
    /// The sentence that states the open questions with a best guess, otherwise the trend.
    package let outlook: String

    /// Creates the answer of an analysis.
    package init(_ analysis: TransferAnalysis) {
        let names = analysis.models.map(\.name)
        let larger = analysis.models.dropFirst()
        let rate = "the best rate of \(names[0])"
        guard analysis.optima[0].optimum.best != nil else {
            kind = .undecided
            finding = Format.sentence(
                "\(rate) is not known, so it is undecided whether it suits larger models")
            outlook = analysis.bestGuess
            return
        }
        func models(_ kind: Verdict.Kind) -> [String] {
            larger.filter {
                analysis.verdict.word(atBatch: $0.parameters) == kind.rawValue
            }.map(\.name)
        }
        let (failing, open) = (models(.fails), models(.undecided))
        let reach = larger.prefix {
            analysis.verdict.word(atBatch: $0.parameters) == Verdict.Kind.holds.rawValue
        }.last?.name
        kind = !failing.isEmpty ? .fails : open.isEmpty ? .holds : .undecided
        var clauses: [String] = []
        if let reach {
            let isWhole = reach == names.last
            clauses.append("is still good up to \(reach)" + (isWhole ? ", the largest model" : ""))
        }
        if !failing.isEmpty {
            let isEnd = failing.count > 1 && failing == names.suffix(failing.count)
            let place = isEnd ? "from \(failing[0])" : "at \(Format.list(failing))"
            clauses.append("is \(Self.side(analysis)) \(place)")
        }
        finding =
            clauses.isEmpty
            ? Format.sentence(
                "it is undecided whether \(rate) is good at any larger model (\(Format.list(open)))"
            )
            : Format.sentence("\(rate) \(clauses.joined(separator: ", but "))")
        let trend = Self.trend(analysis)
        let gap =
            clauses.isEmpty || open.isEmpty
            ? nil : "It is undecided whether it is good at \(Format.list(open))."
        outlook =
            open.isEmpty
            ? trend ?? analysis.bestGuess
            : [gap, analysis.bestGuess].compactMap(\.self).joined(separator: " ")
    }

    /// Returns "too high" or "too low" if the rate lies on this side of the best rate of every model
    /// at which it fails, and otherwise "bad".
    private static func side(_ analysis: TransferAnalysis) -> String {
        let sides = analysis.verdict.regrets.filter {
            analysis.verdict.word(atBatch: $0.batch) == Verdict.Kind.fails.rawValue
        }.map { regret in
            regret.side(of: analysis.optima.first { $0.batch == regret.batch }?.optimum)
        }
        return Set(sides).count == 1 ? sides[0]?.rawValue ?? "bad" : "bad"
    }

    /// Returns a sentence about the change of the best rate with the size; nil if no law is known.
    private static func trend(_ analysis: TransferAnalysis) -> String? {
        analysis.exponent.doublingFactor.map {
            "Each time the number of parameters doubles, the best rate changes by a factor of \($0)."
        }
    }
}
