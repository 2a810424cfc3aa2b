import Report
import Support
import Verdicts

/// A page about the analysis of a sweep, or of the runs of any trainer.
struct SweepPage {
    let title: String
    /// A sentence about the runs.
    let about: String
    let analysis: Analysis
    /// The limits of the runs.
    let notes: [Page.Item]
    /// A section about the properties of the runs that a comparison would mistake for an effect of
    /// the batch, or nothing if there are none.
    var confounds: [Page.Section] = []

    var page: Page {
        let designs = analysis.designs.map { DesignReport($0, analysis: analysis) }
        let answers = designs.map { design in
            Page.Item.verdict(design.answer(among: designs.count))
        }
        let answer = Page.Section(
            "Answer",
            items: answers + notes
                + designs.filter { !$0.analysis.hasOneBatch }.map { .chart($0.verdictMap) })
        return Page(
            title: title, subtitle: about,
            sections: [answer] + confounds + designs.map(\.section))
    }
}

extension SweepFolder {
    /// Returns a page about the findings of the sweep so far.
    ///
    /// - Parameter tolerance: the regret up to which a rule holds, in nats; nil for the tolerance
    ///   of the sweep.
    /// - Throws: the failures of `findings`.
    package func report(tolerance: Double? = nil) throws(Failure) -> Page {
        let findings = try findings(tolerance: tolerance)
        let specification = findings.specification
        let runs =
            findings.planNote == nil
            ? "\(Format.counted(specification.learningRates.count, "rate")) and "
                + Format.counted(specification.seeds.count, "seed")
            : Format.counted(findings.results.count, "planned run")
        let title = "Sweep \(FileSystem.name(of: path))"
        let notes = findings.caveat.map { caveat in
            [Page.Item.note(findings.planNote == nil ? .warning : .information, caveat)]
        }
        let confounds = findings.warnings.map { Page.Item.note(.warning, $0.sentence) }
        let confoundSections =
            confounds.isEmpty ? [] : [Page.Section("Confounds", items: confounds)]
        if let sizes = findings.sizes {
            let models = specification.parametrizations.map(\.title)
            return SizeReport(findings: sizes).page(
                title: title,
                about: "Models of several sizes with \(Format.list(models)), \(runs) of "
                    + "\(specification.recipePath).",
                limits: notes ?? [], confounds: confounds)
        }
        return SweepPage(
            title: title,
            about: "\(Format.counted(specification.batches.count, "batch", "batches")) from "
                + "\(specification.batches[0]) to "
                + "\(specification.batches[specification.batches.count - 1]) sequences, \(runs) of "
                + "\(specification.recipePath).",
            analysis: findings.analysis, notes: notes ?? [], confounds: confoundSections
        ).page
    }
}

extension RunTable {
    /// Returns a page about the analysis of the runs.
    ///
    /// - Throws: the failures of `findings`.
    package func report(_ request: RunTableRequest) throws(Failure) -> Page {
        let findings = try findings(request)
        let title = "Runs of \(FileSystem.name(of: path))"
        let batches = Set(points.map(\.batch)).sorted()
        let range =
            batches.count == 1
            ? "a batch of \(Format.counted(batches[0], "sequence"))"
            : "\(batches.count) batches from \(batches[0]) to \(batches[batches.count - 1]) sequences"
        let about =
            "\(Format.counted(points.count, "run")) with \(range) and "
            + "\(Format.counted(Set(points.map(\.seed)).count, "seed"))."
        let notes = findings.notes.map { Page.Item.note(.information, $0) }
        switch findings.result {
        case .batches(let analysis):
            return SweepPage(title: title, about: about, analysis: analysis, notes: notes).page
        case .sizes(let sizes):
            return SizeReport(findings: sizes).page(
                title: title, about: about, limits: notes)
        }
    }
}
