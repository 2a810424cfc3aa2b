import Recipes
import Support
import Training

extension BranchDesign {
    /// The divisor of the run's tokens that gives the default tokens of a branch: a tenth.
    private static let usualDivisor = 10
    /// The default least number of steps of the largest batch, enough for its optimizer to adapt.
    private static let usualSteps = 20

    /// Resolves the options for a run.
    ///
    /// - Throws: `Failure` (usage) if an option is invalid; (missing input) or (bad data) if the
    ///   run or a checkpoint cannot be used; (configuration) if the run's rate is 0 at a
    ///   checkpoint.
    init(_ options: BranchOptions) throws(Failure) {
        try options.validate()
        guard let path = options.run else {
            throw .missing(
                "<run>",
                remedy: "give the folder of a run, or add --resume to resume the branches in --out")
        }
        let requested = try options.checkpointSteps()
        let run: RunCheckpoints
        if let requested {
            run = try RunCheckpoints(run: path, steps: requested)
        } else {
            run = try RunCheckpoints(run: path, newestOnly: false)
        }
        let recipe = run.recipe
        try require(
            recipe.training.batchSchedule.isEmpty,
            or: .file(
                .configuration, path,
                "changes its batch, so it has no batch to compare others with",
                remedy: "branch a run without [training] batch_schedule"))
        let trunkBatch = recipe.training.globalBatch
        let plan = try TrainingPlan(recipe, ranks: 1)
        let batches = try options.batchSizes(ofRunWithBatch: trunkBatch)
        let rule = try options.scalingRule(for: recipe.optimizer.name)
        let all = try Self.starts(of: run, plan, areNamed: requested != nil)
        let starts = try Self.starts(
            among: all, areNamed: requested != nil || options.checkpoints != nil, path: path)
        let sequences = try Self.sequences(
            options, batches: batches, after: starts.last?.step ?? 0, of: recipe)
        // `??` would lose the type of the error.
        let dataPath: String
        if let given = options.data {
            dataPath = FileSystem.absolute(given)
        } else {
            dataPath = try RunFolder(path).readDataPath()
        }
        self.init(
            run: FileSystem.absolute(RunFolder(path).path), dataPath: dataPath,
            dataFingerprint: run.checkpoints.last?.manifest.dataFingerprint ?? "", starts: starts,
            leftOut: all.map(\.step).filter { step in !starts.contains { $0.step == step } },
            trunkBatch: trunkBatch, contextLength: recipe.model.contextLength, batches: batches,
            rule: rule, sequences: sequences, decays: options.decays,
            tolerance: options.tolerance ?? BranchOptions.usualTolerance,
            repeats: options.repeats ?? BranchOptions.usualRepeats)
    }

    /// Returns the sequences of a branch: those of the requested tokens, or of the default ones,
    /// rounded up to a multiple of every batch.
    ///
    /// - Parameter step: the step of the newest checkpoint from which branches start.
    private static func sequences(
        _ options: BranchOptions, batches: [Int], after step: Int, of recipe: Recipe
    ) throws(Failure) -> Int {
        let (trunkBatch, length) = (recipe.training.globalBatch, recipe.model.contextLength)
        guard let unit = commonMultiple(batches) else {
            throw .option(
                "--batches", options.batchText,
                "have a least common multiple above a billion sequences, so branches of equal "
                    + "length would be too long",
                remedy: "try 1,2,4,8")
        }
        let wanted =
            options.tokens
            ?? max(
                step * trunkBatch * length / usualDivisor,
                usualSteps * (batches.last ?? trunkBatch) * length)
        guard wanted <= mostTokens else {
            throw Failure.option(
                "--tokens", wanted, "must be at most \(mostTokens)", remedy: "try 100000")
        }
        return max(1, (wanted + unit * length - 1) / (unit * length)) * unit
    }

    /// Returns the checkpoints from which branches start: all that can, or, if the user named none,
    /// those before the run's rate decays.
    ///
    /// - Throws: `Failure` (configuration) if there are none.
    private static func starts(
        among all: [Start], areNamed: Bool, path: String
    ) throws(Failure) -> [Start] {
        guard !all.isEmpty else {
            throw .file(
                .configuration, path, "has a learning rate of 0 after every checkpoint",
                remedy: "train it with `--set checkpoint.keep=0`, which keeps earlier checkpoints")
        }
        let starts = all.filter { areNamed || $0.phase == .training }
        guard !starts.isEmpty else {
            throw .file(
                .configuration, path,
                "has no checkpoint before its last one and before its rate decays",
                remedy: "train it with `--set checkpoint.keep=0`, which keeps earlier checkpoints, "
                    + "or give --checkpoints all to branch from the others")
        }
        return starts
    }

    /// Returns the checkpoints from which branches can start. Checkpoints that were not named are
    /// left out if the run's rate there is 0.
    private static func starts(
        of run: RunCheckpoints, _ plan: TrainingPlan, areNamed: Bool
    ) throws(Failure) -> [Start] {
        var starts: [Start] = []
        for checkpoint in run.checkpoints {
            let rate = plan.learningRate(after: checkpoint.step)
            if rate > 0 {
                starts.append(
                    Start(
                        step: checkpoint.step, parameterHash: checkpoint.manifest.parameterHash,
                        learningRate: rate, phase: phase(at: checkpoint.step, plan)))
            } else if areNamed {
                throw .option(
                    "--checkpoints", checkpoint.step,
                    "is followed by a learning rate of 0, so branches would not train",
                    remedy: "give an earlier step")
            }
        }
        return starts
    }

    /// The fraction of the highest rate so far below which the rate has decayed. Batches differ by
    /// factors of two, so a tenth less hardly moves the critical one.
    private static let decayedPart = 0.9

    private static func phase(at step: Int, _ plan: TrainingPlan) -> Phase {
        if step >= plan.recipe.training.steps { return .end }
        let highest = (0...step).lazy.map(plan.learningRate(after:)).max() ?? 0
        return plan.learningRate(after: step) < decayedPart * highest ? .decay : .training
    }

    /// Checks that the options of a resumed command, as far as they are given, are those with which
    /// the branches were started.
    ///
    /// - Throws: `Failure` (usage) that names the first option that differs.
    func requireSame(_ options: BranchOptions) throws(Failure) {
        func check(_ option: String, _ isSame: Bool) throws(Failure) {
            guard !isSame else { return }
            throw .option(
                option, "differs from the branches being resumed",
                remedy: "omit it, or start new branches with another --out and without --resume")
        }
        try options.validate()
        if let given = options.run {
            try check("<run> \(given)", FileSystem.absolute(RunFolder(given).path) == run)
        }
        if let steps = try options.checkpointSteps() {
            try check("--checkpoints \(options.checkpoints ?? "")", steps == starts.map(\.step))
        } else if let all = options.checkpoints {
            try check("--checkpoints \(all)", leftOut.isEmpty)
        }
        if let given = options.batches {
            try check(
                "--batches \(given)", try options.batchSizes(ofRunWithBatch: trunkBatch) == batches)
        }
        if let given = options.rule { try check("--rule \(given)", given == rule.rawValue) }
        if let given = options.tokens {
            // `tokens` is the requested number, rounded up to a multiple of every batch.
            let unit = (Self.commonMultiple(batches) ?? 1) * contextLength
            try check("--tokens \(given)", given <= tokens && given > tokens - unit)
        }
        try check("--decay", decays || !options.decays)
        if let given = options.tolerance { try check("--tolerance \(given)", given == tolerance) }
        if let given = options.repeats { try check("--repeats \(given)", given == repeats) }
    }

    /// Returns the recipe of a branch.
    ///
    /// The optimizer is the run's after scaling, with the run's rate at the checkpoint as the rate
    /// of the run's batch. Evaluations use the parameters themselves: an average over steps would
    /// cover more tokens at a larger batch. The lanes and the micro-batch are the run's, or those
    /// nearest to them that divide the batch. The lanes are the next larger number, so that as many
    /// ranks fit, but at most one per sequence.
    ///
    /// - Throws: `Failure` (configuration) if the rule does not hold at the batch.
    func recipe(
        of batch: Int, from start: Start, trunk: TrainingPlan
    ) throws(Failure) -> Recipe {
        var recipe = trunk.recipe
        recipe.training.globalBatch = batch
        recipe.training.steps = start.step + steps(ofBatch: batch)
        recipe.training.averagingPower = nil
        recipe.reduction.lanes =
            (min(recipe.reduction.lanes, batch)...batch).first { batch % $0 == 0 } ?? batch
        let laneBatch = batch / recipe.reduction.lanes
        recipe.training.microBatch =
            (1...min(recipe.training.microBatch, laneBatch)).last { laneBatch % $0 == 0 } ?? 1
        recipe.optimizer = trunk.rate.optimizer
        recipe.optimizer.learningRate = start.learningRate
        recipe.scaling = ScalingConfiguration()
        recipe.scaling.rule = rule
        recipe.scaling.baseBatch = trunkBatch
        recipe.schedule = ScheduleConfiguration()
        recipe.schedule.name = .constant
        recipe.schedule.warmupSteps = 0
        try recipe.validate()
        return recipe
    }
}
