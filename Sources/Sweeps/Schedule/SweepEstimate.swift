import Compute
import Recipes
import Support
import Training
import Verdicts

/// The expected duration of a sweep on a layout, from its finished runs or from measured steps and
/// evaluations.
package struct SweepEstimate: Sendable, Equatable {
    /// The runs of one batch.
    package struct Row: Sendable, Equatable {
        /// The name of the model; nil if the sweep has only the recipe's.
        package let model: String?
        package let batch: Int
        package let runs: Int
        package let steps: Int
        package let evaluations: Int
        package let cost: RunCost
        /// The typical duration of the finished runs, or nil if none shows it.
        package let finished: Double?

        /// The duration of one run.
        package var seconds: Double {
            finished ?? cost.secondsToStart + Double(steps) * cost.secondsPerStep
                + Double(evaluations) * cost.secondsPerEvaluation
        }
    }

    package let rows: [Row]
    /// The number of groups that train at the same time.
    package let groups: Int

    /// The duration from start to end, if the groups end together and no grid grows.
    package var seconds: Double {
        rows.reduce(0) { $0 + Double($1.runs) * $1.seconds } / Double(groups)
    }

    /// A table of the batches, and a sentence with the total duration.
    package var text: String {
        let hasSizes = rows.contains { $0.model != nil }
        var table = TextTable(
            (hasSizes ? ["model"] : [])
                + [
                    "batch", "runs", "start", "steps", "ms a step", "evaluations", "s each",
                    "a run",
                ],
            leftColumns: hasSizes ? 1 : 0)
        for row in rows {
            let cells = [
                "\(row.batch)", "\(row.runs)",
                "\(Format.significant(row.cost.secondsToStart, digits: 2)) s",
                Format.count(row.steps),
                Format.significant(row.cost.secondsPerStep * 1000, digits: 3),
                "\(row.evaluations)", Format.significant(row.cost.secondsPerEvaluation, digits: 2),
                Format.duration(row.seconds),
            ]
            table.add((row.model.map { [$0] } ?? []) + cells)
        }
        let runs = rows.reduce(0) { $0 + $1.runs }
        let known = Set(rows.filter { $0.finished != nil }.map(\.batch)).sorted()
        let source =
            known.isEmpty
            ? ""
            : "\nThe duration of a run is that of the finished runs at B = "
                + "\(Format.list(known.map(String.init)))."
        return table.lines.joined(separator: "\n") + source
            + "\n\(Format.counted(runs, "run")) on \(Format.counted(groups, "group")): about "
            + "\(Format.duration(seconds, tenths: false)); more if a grid has to grow"
    }
}

extension SweepSession {
    /// Returns the expected duration of the remaining runs. All groups measure a few steps of each
    /// batch at the same time. Collective: every rank must call this.
    package func estimate() throws(Failure) -> SweepEstimate {
        let initial = try initialModel()
        let (input, groups) = try world.agree { () throws(Failure) in
            let input = try readInput(initial.record)
            return (input, try groupCount(input.specification))
        }
        let group = try world.split(color: world.rank * groups / world.size, key: world.rank)
        let groupJob = job.part(for: group)
        let engine = job.makeEngine()
        job.announce(
            """
            measuring a few steps and evaluations of \
            \(Format.counted(input.specification.batches.count, "batch", "batches")) on \
            \(Format.counted(world.size, "rank")) in \(Format.counted(groups, "group")); nothing is saved
            """)
        warn(input)
        let schedule = try SweepSchedule(input.specification)
        let (results, trained) = try world.agree { () throws(Failure) in
            guard resumes else { return ([PointResult](), [SweepVariant?: RunDurations]()) }
            let ledger = SweepLedger(folder, schedule: schedule, session: "")
            let results = try ledger.results()
            return (results, try ledger.durationsOfModels(results))
        }
        var rows: [SweepEstimate.Row] = []
        let members = try input.specification.members
        for (member, batch) in members.flatMap({ member in
            member.specification.batches.map { (member, $0) }
        }) {
            let own = member.specification
            let recipe = try world.agree { () throws(Failure) in
                try own.recipe(for: own.firstPoint(ofBatch: batch))
            }
            let start = MonotonicClock.nanoseconds
            let training = try groupJob.prepare(recipe, dataPath: input.data.path)
            let cost = try RunCost.measure(training, since: start, on: group, engine: engine)
            let known = trained[member.variant]
            rows.append(
                SweepEstimate.Row(
                    model: member.variant.map(input.specification.title), batch: batch,
                    runs: schedule.fewestRuns(
                        of: member.variant, batch: batch, after: results),
                    steps: training.plan.recipe.training.steps,
                    evaluations: training.plan.recipe.evaluation.at.count, cost: cost,
                    // Runs on another layout take another time.
                    finished: known?.groups == groups ? known?.seconds(ofBatch: batch) : nil))
        }
        return SweepEstimate(rows: rows, groups: groups)
    }
}
