import Compute
import Logging
import MPI
import Recipes
import Support
import Telemetry

/// What `lockstep train` was asked to do.
package struct TrainingRequest: Sendable {
    /// The recipe's file; nil to resume with the run's own.
    package var recipePath: String?
    /// The data folder; nil to resume with the run's own.
    package var dataPath: String?
    package var runPath: String
    package var overrides: [String]
    package var resumes: Bool
    package var threads: Int
    package var progress: ProgressMode
    /// Whether no launcher started this process.
    package var isAlone: Bool
    /// Where to write a trace; nil for none.
    package var tracePath: String?
    /// Whether bf16 may run on a processor that lacks it.
    package var emulatesBF16: Bool

    package init(
        recipePath: String?, dataPath: String?, runPath: String, overrides: [String],
        resumes: Bool, threads: Int, progress: ProgressMode, isAlone: Bool,
        tracePath: String? = nil, emulatesBF16: Bool = false
    ) {
        self.recipePath = recipePath
        self.dataPath = dataPath
        self.runPath = runPath
        self.overrides = overrides
        self.resumes = resumes
        self.threads = threads
        self.progress = progress
        self.isAlone = isAlone
        self.tracePath = tracePath
        self.emulatesBF16 = emulatesBF16
    }
}

/// Sets up a run on all ranks together, and trains.
package struct TrainingSession {
    private let request: TrainingRequest
    private let communicator: Communicator
    private let run: RunFolder
    private let logger = Logger(label: "lockstep")

    package init(_ request: TrainingRequest, communicator: Communicator) {
        self.request = request
        self.communicator = communicator
        run = RunFolder(request.runPath)
    }

    /// Trains as requested. Collective.
    package func train() throws(Failure) -> TrainingOutcome {
        // Only the first host needs the run's folder and the recipe.
        let toml = try communicator.fromFirstRank { () throws(Failure) in try readRecipe().toml }
        let path = try communicator.fromFirstRank { () throws(Failure) in
            let path = try dataPath()
            if request.resumes { try run.refuseOtherTokenizer(than: path) }
            return path
        }
        let (recipe, data) = try communicator.agree { () throws(Failure) in
            var recipe = try Recipe(toml: toml, name: "the recipe")
            // The data settle the recipe's vocabulary.
            let data = try TrainingData(
                path: path, recipe: &recipe, isRemembered: request.dataPath == nil,
                rank: communicator.rank)
            return (recipe, data)
        }
        let plan = try communicator.agree { () throws(Failure) in
            try TrainingPlan(recipe, ranks: communicator.size)
        }
        try communicator.sameOnAllRanks("training data", data.fingerprint)
        try communicator.onFirstRank { () throws(Failure) in
            if !request.resumes { try run.requireFree() }
        }
        try communicator.agree { () throws(Failure) in
            try plan.recipe.training.precision.requireProcessor(emulates: request.emulatesBF16)
        }
        try plan.requireMemory(communicator)
        let trace = try request.tracePath.map { (path) throws(Failure) in
            try Trace(path: path, communicator: communicator)
        }
        let engine = ComputeEngine(team: rankTeam(threads: request.threads))
        let trainer = try Trainer(
            plan: plan, data: data, run: run, communicator: communicator, engine: engine,
            progress: request.progress, trace: trace)
        let lock = try prepareFolder(plan, data)
        let memory = try trainer.memory()
        try announce(trainer, data, memory)
        defer { withExtendedLifetime(lock) {} }
        if request.resumes {
            let step = try trainer.resume()
            try communicator.onFirstRank { () throws(Failure) in
                try run.replaceRecipe(with: plan.recipe)
            }
            tell(
                step == 0
                    ? "no checkpoint was written yet, starting again from the first step"
                    : "resumed from the checkpoint of step \(step)", from: communicator)
        } else {
            try trainer.start()
        }
        let outcome = try trainer.run()
        try trace?.write()
        if case .finished(let evaluation, _) = outcome { try trainer.requireGoodEnd(evaluation) }
        let resident = try ResidentMemory.peak(of: communicator)
        tell(
            "at most \(Format.bytes(resident)) resident on a rank, of "
                + "\(Format.bytes(memory.rankBytes)) planned", from: communicator)
        return outcome
    }

    // MARK: - Recipe and data

    private func readRecipe() throws(Failure) -> Recipe {
        guard request.resumes else {
            guard let path = request.recipePath else {
                throw Failure(
                    .usage,
                    "No recipe is given: name one, such as launch/recipes/quickstart.toml, or add "
                        + "--resume to go on with the run in --out.")
            }
            return try Recipe(
                toml: try readText(path), name: path, overrides: request.overrides)
        }
        return try ResumedRecipe(of: run).recipe(
            given: request.recipePath, overrides: request.overrides)
    }

    private func dataPath() throws(Failure) -> String {
        if let path = request.dataPath { return path }
        guard request.resumes else {
            throw TrainingData.notGiven
        }
        return try run.readDataPath()
    }

    // MARK: - Set-up

    /// Makes the folder of a new run, and locks it, on rank 0.
    private func prepareFolder(
        _ plan: TrainingPlan, _ data: TrainingData
    ) throws(Failure) -> RunLock? {
        try communicator.onFirstRank { () throws(Failure) -> RunLock in
            if !request.resumes {
                try run.create(
                    recipe: plan.recipe.toml, dataPath: absolute(data.path),
                    tokenizerFrom: data.tokenizer?.savedForm)
            }
            return try RunLock(run)
        }
    }

    /// Prints the plan, and what a user should know of the machines.
    private func announce(
        _ trainer: Trainer, _ data: TrainingData, _ memory: MemoryPlan
    ) throws(Failure) {
        let precision = trainer.plan.recipe.training.precision
        let machines = try communicator.allGatherBytes(
            Array("\(Communicator.hostName)\n\(InstructionSet.best.name(for: precision))".utf8)
        ).map { String(decoding: $0, as: UTF8.self).split(separator: "\n").map(String.init) }
        let hosts = Set(machines.compactMap(\.first))
        let instructionSets = Set(machines.compactMap(\.last))
        let around = PlanContext(
            ranks: communicator.size, threads: request.threads, hosts: hosts.count,
            runPath: run.path, trainingTokens: data.training.tokenCount,
            validationTargets: trainer.validationTargets,
            validationTokens: data.validation.tokenCount,
            decayedTensors: trainer.decayedTensors,
            tensorCount: trainer.model.layout.arena.tensors.count, memory: memory)
        tell(trainer.plan.summary(around), from: communicator)
        if request.isAlone {
            tell(
                "started without mpirun, so this is the only rank; use launch/mpirun for more",
                from: communicator)
        }
        if let warning = trainer.plan.zeroRateWarning, communicator.rank == 0 {
            logger.warning("\(warning)")
        }
        if let notice = trainer.reductionNotice, communicator.rank == 0 {
            logger.warning(
                "ranks of one host exchange messages instead of sharing memory: \(notice)")
        }
        // In fp32 all kernels give the same bits; instructions for bf16 take subnormals for zero.
        if precision == .bf16, instructionSets.count > 1 {
            logger.warning(
                """
                hosts differ in how they multiply bf16 numbers \
                (\(instructionSets.sorted().joined(separator: ", "))), so results may differ in \
                bits from runs on other layouts
                """)
        }
    }
}
