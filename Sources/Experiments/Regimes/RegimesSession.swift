import Compute
import MPI
import Model
import Recipes
import Support
import Training

/// A session that trains one model at three rates, one after another, and draws the paths of its
/// parameters.
package struct RegimesSession {
    /// The path of the recipe; nil for the built-in small model.
    private let recipePath: String?
    private let dataPath: String
    /// The rates as `small,good,large`; nil for the recipe's rate, and that rate divided and
    /// multiplied by `factor`.
    private let rates: String?
    /// The number of points along each axis of the landscapes.
    private let grid: Int
    /// The number of validation windows of each loss.
    private let sequences: Int
    private let folder: ResultFolder
    private let job: Job
    private var communicator: Communicator { job.communicator }

    package init(
        recipePath: String?, dataPath: String, outPath: String, rates: String?, grid: Int,
        sequences: Int, in job: Job
    ) {
        self.recipePath = recipePath
        self.dataPath = dataPath
        self.rates = rates
        self.grid = grid
        self.sequences = sequences
        self.job = job
        folder = ResultFolder(outPath)
    }

    /// Trains the runs, measures them and writes a folder; returns nil if a signal stopped the
    /// session. Collective.
    package func run() throws(Failure) -> Regimes? {
        // Only the first host needs the recipe.
        let toml = try communicator.fromFirstRank { () throws(Failure) in
            try recipePath.map { (path) throws(Failure) in try readText(path) } ?? Self.smallModel
        }
        var (recipe, rates) = try communicator.agree { () throws(Failure) in
            try checkGrid(grid, sequences: sequences)
            let recipe = try Recipe(toml: toml, name: recipePath ?? "the built-in recipe")
            return (recipe, try learningRates(of: recipe))
        }
        let good = try job.prepare(recipe.at(learningRate: rates[1]), dataPath: dataPath)
        recipe.model.vocabularySize = good.plan.recipe.model.vocabularySize
        let plans = try communicator.agree { () throws(Failure) in
            try rates.map { (rate) throws(Failure) in
                try TrainingPlan(recipe.at(learningRate: rate), ranks: communicator.size)
            }
        }
        let vega = try communicator.onFirstRank { () throws(Failure) in try folder.prepare() }
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
            recipe: good.plan.recipe, data: good.data, sequences: sequences, engine: engine)
        guard let regimes = try measure(runs, good.plan, loss) else { return nil }
        try communicator.onFirstRank { () throws(Failure) in
            try folder.write(
                ("regimes.csv", regimes.table), ("regimes.json", regimes.json),
                page: regimes.page, vega: vega)
        }
        return regimes
    }

    private func announce(_ plans: [TrainingPlan]) {
        let rates = plans.map { Format.scientific($0.rate.peakLearningRate, digits: 2) }
        job.announce(
            """
            training one model of \(Format.count(plans[1].recipe.model.parameterCount)) parameters at \
            rates \(Format.list(rates)), \(Format.count(plans[1].recipe.training.steps)) steps each, on \
            \(job.layout); then the loss at 2 x \(grid) x \(grid) points around them
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
            if let plane = PrincipalPlane(
                products: products, scales: scales(distances, runs), isCentered: false)
            {
                return plane
            }
            throw Failure(
                .configuration,
                "The three runs stay on a line, which spans no plane; train more steps, or give "
                    + "other --rates.")
        }
        let directions = try path.directions(principal.weights, from: origin)
        let plane = ParameterPlane(origin: origin, first: directions[0], second: directions[1])
        guard
            let losses = try measurePoints(
                points.count, communicator: communicator, piece: { measured(points[$0]) })
        else { return nil }
        let curves = curves(of: runs, losses, principal.coordinates, distances)
        guard let whole = try surface(around: curves.flatMap(\.snapshots), on: plane, measured),
            let close = try surface(around: curves[1].snapshots, on: plane, measured)
        else { return nil }
        return Regimes(
            recipeName: recipePath ?? "built-in small model",
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
        let grid = PlaneGrid(around: snapshots.map { ($0.x, $0.y) }, margin: 0.25, size: grid)
        return try LossSurface(grid, on: plane, in: job, loss: loss)
    }

    // MARK: - Options

    /// The ratio between the default rates and the recipe's rate.
    private static let factor = 30.0

    /// Returns the rates of the three runs, rising.
    ///
    /// - Throws: `Failure` (usage) if `--rates` is not three rising rates.
    private func learningRates(of recipe: Recipe) throws(Failure) -> [Double] {
        guard let rates else {
            let rate = recipe.optimizer.learningRate
            return [rate / Self.factor, rate, rate * Self.factor]
        }
        let numbers = rates.split(separator: ",", omittingEmptySubsequences: false).map {
            Double($0.trimmingPrefix(while: \.isWhitespace)) ?? .nan
        }
        guard numbers.count == 3, numbers.allSatisfy({ $0.isFinite && $0 > 0 }),
            numbers[0] < numbers[1], numbers[1] < numbers[2]
        else {
            throw Failure(
                .usage, "--rates \(rates): must be three rising rates above 0; try 1e-4,3e-3,1e-1.")
        }
        return numbers
    }

    /// The recipe of a model that learns the characters of a book within a minute. Its rate is
    /// constant, so the effects are those of the rate and not of the schedule.
    private static let smallModel = """
        [model]
        layers = 2
        heads = 2
        width = 64
        context_length = 64
        [training]
        steps = 600
        global_batch = 16
        seed = 1337
        [optimizer]
        name = "adamw"
        learning_rate = 3e-3
        betas = [0.9, 0.99]
        weight_decay = 0.1
        clip_norm = 1.0
        [schedule]
        name = "constant"
        warmup_steps = 0
        [scaling]
        rule = "linear"
        base_batch = 16
        [reduction]
        lanes = 8
        """
}

extension Recipe {
    /// Returns the recipe with another rate; the lowest rate of its schedule keeps its proportion.
    func at(learningRate: Double) -> Recipe {
        var recipe = self
        let factor = learningRate / optimizer.learningRate
        recipe.optimizer.learningRate = learningRate
        recipe.schedule.minimumLearningRate = schedule.minimumLearningRate.map { $0 * factor }
        return recipe
    }
}
