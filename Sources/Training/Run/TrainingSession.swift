import Compute
import MPI
import Recipes
import Support

/// A session that sets up a run on all ranks and trains it, as `lockstep train` requests.
package struct TrainingSession {
    private let recipePath: String?
    private let dataPath: String?
    private let overrides: [String]
    private let resumes: Bool
    private let resumeRequest: ResumeRequest?
    private let initialRequest: InitialModelRequest?
    private let tracePath: String?
    private let job: Job
    private let communicator: Communicator
    private let run: RunFolder

    /// Creates a session that trains into the folder `runPath`.
    ///
    /// - Parameters:
    ///   - recipePath: the path of the recipe; nil to resume with the run's own.
    ///   - dataPath: the data folder; nil to resume with the run's own.
    ///   - resumes: whether the run in the folder is resumed.
    ///   - resumeRequest: the checkpoint of another run to resume from in a new folder; nil for none.
    ///   - initialModel: the trained model to start from; nil for new parameters.
    ///   - tracePath: the file to which a trace is written; nil for none.
    package init(
        recipePath: String?, dataPath: String?, runPath: String, overrides: [String],
        resumes: Bool, from resumeRequest: ResumeRequest? = nil,
        initialModel: InitialModelRequest? = nil, tracePath: String?, in job: Job
    ) {
        self.recipePath = recipePath
        self.dataPath = dataPath
        self.overrides = overrides
        self.resumes = resumes || resumeRequest != nil
        self.resumeRequest = resumeRequest
        initialRequest = initialModel
        self.tracePath = tracePath
        self.job = job
        communicator = job.communicator
        run = RunFolder(runPath)
    }

    /// Trains as requested; returns how the run ended. Collective: every rank must call this.
    package func train() throws(Failure) -> TrainingOutcome {
        // Only the first host needs the run's folder, the recipe and the initial model.
        let copy = try communicator.onFirstRank { () throws(Failure) in
            try resumeRequest.map { (request) throws(Failure) in try RunCopy(request) }
        }.flatMap(\.self)
        let initial = try communicator.onFirstRank { () throws(Failure) in
            try openInitialModel(of: copy)
        }.flatMap(\.self)
        let toml = try communicator.fromFirstRank { () throws(Failure) in
            try readRecipe(initial, copy).toml
        }
        let path = try communicator.fromFirstRank { () throws(Failure) in
            let before = copy?.source ?? run
            let path = try chosenDataPath(of: before)
            if resumes { try before.refuseOtherTokenizer(than: path) }
            return path
        }
        let recipe = try communicator.agree { () throws(Failure) in
            try Recipe(toml: toml, name: "the recipe")
        }
        let input = try job.prepare(
            recipe, dataPath: path, isRemembered: dataPath == nil, followsBatchSchedule: true)
        let start = try communicator.onFirstRank { () throws(Failure) in
            if !resumes || copy != nil { try run.requireFree() }
            return try initial?.text(
                fitting: input.plan.recipe.model, dataPath: path, tokenizer: input.data.tokenizer)
        }
        try input.plan.requireMemory(communicator)
        let trace = try tracePath.map { (path) throws(Failure) in
            try Trace(path: path, communicator: communicator)
        }
        let trainer = try Trainer(input, run: run, job: job, engine: job.makeEngine(), trace: trace)
        let lock = try prepareFolder(input, initial?.record, copy)
        let memory = try trainer.memory()
        try announce(trainer, input.data, memory, start: start?.flatMap(\.self) ?? "")
        defer { withExtendedLifetime(lock) {} }
        if resumes {
            let step = try trainer.resume(orStartFrom: initial, savesStart: true)
            let changes = try communicator.onFirstRank { () throws(Failure) in
                try run.replaceRecipe(with: input.plan.recipe)
            }
            job.announce(
                step.map { "resumed from the checkpoint of step \($0)" + (copy?.origin ?? "") }
                    ?? "no checkpoint was written yet, so the run starts again from the first step")
            announce(changes ?? [])
        } else {
            try trainer.start(from: initial, savesStart: initialRequest != nil)
        }
        let outcome = try trainer.run()
        try trace?.write()
        switch outcome {
        case .finished(let evaluation, _): try trainer.requireGoodEnd(evaluation)
        case .stoppedEarly(let stop): try trainer.requireGoodEnd(stop.evaluation)
        case .checkpointed: break
        }
        let resident = try ResidentMemory.peak(of: communicator)
        job.announce(
            "peak memory \(Format.bytes(resident)) per rank; the plan expected "
                + "\(Format.bytes(memory.rankBytes))")
        return outcome
    }

    // MARK: - Recipe and data

    /// Opens the model from which the run starts; nil for new parameters, or to resume from a
    /// checkpoint.
    private func openInitialModel(of copy: RunCopy?) throws(Failure) -> InitialModel? {
        guard resumes else {
            return try initialRequest.map { (request) throws(Failure) in try InitialModel(request) }
        }
        let run = copy?.source ?? run
        guard run.holdsRun else { return nil }
        try run.requireInitialModel(initialRequest)
        guard try run.checkpointStore().candidates().isEmpty else { return nil }
        return try run.readInitialModel().map { (record) throws(Failure) in
            try InitialModel(again: record)
        }
    }

    private func readRecipe(_ initial: InitialModel?, _ copy: RunCopy?) throws(Failure) -> Recipe {
        guard resumes else {
            guard let recipePath else {
                throw .missing(
                    "<recipe>",
                    remedy: "name one, such as launch/recipes/quickstart.toml, or add --resume to "
                        + "resume the run in --out")
            }
            var recipe = try Recipe(
                toml: try readText(recipePath), name: recipePath, overrides: overrides,
                model: initial?.defaults)
            recipe.makePathsAbsolute()
            if let dataPath {
                try initial?.record.settleVocabulary(of: &recipe.model, dataPath: dataPath)
            }
            return recipe
        }
        return try ResumedRecipe(of: copy?.source ?? run, at: copy?.checkpoint).recipe(
            given: recipePath, overrides: overrides)
    }

    private func chosenDataPath(of run: RunFolder) throws(Failure) -> String {
        if let dataPath { return dataPath }
        guard resumes else { throw TrainingData.notGiven }
        return try run.readDataPath()
    }

    // MARK: - Set-up

    /// Creates the folder of a new run, or of a copy, and locks it, on rank 0.
    private func prepareFolder(
        _ input: TrainingInput, _ initialModel: InitialModelRecord?, _ copy: RunCopy?
    ) throws(Failure) -> RunLock? {
        try communicator.onFirstRank { () throws(Failure) -> RunLock in
            try copy?.create(run)
            if !resumes {
                try run.create(
                    recipe: input.plan.recipe.toml, dataPath: FileSystem.absolute(input.data.path),
                    tokenizerFrom: input.data.tokenizer?.savedForm, initialModel: initialModel)
            }
            return try RunLock(run)
        }
    }

    /// Prints the keys that a resume changes.
    private func announce(_ changes: [Recipe.Difference]) {
        guard !changes.isEmpty else { return }
        let list = changes.map { "\($0.key) = \($0.value) (was \($0.otherValue))" }
        job.announce("the remaining steps have \(list.joined(separator: ", "))")
    }

    /// Prints the plan, and facts about the machines that may matter to the user.
    private func announce(
        _ trainer: Trainer, _ data: TrainingData, _ memory: MemoryPlan, start: String
    ) throws(Failure) {
        let precision = trainer.plan.recipe.training.precision
        let machines = try communicator.gatherText(
            """
            \(Communicator.hostName)
            \(InstructionSet.best.name(for: precision))
            \(run.holdsRun)
            """
        ).map { $0.split(separator: "\n").map(String.init) }
        guard job.isFirstRank else { return }
        let hosts = Set(machines.map { $0[0] })
        let instructionSets = Set(machines.map { $0[1] })
        let summary = trainer.plan.summary(
            ranks: communicator.size, threads: job.threads, hosts: hosts.count,
            runPath: run.path, trainingTokens: data.training.tokenCount,
            mixture: trainer.plan.mixtureText(data.order),
            validationTargets: trainer.evaluator.targetCount,
            validationTokens: data.validation.tokenCount,
            decayedTensors: trainer.state.optimizer.decayedTensors.map(\.name),
            tensorCount: trainer.model.layout.arena.tensors.count, start: start, memory: memory)
        job.announce(summary)
        if !MPIEnvironment.hasLauncher {
            job.announce(
                "started without mpirun, so this is the only rank; use launch/mpirun for more")
        }
        if let warning = trainer.plan.zeroRateWarning { job.warn(warning) }
        if let warning = trainer.plan.typicalRateWarning { job.warn(warning) }
        if let notice = trainer.copyNotice {
            job.announce("checkpoints are written between steps, because \(notice)")
        }
        if let notice = trainer.runner.reductionNotice {
            job.warn("ranks of one host exchange messages instead of sharing memory: \(notice)")
        }
        // The first rank has written the recipe, so all hosts that share the folder see it.
        let strangers = Set(machines.filter { $0[2] == "false" }.map { $0[0] }).sorted()
        if !strangers.isEmpty {
            job.warn(
                """
                \(run.path) is not shared with \(strangers.joined(separator: ", ")), so a job whose \
                first rank is on such a host cannot resume the run
                """)
        }
        // In fp32 all kernels give the same bits; bf16 instructions treat subnormals as zero.
        if precision == .bf16, instructionSets.count > 1 {
            job.warn(
                """
                hosts differ in their bf16 instructions \
                (\(instructionSets.sorted().joined(separator: ", "))), so results may differ in \
                bits from runs on other layouts
                """)
        }
    }
}
