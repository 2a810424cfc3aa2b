import MPI
import Recipes
import Support
import Training

/// A session that sets up a range test on all ranks, takes its steps, and writes the results.
package struct RangeTestSession {
    private let recipePath: String
    private let dataPath: String
    private let ramp: RateRamp
    private let probeSteps: Int
    private let overrides: [String]
    /// The run from whose newest checkpoint the test begins; nil for new parameters.
    private let startPath: String?
    /// The trained model whose parameters the test begins with; nil for none.
    private let initialRequest: InitialModelRequest?
    /// The folder to create for the results; nil for none.
    private let outPath: String?
    /// The file to create for the recipe with the recommended rate; nil for none.
    private let writePath: String?
    private let job: Job
    private var world: Communicator { job.communicator }

    /// Creates a session that has taken no step.
    package init(
        recipePath: String, dataPath: String, ramp: RateRamp, probeSteps: Int,
        overrides: [String], startPath: String?, initialModel: InitialModelRequest? = nil,
        outPath: String?, writePath: String?, in job: Job
    ) {
        self.recipePath = recipePath
        self.dataPath = dataPath
        self.ramp = ramp
        self.probeSteps = probeSteps
        self.overrides = overrides
        self.startPath = startPath
        initialRequest = initialModel
        self.outPath = outPath
        self.writePath = writePath
        self.job = job
    }

    /// Runs the test and returns its result, the same on all ranks; nil if a signal stopped it.
    /// Collective: every rank must call this.
    ///
    /// - Throws: `Failure` before any step is taken if a part of the request is invalid.
    package func run() throws(Failure) -> RangeTestResult? {
        // Only the first host needs the recipe and the initial model.
        let initial = try world.onFirstRank { () throws(Failure) in
            try initialRequest.map { (request) throws(Failure) in try InitialModel(request) }
        }.flatMap(\.self)
        let text = try world.fromFirstRank { () throws(Failure) in try readText(recipePath) }
        let record = try InitialModelRecord.fromFirstRank(initial?.record, world)
        let recipe = try world.agree { () throws(Failure) in
            var recipe = try Recipe(
                toml: text, name: recipePath, overrides: overrides, model: record?.defaults())
            recipe.makePathsAbsolute()
            try record?.settleVocabulary(of: &recipe.model, dataPath: dataPath)
            // A range test does not evaluate.
            recipe.training.averagingPower = nil
            return recipe
        }
        let input = try job.prepare(recipe, dataPath: dataPath)
        let fit = try world.fromFirstRank { () throws(Failure) in
            try initial?.text(
                fitting: input.plan.recipe.model, dataPath: dataPath,
                tokenizer: input.data.tokenizer) ?? ""
        }
        let vega = try world.onFirstRank { () throws(Failure) in
            try prepareOutput(text, record)
        }
        try input.plan.requireMemory(world)
        let runner = try StepRunner(plan: input.plan, communicator: world, engine: job.makeEngine())
        let startStep = try begin(runner, input.data, initial)
        announce(input.plan, startStep: startStep, initial: fit)
        let trials = try takeSteps(runner, input)
        try runner.free()
        guard let (curve, searches) = trials else { return nil }
        let result = RangeTestResult(
            curve: curve, searches: searches, plan: input.plan, recipeText: text,
            startStep: startStep, start: startPath, initialModel: record)
        try world.onFirstRank { () throws(Failure) in
            guard let out = outPath else { return }
            try ResultFolder(out).write(
                ("curve.csv", result.csv), ("find-lr.json", result.json), page: result.page,
                vega: vega)
        }
        return result
    }

    // MARK: - Set-up

    /// Checks that the outputs can be written, before steps are taken.
    ///
    /// - Returns: the script that draws the report's chart; empty if there is no report.
    private func prepareOutput(
        _ text: String, _ initialModel: InitialModelRecord?
    ) throws(Failure) -> String {
        if let path = writePath {
            guard !path.isEmpty else {
                throw .option(
                    "--write", "\"\"", "is empty", remedy: "give the path of the new recipe")
            }
            try requireAbsent(path)
            let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
            try FileSystem.requireWritableFolder(folder, remedy: "check the path of --write")
            guard path != outPath else {
                throw .option(
                    "--write", path, "is also the path of --out",
                    remedy: "give --write the path of the new recipe")
            }
            try requireEditable(text, initialModel)
            try requireRoom(for: text, at: path)
        }
        guard let out = outPath else { return "" }
        return try ResultFolder(out).prepare()
    }

    /// Fills the state from a run, or with the parameters of a trained model, or with new ones;
    /// returns the run's step, or 0.
    private func begin(
        _ runner: StepRunner, _ data: TrainingData, _ initial: InitialModel?
    ) throws(Failure) -> Int {
        guard let start = startPath else {
            try runner.initialize(from: initial)
            return 0
        }
        return try runner.begin(from: RunFolder(start), data: data)
    }

    private func announce(_ plan: TrainingPlan, startStep: Int, initial: String) {
        let start =
            startPath.map { "the checkpoint of step \(startStep) in \($0)" }
            ?? (initial.isEmpty ? "new parameters" : initial)
        job.announce(
            """
            trying learning rates from \(ramp.from) to \(ramp.to), \(ramp.shape.rawValue), in \
            \(Format.count(ramp.steps)) steps of \(plan.recipe.training.globalBatch) sequences = \
            \(Format.count(plan.tokensPerStep)) tokens, then the best ones in about \
            \(RateSearch.usualProbes) runs of \(Format.count(probeSteps)) steps with the recipe's \
            schedule, on \(job.layout), from \(start); the trained parameters are discarded
            """)
    }

    // MARK: - Steps

    /// Takes the steps of the ramp and of the probes that follow from it; nil if a signal stopped
    /// them.
    private func takeSteps(
        _ runner: StepRunner, _ input: TrainingInput
    ) throws(Failure) -> (RangeCurve, [RateSearch])? {
        let batches = input.makeBatches()
        guard let curve = try sweepRates(runner, batches) else { return nil }
        let recipeRate = input.plan.rate.peakLearningRate
        let (start, fall): (Double, Double)
        if let rate = curve.startingRate, let known = curve.fall {
            (start, fall) = (rate, known)
        } else if startPath != nil || initialRequest != nil, curve.fall != nil {
            // The loss of a trained model may fall by less than its noise.
            (start, fall) = (recipeRate, 0)
        } else {
            return (curve, [])
        }
        let search = RateSearch(
            near: start, recipeRate: recipeRate, probeSteps: probeSteps,
            decay: RateDecay(input.plan), fall: fall)
        guard let first = try job.probe(search, runner, batches) else { return nil }
        guard let longer = first.confirmation else { return (curve, [first]) }
        return try job.probe(longer, runner, batches).map { (curve, [first, $0]) }
    }

    private func sweepRates(
        _ runner: StepRunner, _ batches: StepRunner.Batches
    ) throws(Failure) -> RangeCurve? {
        let line = job.progressLine(
            "raising the rate", total: ramp.steps, unit: .things("steps", showsRate: true))
        var details: [String] = []
        // If the ramp ended early, the line does not show its last step yet.
        defer { line.finish(details: details) }
        return try runner.run(
            RangeCurve(ramp),
            observe: { curve in
                guard let point = curve.points.last else { return }
                details = rateDetails(rate: point.rate, loss: point.loss)
                line.update(done: curve.points.count, details: details)
            },
            isStopped: { () throws(Failure) in try job.isStopRequested() }, batches: batches)
    }

    // MARK: - Results

    /// The learning rates of a recipe.
    package struct RecipeRate: Sendable, Equatable {
        package var learningRate: Double
        /// The lowest rate; nil if the recipe does not set it.
        package var minimumLearningRate: Double?

        /// Returns `rate` with a lowest rate that is the same fraction of it as before, rounded to
        /// three digits.
        ///
        /// An unchanged lowest rate could be above the new rate, or so close below it that the
        /// schedule would hardly decay.
        func scaled(to rate: Double) -> RecipeRate {
            let floor = minimumLearningRate.flatMap { floor in
                Double(Format.significant(rate * (floor / learningRate), digits: 3))
            }
            return RecipeRate(learningRate: rate, minimumLearningRate: floor.map { min($0, rate) })
        }

        /// The lowest rate as a fraction of the learning rate.
        package var floorPart: Double? { minimumLearningRate.map { $0 / learningRate } }
    }

    /// Writes the new recipe and returns its rates on the first rank; nil if none was requested.
    /// Collective: every rank must call this.
    ///
    /// - Throws: `Failure` (bad data) if no rate was found; (configuration) if the recipe is
    ///   invalid with that rate.
    package func writeRecipe(_ result: RangeTestResult) throws(Failure) -> RecipeRate? {
        guard let path = writePath else { return nil }
        guard let rate = result.baseRate else {
            return try world.agree { () throws(Failure) in
                throw Failure.file(
                    .badData, path, "is not written, because no rate was found",
                    remedy: "follow the advice above, or set the recipe's learning_rate by hand")
            }
        }
        return try world.onFirstRank { () throws(Failure) in
            let model = result.initialModel
            let rate = try givenRate(result.recipeText, model).scaled(to: rate)
            let edited = Self.edited(result.recipeText, rate)
            _ = try Recipe(
                toml: edited, name: "\(recipePath) with this learning_rate",
                model: model?.defaults())
            // Another process may have created the file in the meantime.
            try requireAbsent(path)
            try AtomicFile.write(edited, to: path)
            return rate
        }
    }

    private func requireAbsent(_ path: String) throws(Failure) {
        guard FileSystem.exists(path) else { return }
        throw .taken(path, remedy: "give --write another name")
    }

    /// Returns the rates of the recipe with its overrides.
    private func givenRate(
        _ text: String, _ initialModel: InitialModelRecord?
    ) throws(Failure) -> RecipeRate {
        let recipe = try Recipe(
            toml: text, name: recipePath, overrides: overrides, model: initialModel?.defaults())
        return RecipeRate(
            learningRate: recipe.optimizer.learningRate,
            minimumLearningRate: recipe.schedule.minimumLearningRate)
    }

    /// Returns the recipe's text with the given rates.
    private static func edited(_ text: String, _ rate: RecipeRate) -> String {
        var edited = RecipeText(text)
        edited.set("optimizer", "learning_rate", to: "\(rate.learningRate)")
        if let floor = rate.minimumLearningRate {
            edited.set("schedule", "minimum_learning_rate", to: "\(floor)")
        }
        return edited.text
    }

    /// Checks that --write can change the rates in a recipe's text and nothing else.
    ///
    /// - Throws: `Failure` (configuration) if it cannot.
    private func requireEditable(
        _ text: String, _ initialModel: InitialModelRecord?
    ) throws(Failure) {
        let rate = try givenRate(text, initialModel)
        let floor = rate.minimumLearningRate
        let model = try initialModel?.defaults()
        var expected = try Recipe(unchecked: text, name: recipePath, model: model)
        expected.optimizer.learningRate = rate.learningRate
        if let floor { expected.schedule.minimumLearningRate = floor }
        try expected.validate()
        let edited = Self.edited(text, rate)
        guard (try? Recipe(toml: edited, name: recipePath, model: model)) != expected else {
            return
        }
        throw .file(
            .configuration, recipePath,
            "has a form in which --write cannot change its learning_rate",
            remedy: "give it a section [optimizer]"
                + (floor == nil ? "" : " and a section [schedule]") + " with a line for each key")
    }

    /// Checks that the recipe can be written, by writing a trial file and removing it.
    ///
    /// - Throws: `Failure` (I/O) if it cannot.
    private func requireRoom(for text: String, at path: String) throws(Failure) {
        let trial = path + AtomicFolder.partialSuffix
        defer { FileSystem.removeIfPossible(trial) }
        var file = try OutputFile(creating: trial)
        try file.write(text)
        try file.finish()
    }
}
