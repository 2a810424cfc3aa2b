import Compute
import Recipes
import Support
import Training

/// The expected duration of a sweep on a layout, from the measured steps and evaluations.
package struct SweepEstimate: Sendable, Equatable {
    /// The runs of one batch.
    package struct Row: Sendable, Equatable {
        package let batch: Int
        package let runs: Int
        package let steps: Int
        package let evaluations: Int
        package let cost: RunCost

        /// The duration of one run.
        package var seconds: Double {
            Double(steps) * cost.secondsPerStep + Double(evaluations) * cost.secondsPerEvaluation
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
        var table = TextTable(
            ["batch", "runs", "steps", "ms a step", "evaluations", "s each", "a run"],
            leftColumns: 0)
        for row in rows {
            table.add([
                "\(row.batch)", "\(row.runs)", Format.count(row.steps),
                Format.significant(row.cost.secondsPerStep * 1000, digits: 3),
                "\(row.evaluations)", Format.significant(row.cost.secondsPerEvaluation, digits: 2),
                Format.duration(row.seconds),
            ])
        }
        let runs = rows.reduce(0) { $0 + $1.runs }
        return table.lines.joined(separator: "\n")
            + "\n\(Format.counted(runs, "run")) on \(Format.counted(groups, "group")): about "
            + "\(Format.duration(seconds, tenths: false)); more if a grid has to grow"
    }
}

extension SweepSession {
    /// Returns the expected duration of the remaining runs. All groups measure a few steps of each
    /// batch at the same time. Collective.
    package func estimate() throws(Failure) -> SweepEstimate {
        let (input, groups) = try world.agree { () throws(Failure) in
            let input = try readInput()
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
        let results = try world.agree { () throws(Failure) in
            resumes
                ? try SweepLedger(folder, schedule: schedule, session: "").results() : []
        }
        var rows: [SweepEstimate.Row] = []
        for batch in input.specification.batches {
            let first = input.specification.firstPoint(ofBatch: batch)
            let recipe = try world.agree { () throws(Failure) in
                try input.specification.recipe(for: first)
            }
            let training = try groupJob.prepare(recipe, dataPath: input.data.path)
            let cost = try RunCost.measure(training, on: group, engine: engine)
            rows.append(
                SweepEstimate.Row(
                    batch: batch, runs: schedule.fewestRuns(ofBatch: batch, after: results),
                    steps: training.plan.recipe.training.steps,
                    evaluations: training.plan.recipe.evaluation.at.count, cost: cost))
        }
        return SweepEstimate(rows: rows, groups: groups)
    }
}
