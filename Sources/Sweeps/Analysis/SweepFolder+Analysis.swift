import Support
import Training
import Verdicts

/// The results of a sweep so far and their analysis.
package struct SweepFindings: Sendable {
    package let specification: SweepSpecification
    /// The results, sorted by the names of their points.
    package let results: [PointResult]
    package let progress: SweepLedger.Progress
    package let warnings: [SweepWarning]
    /// The next round of a planned sweep; nil for a grid.
    let nextRound: RunPlanner.Round?
    /// The analysis over batches of each member that has runs; one for a sweep without sizes.
    package let analyses: [(member: SweepMember, analysis: Analysis)]
    /// The findings about the size of the model; nil for a sweep without sizes.
    package let sizes: SizeFindings?

    /// The analysis over batches of the first member.
    package var analysis: Analysis { analyses[0].analysis }

    /// A sentence about the end of a planned sweep; nil for a grid.
    var planNote: String? {
        let count = Format.counted(results.count, "run")
        return switch nextRound {
        case .decided: "Every rule is settled after \(count)."
        case .exhausted: "After \(count), no further run is expected to settle a rule."
        case .runs: "After \(count), some rules are not settled."
        case nil: nil
        }
    }

    /// A sentence about the missing runs, the best rates outside a complete grid, or the end of a
    /// planned sweep; nil if there is nothing to say.
    package var caveat: String? {
        if let planNote { return planNote }
        guard progress.done >= progress.total else {
            return
                "Only \(Format.count(progress.done)) of at least \(Format.count(progress.total)) "
                + "runs have ended; the others may change every result below."
        }
        let batches = Set(
            analyses.flatMap { Self.stoppedBatches($0.analysis, $0.member.specification) })
        return batches.isEmpty
            ? nil
            : "The best rate\(sizes == nil ? "" : " of some model") lies outside the grid at B = "
                + "\(Format.list(batches.sorted().map(String.init))), and extend = "
                + "\(specification.extend) allows no more rates; to continue, resume the sweep with "
                + "a larger extend."
    }

    /// Returns the batches whose grids have grown by `extend` rates toward a best rate outside
    /// them.
    private static func stoppedBatches(
        _ analysis: Analysis, _ specification: SweepSpecification
    ) -> [Int] {
        analysis.designs.flatMap(\.optima).filter { optimum in
            guard case .unbracketed(let side) = optimum.optimum,
                let lowest = specification.rates(ofBatch: optimum.batch).first,
                let highest = specification.rates(ofBatch: optimum.batch).last
            else { return false }
            let gained = optimum.grid.rates.count {
                // The rates of the grid are rounded.
                side == .below ? $0 < 0.999 * lowest : $0 > 1.001 * highest
            }
            return gained >= specification.extend
        }.map(\.batch)
    }

    /// The failure of a sweep in which every run diverged; nil if there is a result to compare.
    package var failure: Failure? {
        guard !results.isEmpty, results.allSatisfy(\.diverged) else { return nil }
        let count = Format.counted(results.count, "run")
        return .about(
            .configuration, "the sweep",
            "has nothing to compare, because every run diverged (\(count))",
            remedy: "lower learning_rates, with `lockstep find-lr` as a guide")
    }

    /// The caveat and the warnings, if there are any, and a summary of the analysis.
    package var text: String {
        let notes = (caveat.map { [$0] } ?? []) + warnings.map { "Warning: \($0.sentence)" }
        let head = notes.isEmpty ? "" : notes.joined(separator: "\n") + "\n\n"
        return head + (sizes?.text ?? analysis.summary)
    }

    /// The caveat, the warnings and the analysis as JSON, for other programs.
    package var json: JSONObject {
        let notes = caveat.map { [$0] } ?? []
        var json = sizes?.json(notes: notes) ?? analysis.json(notes: notes)
        json["warnings"] = .array(
            warnings.map { warning in
                [
                    "confound": .string(warning.confound.rawValue),
                    "batches": .array(warning.batches.map { .integer($0) }),
                    "sentence": .string(warning.sentence),
                ]
            })
        return json
    }
}

extension SweepFolder {
    /// The path of the table with a row for each evaluation of each run.
    package var table: String { "\(path)/results.csv" }
    /// The path of the analysis as JSON, for other programs.
    package var analysis: String { "\(path)/analysis.json" }

    /// Analyzes the results in the ledger.
    ///
    /// - Parameter tolerance: the regret up to which a rule holds, in nats; nil for the tolerance
    ///   of the sweep.
    /// - Throws: `Failure` (missing input) if there is no sweep or no run has ended; the failures
    ///   of the analysis.
    package func findings(tolerance: Double? = nil) throws(Failure) -> SweepFindings {
        var specification = try readSpecification()
        try specification.validate()
        let otherTolerance = tolerance == specification.tolerance ? nil : tolerance
        specification.tolerance = tolerance ?? specification.tolerance
        let schedule = try SweepSchedule(specification)
        let ledger = SweepLedger(self, schedule: schedule, session: "")
        // The order must not depend on which run ended first.
        let results = try ledger.results().sorted { $0.point.name < $1.point.name }
        guard results.contains(where: { $0.point.rule == TrainedPoint.grid }) else {
            throw .file(
                .missingInput, path, "has no run that has ended yet",
                remedy: "resume it with \(resumption())")
        }
        let plan = isPlanned ? try SweepPlan(self, specification) : nil
        let points = zip(results, try ledger.trainedPoints(results))
        let members = try specification.members.map { member in
            (
                member: member,
                points: points.filter { $0.0.point.variant == member.variant }.map(\.1)
            )
        }
        var analyses = try members.filter { _, points in
            points.contains { $0.rule == TrainedPoint.grid }
        }.map { (member, points) throws(Failure) in
            var settings = member.specification.analysisSettings
            settings.seedsShareRates = plan == nil
            do throws(Failure) {
                return (member: member, analysis: try Analysis(points, settings: settings))
            } catch { throw error.inFile(self.ledger) }
        }
        let outlook = try outlook(
            after: analyses[0].analysis, of: results, specification, plan: plan, schedule: schedule)
        let durations = try ledger.durations(results)
        let isGrid = plan == nil && !schedule.openPoints(results).isEmpty
        for index in analyses.indices {
            analyses[index].analysis = advised(
                analyses[index].analysis, outlook, otherTolerance: otherTolerance, isGrid: isGrid,
                durations: specification.hasSizes ? RunDurations([]) : durations)
        }
        return SweepFindings(
            specification: specification, results: results, progress: schedule.progress(results),
            // Only a warning needs the file, so the analysis does without it.
            warnings: try specification.warnings(
                trainingTokens: (try? readOrigin())?.trainingTokens),
            nextRound: plan == nil ? nil : outlook, analyses: analyses,
            sizes: specification.hasSizes
                ? specification.sizeFindings(members, analyses: analyses) : nil)
    }

    /// Writes the table of the results and the analysis into the folder.
    ///
    /// - Throws: `Failure` (I/O) if a file cannot be written.
    package func write(_ findings: SweepFindings) throws(Failure) {
        try AtomicFile.write(try Self.table(of: findings), to: table)
        try AtomicFile.write(findings.json.text + "\n", to: analysis)
    }

    /// Returns the results as comma-separated values.
    ///
    /// A run that two parametrizations share has rows for both, so that each is complete.
    private static func table(of findings: SweepFindings) throws(Failure) -> String {
        let specification = findings.specification
        let members = try specification.members
        let models = findings.sizes == nil ? "" : "parametrization,width,layers,parameters,"
        var lines = [
            models
                + "rule,batch,learning_rate,seed,diverged,step,tokens,validation_loss,noise_scale"
        ]
        for result in findings.results {
            let point = result.point
            let count = members.first { $0.variant == point.variant }?.parameterCount
            let models = point.variant.map { variant in
                specification.parametrizations(sharing: variant).map {
                    "\($0.rawValue),\(variant.size.width),\(variant.size.layers),"
                        + "\(count.map(String.init) ?? ""),"
                }
            }
            let run =
                "\(quoted(point.rule)),\(point.batch),\(result.learningRate),\(point.seed),"
                + "\(result.diverged)"
            let scale = result.noiseScale.map { "\($0)" } ?? ""
            for model in models ?? [""] {
                lines += result.curve.map {
                    "\(model)\(run),\($0.step),\($0.tokens),\($0.validationLoss),\(scale)"
                }
                if result.curve.isEmpty { lines.append("\(model)\(run),,,,\(scale)") }
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// Returns a string as a field (RFC 4180), in quotes if it contains a separator.
    private static func quoted(_ text: String) -> String {
        guard text.contains(where: { ",\"\n\r".contains($0) }) else { return text }
        return "\"\(text.replacing("\"", with: "\"\""))\""
    }
}
