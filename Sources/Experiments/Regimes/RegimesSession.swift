import Compute
import MPI
import Model
import Optimizers
import Recipes
import Support
import Training

/// A session that finds three rates in short runs, trains one model at each of them, one after
/// another, and measures the sharpness along the runs and the losses around their paths.
package struct RegimesSession {
    /// The path of the recipe; nil for the built-in small model.
    private let recipePath: String?
    private let dataPath: String
    /// The rates as `small,good,large`; nil to find them.
    private let rates: String?
    /// The steps of each short run that finds rates; nil for a number that suits the recipe.
    let probeSteps: Int?
    /// The number of points along each axis of the landscapes.
    let grid: Int
    /// The number of validation windows of each loss.
    let sequences: Int
    private let folder: ResultFolder
    let job: Job
    var communicator: Communicator { job.communicator }

    /// Creates a session that trains at three rates into the folder `outPath`.
    package init(
        recipePath: String?, dataPath: String, outPath: String, rates: String?, probeSteps: Int?,
        grid: Int, sequences: Int, in job: Job
    ) {
        self.recipePath = recipePath
        self.dataPath = dataPath
        self.rates = rates
        self.probeSteps = probeSteps
        self.grid = grid
        self.sequences = sequences
        self.job = job
        folder = ResultFolder(outPath)
    }

    /// Trains the runs, measures them and writes a folder; returns nil if a signal stopped the
    /// session. Collective: every rank must call this.
    package func run() throws(Failure) -> Regimes? {
        var (recipe, given) = try readRecipe()
        let input = try job.prepare(recipe, dataPath: dataPath)
        recipe.model.vocabularySize = input.plan.recipe.model.vocabularySize
        let vega = try communicator.onFirstRank { () throws(Failure) in try folder.prepare() }
        try input.plan.requireMemory(communicator)
        try requireSnapshotMemory(input.plan)
        let engine = job.makeEngine()
        guard let search = try findRates(input, isGiven: given != nil, engine) else { return nil }
        let plans = try plans(recipe, given: given, search: search, input.plan)
        guard
            let runs = try train(plans, on: input.data, engine),
            let regimes = try measure(
                runs, input, search: given == nil ? search : nil, engine: engine)
        else { return nil }
        try communicator.onFirstRank { () throws(Failure) in
            try folder.write(
                ("regimes.csv", regimes.table), ("regimes.json", regimes.json),
                page: regimes.page, vega: vega)
        }
        return regimes
    }

    // MARK: - Preparation

    /// Reads the recipe and the rates that --rates gives, and checks the options. If rates are
    /// given, the recipe gets the good one. Collective: every rank must call this.
    private func readRecipe() throws(Failure) -> (recipe: Recipe, given: [Double]?) {
        // Only the first host needs the recipe.
        let toml = try communicator.fromFirstRank { () throws(Failure) in
            try recipePath.map { (path) throws(Failure) in try readText(path) } ?? Self.smallModel
        }
        return try communicator.agree { () throws(Failure) in
            try checkGrid(grid, sequences: sequences)
            try checkProbeSteps()
            let recipe = try Recipe(toml: toml, name: recipePath ?? "the built-in recipe")
            try require(
                !recipe.optimizer.name.orthogonalizes,
                or: .key(
                    "[optimizer] name", "\"\(recipe.optimizer.name.rawValue)\"",
                    "has no sharpness, because its steps are not a diagonal matrix times a momentum",
                    remedy: "set name = \"adamw\""))
            let given = try givenRates()
            return (given.map { recipe.at(learningRate: $0[1]) } ?? recipe, given)
        }
    }

    private func checkProbeSteps() throws(Failure) {
        guard let probeSteps else { return }
        try RateProbe.requireSteps(probeSteps)
        guard rates == nil else {
            throw .option(
                "--probe-steps", probeSteps, "has no effect with --rates",
                remedy: "remove one of them")
        }
    }

    /// Returns the plans of the runs at the given rates, or otherwise at those that the search
    /// found. Collective: every rank must call this.
    private func plans(
        _ recipe: Recipe, given: [Double]?, search: RateSearch, _ plan: TrainingPlan
    ) throws(Failure) -> [TrainingPlan] {
        try communicator.agree { () throws(Failure) in
            // `??` would lose the type of the error.
            let rates: [Double]
            if let given {
                rates = given
            } else {
                rates = try chosenRates(of: search, plan)
            }
            return try rates.map { (rate) throws(Failure) in
                try TrainingPlan(recipe.at(learningRate: rate), ranks: communicator.size)
            }
        }
    }

    /// Refuses a model whose snapshots do not fit into a rank's share of the memory.
    private func requireSnapshotMemory(_ plan: TrainingPlan) throws(Failure) {
        let needed =
            3 * (RegimeRun.snapshotCount + RegimeRun.sharpnessCount)
            * GPTLayout(plan.recipe.model).arena.count * MemoryLayout<Float>.stride
        let available = try machineMemoryBytes / communicator.rankCountOnThisHost()
        try communicator.agree { () throws(Failure) in
            guard needed > available else { return }
            throw .about(
                .configuration, "the snapshots of the three runs",
                "take \(Format.bytes(needed)) per rank, but a rank has only "
                    + Format.bytes(available),
                remedy: "use a smaller model, or no recipe for the built-in one")
        }
    }

    // MARK: - Runs

    /// Trains one run after another; returns nil if a signal stopped one. Collective: every rank
    /// must call this.
    ///
    /// - Throws: `Failure` (configuration) if all runs diverge.
    private func train(
        _ plans: [TrainingPlan], on data: TrainingData, _ engine: ComputeEngine
    ) throws(Failure) -> [RegimeRun]? {
        var runs: [RegimeRun] = []
        for (regime, plan) in zip(Regime.allCases, plans) {
            let input = TrainingInput(plan: plan, data: data)
            guard let run = try RegimeRun.train(regime, input, in: job, engine: engine) else {
                return nil
            }
            runs.append(run)
        }
        try communicator.agree { () throws(Failure) in
            guard runs.allSatisfy(\.hasDiverged) else { return }
            throw .about(
                .configuration, "the three runs",
                "diverged at rates \(Format.list(runs.map { "\($0.learningRate)" }))",
                remedy: "give --rates with a rate at which the loss falls")
        }
        return runs
    }

    // MARK: - Measurements

    /// Measures the sharpness along the runs and the losses around their paths; returns nil if a
    /// signal stopped the measurements. Collective: every rank must call this.
    ///
    /// - Parameter search: the search that found the rates; nil if they were given.
    private func measure(
        _ runs: [RegimeRun], _ input: TrainingInput, search: RateSearch?, engine: ComputeEngine
    ) throws(Failure) -> Regimes? {
        let loss = WindowLoss(
            recipe: input.plan.recipe, data: input.data, sequences: sequences, engine: engine)
        guard let sharpness = try measureSharpness(of: runs, input, engine) else { return nil }
        return try measureOnPlane(
            runs, loss, plan: input.plan, search: search, sharpness: sharpness)
    }

    /// Projects all paths onto one plane and measures the losses there; returns nil if a signal
    /// stopped the measurement.
    private func measureOnPlane(
        _ runs: [RegimeRun], _ loss: WindowLoss, plan: TrainingPlan, search: RateSearch?,
        sharpness: SharpnessAlongRuns
    ) throws(Failure) -> Regimes? {
        let precision = plan.recipe.training.precision
        let measured = { (parameters: Buffer<Float>) in
            loss(Parameters(parameters, precision: precision))
        }
        let points = runs.flatMap(\.snapshots).map(\.parameters)
        let path = ParameterPath(layout: loss.layout.arena, count: points.count) {
            (point, tensor, values) throws(Failure) in
            values.base.update(from: points[point].base + tensor.offset, count: tensor.count)
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
            throw .about(
                .configuration, "the three runs", "stay on a line, which spans no plane",
                remedy: "train more steps, or give other --rates")
        }
        let directions = try path.directions(principal.weights, from: origin)
        let plane = ParameterPlane(origin: origin, first: directions[0], second: directions[1])
        guard
            let losses = try measurePoints(
                points.count, communicator: communicator, piece: { measured(points[$0]) })
        else { return nil }
        let curves = curves(
            of: runs, losses: losses, places: principal.coordinates, distances: distances,
            sharpness: sharpness.values)
        let surfaces = try surfaces(
            around: [curves.flatMap(\.snapshots), curves[1].snapshots], on: plane, measured)
        guard let surfaces else { return nil }
        let optimizer = plan.recipe.optimizer.name
        return Regimes(
            recipeName: recipePath ?? "built-in small model",
            parameterCount: plan.recipe.model.parameterCount, tokensPerStep: plan.tokensPerStep,
            sequences: loss.sequences, targets: loss.targets, search: search,
            stableProduct: sharpness.stableProduct,
            isPreconditioned: optimizer.isAdam || optimizer.hasTrustRatios,
            sharpnessTargets: sharpness.targets, curves: curves,
            explained: principal.explained, whole: surfaces[0], close: surfaces[1])
    }

    /// The sharpness at the snapshots that have an optimizer's view.
    private struct SharpnessAlongRuns {
        let values: [Double]
        let stableProduct: Double
        /// The number of training targets of each gradient.
        let targets: Int
    }

    /// Measures the sharpness, each on one rank; returns nil if a signal stopped the measurement.
    private func measureSharpness(
        of runs: [RegimeRun], _ input: TrainingInput, _ engine: ComputeEngine
    ) throws(Failure) -> SharpnessAlongRuns? {
        let loss = try communicator.agree { () throws(Failure) in
            try WindowLoss(
                gradientsOf: input.plan.recipe, data: input.data,
                sequences: min(sequences, Self.sharpnessSequences), engine: engine)
        }
        let points = runs.flatMap(\.snapshots).compactMap { snapshot in
            snapshot.view.map { (snapshot.parameters, $0.factors) }
        }
        let line = job.pointsLine("measuring sharpness", points.count)
        defer { line.finish() }
        let gradient = { (parameters: Buffer<Float>, gradient: Buffer<Float>) in
            loss.gradient(Parameters(parameters, precision: .fp32), into: gradient)
        }
        let values = try measurePoints(
            points.count, communicator: communicator, progress: { line.update(done: $0) },
            piece: {
                sharpness(at: points[$0].0, factors: points[$0].1, gradient: gradient)
            })
        let first = runs.lazy.flatMap(\.snapshots).compactMap(\.view).first
        return values.map {
            SharpnessAlongRuns(
                values: $0, stableProduct: first?.stableProduct ?? .nan, targets: loss.targets)
        }
    }

    /// The largest number of training windows over which the sharpness is measured.
    static let sharpnessSequences = 32

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
        of runs: [RegimeRun], losses: [Double], places: [(x: Double, y: Double)],
        distances: [Double], sharpness: [Double]
    ) -> [RegimeCurve] {
        var (index, left) = (0, sharpness[...])
        return runs.map { run in
            let snapshots = run.snapshots.map { snapshot in
                defer { index += 1 }
                return RegimeCurve.Snapshot(
                    step: snapshot.step, validationLoss: losses[index], x: places[index].x,
                    y: places[index].y, distance: distances[index],
                    sharpness: snapshot.view.map {
                        RegimeCurve.Sharpness(value: left.removeFirst(), stable: $0.stableSharpness)
                    })
            }
            return RegimeCurve(
                regime: run.regime, learningRate: run.learningRate, losses: run.losses,
                snapshots: snapshots, clippedSteps: run.clippedSteps,
                hasDiverged: run.hasDiverged)
        }
    }

    private func surfaces(
        around paths: [[RegimeCurve.Snapshot]], on plane: ParameterPlane,
        _ loss: @escaping (Buffer<Float>) -> Double
    ) throws(Failure) -> [LossSurface]? {
        let line = job.pointsLine("measuring losses", grid * grid, times: paths.count)
        defer { line.finish() }
        var surfaces: [LossSurface] = []
        for snapshots in paths {
            let area = PlaneGrid(around: snapshots.map { ($0.x, $0.y) }, margin: 0.25, size: grid)
            let before = line.done
            let surface = try LossSurface(
                area, on: plane, communicator: communicator,
                progress: { line.update(done: before + $0) }, loss: loss)
            guard let surface else { return nil }
            surfaces.append(surface)
        }
        return surfaces
    }

    // MARK: - Options

    /// Returns the rates that --rates gives, in ascending order; nil if it is unset.
    ///
    /// - Throws: `Failure` (usage) if they are not three rates in ascending order.
    private func givenRates() throws(Failure) -> [Double]? {
        guard let rates else { return nil }
        let numbers = rates.split(separator: ",", omittingEmptySubsequences: false).map {
            Double($0.trimmingPrefix(while: \.isWhitespace)) ?? .nan
        }
        guard numbers.count == 3, numbers.allSatisfy({ $0.isFinite && $0 > 0 }),
            numbers[0] < numbers[1], numbers[1] < numbers[2]
        else {
            throw .option(
                "--rates", rates, "must be three rates above 0 in ascending order",
                remedy: "try 1e-4,3e-3,1e-1")
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
