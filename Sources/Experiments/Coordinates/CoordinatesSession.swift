import MPI
import Recipes
import Support
import Training

/// The options of `lockstep coordinates`.
package struct CoordinatesOptions: Sendable {
    package var recipePath: String
    package var dataPath: String
    package var outPath: String
    /// The widths as text; nil for the usual ones.
    package var widths: String?
    /// The numbers of layers as text; nil to vary the width.
    package var layers: String?
    package var parametrizations: String
    package var steps: Int
    package var seeds: Int
    package var overrides: [String]

    package init(
        recipePath: String, dataPath: String, outPath: String, widths: String?, layers: String?,
        parametrizations: String, steps: Int, seeds: Int, overrides: [String]
    ) {
        self.recipePath = recipePath
        self.dataPath = dataPath
        self.outPath = outPath
        self.widths = widths
        self.layers = layers
        self.parametrizations = parametrizations
        self.steps = steps
        self.seeds = seeds
        self.overrides = overrides
    }

    /// Returns the axis and its values in ascending order.
    ///
    /// - Throws: `Failure` (usage) if both axes are given, or a list is invalid.
    func sizes(of model: GPTConfiguration) throws(Failure) -> (CoordinateAxis, [Int]) {
        if widths != nil, let layers {
            throw Failure.option(
                "--layers", layers, "cannot be combined with --widths", remedy: "give one of them")
        }
        let axis: CoordinateAxis = layers == nil ? .width : .layers
        let option = axis == .width ? "--widths" : "--layers"
        // The recipe's own width is the second of four.
        let head = model.headWidth
        let half = max(head, model.width / 2 / head * head)
        guard let text = layers ?? widths else { return (axis, [1, 2, 4, 8].map { half * $0 }) }
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
        let values = parts.compactMap { Int($0.filter { !$0.isWhitespace }) }
        guard values.count == parts.count, values.count >= 2,
            values.allSatisfy({ $0 >= 1 && $0 <= 1 << 20 }),
            zip(values, values.dropFirst()).allSatisfy({ $0 < $1 })
        else {
            throw .option(
                option, text, "must be two or more whole numbers in ascending order",
                remedy: "try \(axis == .width ? "\(half),\(2 * half),\(4 * half)" : "2,4,8")")
        }
        return (axis, values)
    }

    /// Returns the parametrizations that are named.
    ///
    /// - Throws: `Failure` (usage) if a name is unknown or repeated, or a number is out of range.
    func namedParametrizations() throws(Failure) -> [Parametrization] {
        let names = parametrizations.split(separator: ",", omittingEmptySubsequences: false)
        var values: [Parametrization] = []
        for name in names.map({ String($0.filter { !$0.isWhitespace }) }) {
            guard let value = Parametrization(rawValue: name), !values.contains(value) else {
                throw .option(
                    "--parametrizations", parametrizations,
                    "must be distinct names among "
                        + Format.list(Parametrization.allCases.map(\.rawValue)),
                    remedy: "try standard,mup")
            }
            values.append(value)
        }
        return values
    }

    func checkNumbers() throws(Failure) {
        try requireOption("--steps", steps, in: 1...10_000, remedy: "try 10")
        try requireOption("--seeds", seeds, in: 1...100, remedy: "try 3")
    }
}

/// A session that trains models of several sizes for a few steps and compares their activations.
package struct CoordinatesSession {
    private let options: CoordinatesOptions
    private let job: Job
    private var world: Communicator { job.communicator }

    package init(_ options: CoordinatesOptions, in job: Job) {
        self.options = options
        self.job = job
    }

    /// Trains the models, writes a folder and returns the result; nil if a signal stopped the
    /// session. Collective: every rank must call this.
    package func run() throws(Failure) -> Coordinates? {
        // Only the first host needs the recipe.
        let text = try world.fromFirstRank { () throws(Failure) in
            try readText(options.recipePath)
        }
        let (recipes, axis, sizes, parametrizations) = try world.agree { () throws(Failure) in
            try options.checkNumbers()
            let recipe = try Recipe(
                toml: text, name: options.recipePath, overrides: options.overrides)
            let (axis, sizes) = try options.sizes(of: recipe.model)
            let names = try options.namedParametrizations()
            return (try self.recipes(recipe, along: axis, sizes, names), axis, sizes, names)
        }
        let vega = try world.onFirstRank { () throws(Failure) in
            try ResultFolder(options.outPath).prepare()
        }
        var inputs: [TrainingInput] = []
        for recipe in recipes {
            inputs.append(try job.prepare(recipe, dataPath: options.dataPath))
        }
        for input in inputs { try input.plan.requireMemory(world) }
        let rate = inputs[0].plan.rate.peakLearningRate
        job.announce(
            """
            training models of \(axis.rawValue) \(Format.list(sizes.map { "\($0)" })) with \
            \(Format.list(parametrizations.map(\.label))) and \
            \(Format.counted(options.seeds, "seed")) for \(Format.counted(options.steps, "step")) \
            at rate \(Format.scientific(rate, digits: 3)), on \(job.layout)
            """)
        guard let runs = try train(inputs) else { return nil }
        let result = Coordinates(
            recipeName: options.recipePath, axis: axis, sizes: sizes,
            parametrizations: parametrizations, seeds: options.seeds, steps: options.steps,
            learningRate: rate, runs: runs)
        try world.onFirstRank { () throws(Failure) in
            try ResultFolder(options.outPath).write(
                ("coordinates.csv", result.table), ("coordinates.json", result.json),
                page: result.page, vega: vega)
        }
        return result
    }

    /// Returns the recipe of each run. All sizes of a seed come before the next seed, so that the
    /// time left can be estimated.
    private func recipes(
        _ recipe: Recipe, along axis: CoordinateAxis, _ sizes: [Int], _ names: [Parametrization]
    ) throws(Failure) -> [Recipe] {
        // The recipe's rate is meant for its base or, without one, for its own size.
        let base = ModelSize(
            width: recipe.model.baseWidth ?? recipe.model.width,
            layers: recipe.model.baseLayers ?? recipe.model.layers)
        var recipes: [Recipe] = []
        for seed in 0..<options.seeds {
            for size in sizes {
                for name in names {
                    var own = recipe
                    own.model = try recipe.model.resized(
                        to: axis.size(size, like: recipe.model.size), name, base: base)
                    own.training.seed = recipe.training.seed &+ UInt64(seed)
                    // The check compares the parameters themselves.
                    own.training.averagingPower = nil
                    try own.validate()
                    recipes.append(own)
                }
            }
        }
        return recipes
    }

    private func train(_ inputs: [TrainingInput]) throws(Failure) -> [CoordinateRun]? {
        let engine = job.makeEngine()
        let line = job.progressLine(
            "checking coordinates", total: inputs.count * options.steps,
            unit: .things("steps", showsRate: false))
        defer { line.finish() }
        var (runs, done) = ([CoordinateRun](), 0)
        for input in inputs {
            let run = try CoordinateRun.train(
                input, steps: options.steps, in: job, engine: engine,
                ended: {
                    done += 1
                    line.update(done: done)
                })
            guard let run else { return nil }
            runs.append(run)
        }
        return runs
    }
}
