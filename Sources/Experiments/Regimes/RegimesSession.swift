import Compute
import MPI
import Model
import Recipes
import Report
import Support
import Training

/// A session that trains one model at three rates, one after another, and draws the paths of its
/// parameters.
package struct RegimesSession {
    private let request: RegimesRequest
    private let job: Job
    private let communicator: Communicator
    private let folder: ResultFolder

    package init(_ request: RegimesRequest, in job: Job) {
        self.request = request
        self.job = job
        communicator = job.communicator
        folder = ResultFolder(request.outPath)
    }

    /// Trains the runs, measures them and writes a folder; returns nil if a signal stopped the
    /// session. Collective.
    package func run() throws(Failure) -> Regimes? {
        // Only the first host needs the recipe.
        let toml = try communicator.fromFirstRank { () throws(Failure) in
            try request.readRecipeText()
        }
        var (recipe, rates) = try communicator.agree { () throws(Failure) in
            try checkGrid(request.grid, sequences: request.sequences)
            let recipe = try Recipe(toml: toml, name: request.recipePath ?? "the built-in recipe")
            return (recipe, try request.learningRates(of: recipe))
        }
        let good = try job.prepare(
            recipe.at(learningRate: rates[1]), dataPath: request.dataPath)
        recipe.model.vocabularySize = good.plan.recipe.model.vocabularySize
        let plans = try communicator.agree { () throws(Failure) in
            try rates.map { (rate) throws(Failure) in
                try TrainingPlan(recipe.at(learningRate: rate), ranks: communicator.size)
            }
        }
        let vega = try communicator.onFirstRank { () throws(Failure) in
            try folder.requireFree()
            return try VegaLibrary.script()
        }
        try good.plan.requireMemory(communicator)
        try requireSnapshotMemory(good.plan)
        announce(plans)
        let engine = job.makeEngine()
        var runs: [RegimeRun] = []
        for (regime, plan) in zip(Regime.allCases, plans) {
            let input = TrainingInput(plan: plan, data: good.data)
            guard let run = try RegimeRun.train(regime, input, in: job, engine: engine) else {
                return nil
            }
            runs.append(run)
        }
        try communicator.agree { () throws(Failure) in
            guard runs.allSatisfy(\.hasDiverged) else { return }
            throw Failure(
                .configuration,
                "All three runs diverged, at rates \(Format.list(rates.map { "\($0)" })); give --rates "
                    + "with a rate at which the loss falls.")
        }
        let loss = WindowLoss(
            recipe: good.plan.recipe, data: good.data, sequences: request.sequences,
            engine: engine)
        guard let regimes = try measure(runs, good.plan, loss) else { return nil }
        try communicator.onFirstRank { () throws(Failure) in
            try folder.write([
                ("regimes.csv", regimes.table), ("regimes.json", regimes.json.text + "\n"),
                ("report.html", regimes.page.html(vega: vega ?? "")),
            ])
        }
        return regimes
    }

    private func announce(_ plans: [TrainingPlan]) {
        let rates = plans.map { Format.scientific($0.rate.peakLearningRate, digits: 2) }
        job.announce(
            """
            training one model of \(Format.count(plans[1].recipe.model.parameterCount)) parameters at \
            rates \(Format.list(rates)), \(Format.count(plans[1].recipe.training.steps)) steps each, on \
            \(job.layout); then the loss at 2 x \(request.grid) x \(request.grid) points around them
            """)
    }

    /// Refuses a model whose snapshots do not fit into a rank's share of the memory.
    private func requireSnapshotMemory(_ plan: TrainingPlan) throws(Failure) {
        let needed =
            3 * RegimeRun.snapshotCount * GPTLayout(plan.recipe.model).arena.count
            * MemoryLayout<Float>.stride
        let there = try machineMemoryBytes / communicator.ranksOnThisHost().count
        try communicator.agree { () throws(Failure) in
            guard needed > there else { return }
            throw Failure(
                .configuration,
                "The snapshots of the three runs take \(Format.bytes(needed)) per rank, but a rank "
                    + "has only \(Format.bytes(there)); use a smaller model, or no recipe for the "
                    + "built-in one.")
        }
    }

    /// Projects all paths onto one plane and measures the losses there; returns nil if a signal
    /// stopped the measurement.
    private func measure(
        _ runs: [RegimeRun], _ plan: TrainingPlan, _ loss: WindowLoss
    ) throws(Failure) -> Regimes? {
        let precision = plan.recipe.training.precision
        let measured = { (parameters: Buffer<Float>) in
            loss(Parameters(parameters, precision: precision))
        }
        let points = runs.flatMap(\.snapshots).map(\.parameters)
        let path = ParameterPath(layout: loss.layout.arena, count: points.count) {
            (point, tensor, values) throws(Failure) in
            values.update(from: points[point].base + tensor.offset, count: tensor.count)
        }
        // All runs start from the same parameters.
        let origin = points[0]
        let products = try path.products(from: origin)
        let distances = products.indices.map { products[$0][$0].squareRoot() }
        let principal = try communicator.agree { () throws(Failure) in
            try principalPlane(products, scales: scales(distances, runs))
        }
        let directions = try path.directions(principal.weights, from: origin)
        let plane = ParameterPlane(
            origin: origin, first: directions[0], second: directions[1])
        guard
            let losses = try measurePoints(
                points.count, communicator: communicator, piece: { measured(points[$0]) })
        else { return nil }
        let curves = curves(of: runs, losses, principal.coordinates, distances)
        guard
            let whole = try surface(
                around: curves.flatMap(\.snapshots), on: plane, measured),
            let close = try surface(around: curves[1].snapshots, on: plane, measured)
        else { return nil }
        return Regimes(
            recipeName: request.recipePath ?? "built-in small model",
            parameterCount: plan.recipe.model.parameterCount, tokensPerStep: plan.tokensPerStep,
            sequences: loss.sequences, targets: loss.targets, curves: curves,
            explained: principal.explained, whole: whole, close: close)
    }

    /// Returns scales that give every run the same weight, although the parameters move farther at
    /// a larger rate: the inverse of the run's root mean square distance from the start.
    private func scales(_ distances: [Double], _ runs: [RegimeRun]) -> [Double] {
        var scales: [Double] = []
        for run in runs {
            let own = distances[scales.count..<scales.count + run.snapshots.count]
            let square = own.reduce(0) { $0 + $1 * $1 } / Double(own.count)
            scales += own.map { _ in square > 0 ? 1 / square.squareRoot() : 0 }
        }
        return scales
    }

    private func principalPlane(
        _ products: [[Double]], scales: [Double]
    ) throws(Failure) -> PrincipalPlane {
        if let plane = PrincipalPlane(products: products, scales: scales, isCentered: false) {
            return plane
        }
        throw Failure(
            .configuration,
            "The three runs stay on a line, which spans no plane; train more steps, or give other "
                + "--rates.")
    }

    private func curves(
        of runs: [RegimeRun], _ losses: [Double], _ places: [(x: Double, y: Double)],
        _ distances: [Double]
    ) -> [RegimeCurve] {
        var index = 0
        return runs.map { run in
            let snapshots = run.snapshots.map { snapshot in
                defer { index += 1 }
                return RegimeCurve.Snapshot(
                    step: snapshot.step, validationLoss: losses[index], x: places[index].x,
                    y: places[index].y, distance: distances[index])
            }
            return RegimeCurve(
                regime: run.regime, learningRate: run.learningRate, losses: run.losses,
                snapshots: snapshots, hasDiverged: run.hasDiverged)
        }
    }

    private func surface(
        around snapshots: [RegimeCurve.Snapshot], on plane: ParameterPlane,
        _ loss: @escaping (Buffer<Float>) -> Double
    ) throws(Failure) -> LossSurface? {
        let grid = PlaneGrid(
            around: snapshots.map { ($0.x, $0.y) }, margin: 0.25, size: request.grid)
        let progress = gridProgress(grid, in: job)
        defer { progress.finish() }
        return try LossSurface(
            grid, on: plane, communicator: communicator, loss: loss,
            progress: { progress.update(done: $0) })
    }
}
