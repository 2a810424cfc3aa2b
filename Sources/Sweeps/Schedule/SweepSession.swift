import Glibc
import MPI
import Recipes
import Support
import Telemetry
import Training

/// The outcome of a sweep.
package enum SweepOutcome: Sendable {
    /// All points have ended. The findings are on rank 0 only.
    case finished(SweepFindings?)
    /// A signal stopped the sweep; the results of the points that have ended are kept.
    case stopped
}

/// A session that sets up a sweep on all ranks, trains its points in groups of ranks, and analyzes
/// the results.
package struct SweepSession {
    /// The path of the specification; nil to resume with the sweep's own.
    private let specificationPath: String?
    /// The data folder; nil to resume with the sweep's own.
    private let dataPath: String?
    let resumes: Bool
    /// The number of groups of ranks, each of which trains one point at a time; nil for one per
    /// rank.
    private let groups: Int?
    /// The budget of a planned sweep; nil for a grid, or to resume a planned sweep with its own.
    private let givenBudget: SweepBudget?
    /// The trained model from which every run starts; nil for new parameters, or to resume with the
    /// sweep's own.
    let initialRequest: InitialModelRequest?
    let job: Job
    let folder: SweepFolder
    var world: Communicator { job.communicator }

    package init(
        specificationPath: String?, dataPath: String?, sweepPath: String, resumes: Bool,
        groups: Int?, budget: SweepBudget? = nil, initialModel: InitialModelRequest? = nil,
        in job: Job
    ) {
        self.specificationPath = specificationPath
        self.dataPath = dataPath
        self.resumes = resumes
        self.groups = groups
        givenBudget = budget
        initialRequest = initialModel
        self.job = job
        folder = SweepFolder(sweepPath)
    }

    /// Trains every point that has no result yet. Collective: every rank must call this.
    package func run() throws(Failure) -> SweepOutcome {
        if resumes { try requireSharedFolder() }
        let initial = try initialModel()
        let input = try world.agree { () throws(Failure) in try readInput(initial.record) }
        try world.sameOnAllRanks("specification", SHA256.hash(input.text))
        try world.sameOnAllRanks("training data", input.data.fingerprint)
        let groups = try world.agree { () throws(Failure) in try groupCount(input.specification) }
        let lock = try world.onFirstRank { () throws(Failure) in
            if let model = initial.model { try announce(model, for: input) }
            try prepareFolder(input, initial.record)
            return try RunLock(RunFolder(folder.path))
        }
        defer { withExtendedLifetime(lock) {} }
        try world.onFirstRank { () throws(Failure) in try folder.prepareForGroups() }
        try requireSharedFolder()
        let schedule = try SweepSchedule(input.specification)
        let session = try world.fromFirstRank { () throws(Failure) in
            String(UInt64.random(in: 0 ... .max), radix: 36)
        }
        let plan = try world.agree { () throws(Failure) in try makePlan(input.specification) }
        let budget = try world.agree { () throws(Failure) in
            givenBudget == nil ? try folder.readBudget() : givenBudget
        }
        let ledger = SweepLedger(
            folder, schedule: schedule, session: session, plan: plan, budget: budget,
            groups: groups, initialModel: initial.record?.digest)
        try world.onFirstRank { () throws(Failure) in
            let results = try ledger.results()
            guard let plan else {
                return try announce(input, groups: groups, schedule, results: results)
            }
            try announcePlan(input, budget, groups: groups, ended: results.count)
            if let givenBudget { try folder.write(givenBudget) }
            let isChanged = resumes && specificationPath != nil
            let gridRuns = isChanged ? schedule.openPoints(results).count : 0
            if let clause = try plan.untrained(results, gridRuns: gridRuns) { job.announce(clause) }
        }
        if try trainPoints(input, groups, ledger, initial.record) { return .stopped }
        // The first rank writes the findings. The other ranks learn only whether it succeeded.
        let findings = try world.onFirstRank { () throws(Failure) in
            let findings = try folder.findings()
            try folder.write(findings)
            if let failure = findings.failure { throw failure }
            if let budget, case .runs = findings.nextRound {
                job.announce("the budget of \(budget.phrase) is spent")
            }
            return findings
        }
        return .finished(findings)
    }

    // MARK: - Set-up

    /// Checks that every host sees the sweep's folder, to which the groups write. Collective: every
    /// rank must call this.
    ///
    /// - Throws: `Failure` (configuration) if only the first rank's host sees it.
    private func requireSharedFolder() throws(Failure) {
        // If no host has the folder, reading it reports that.
        guard try world.isTrueOnAnyRank(world.rank == 0 && folder.holdsSweep) else { return }
        try world.agree { () throws(Failure) in
            guard !folder.holdsSweep else { return }
            throw Failure.file(
                .configuration, folder.path, "exists only on the first rank's host",
                remedy: "give --out a folder on a file system that all hosts share")
        }
    }

    struct Input {
        let text: String
        let specification: SweepSpecification
        /// The recipe of the first point, for the values that all points share.
        let recipe: Recipe
        let data: TrainingData
        let warnings: [SweepWarning]
    }

    /// Reads the specification and opens the data.
    ///
    /// - Parameter initialModel: the trained model from which every run starts; nil for none.
    func readInput(_ initialModel: InitialModelRecord?) throws(Failure) -> Input {
        var specification: SweepSpecification
        let text: String
        if let path = specificationPath {
            text = try readText(path)
            specification = try SweepSpecification(
                toml: text, name: path, model: initialModel?.defaults()
            ) {
                (recipe) throws(Failure) in try readText(Self.path(recipe, relativeTo: path))
            }
            specification.baseRecipe.makePathsAbsolute()
            if resumes { try specification.requireSameRuns(as: folder.readSpecification()) }
        } else if resumes {
            specification = try folder.readSpecification()
            text = try readText(folder.specification)
        } else {
            throw .missing(
                "<specification>",
                remedy: "name one, such as launch/recipes/studies/king-james-adamw.toml, or add "
                    + "--resume to resume the sweep in --out")
        }
        try specification.validate()
        if let initialModel, specification.hasSizes {
            throw .option(
                "--init-from", initialModel.path,
                "is one model, but the specification has models of several sizes",
                remedy: "remove widths and layers from it")
        }
        let path = try findDataPath()
        try initialModel?.settleVocabulary(of: &specification.baseRecipe.model, dataPath: path)
        var recipe = try specification.firstRecipe
        try recipe.training.precision.requireProcessor(emulates: job.emulatesBF16)
        let data = try TrainingData(
            path: path, recipe: &recipe, isRemembered: dataPath == nil,
            rank: world.rank)
        if givenBudget != nil { _ = try SweepPlan(folder, specification) }
        if case .tokens(let count)? = givenBudget, let run = specification.tokens.max(), count < run
        {
            throw .option(
                "--budget", "\(Format.counted(count, "token"))",
                "is less than the \(Format.counted(run, "token")) of one run",
                remedy: "give a larger number")
        }
        for var own in try specification.firstRecipes {
            own.model.vocabularySize = recipe.model.vocabularySize
            try own.requireOneBatch()
            _ = try TrainingPlan(own, ranks: 1)
        }
        return Input(
            text: text, specification: specification, recipe: recipe, data: data,
            warnings: try specification.warnings(trainingTokens: data.training.tokenCount))
    }

    private func findDataPath() throws(Failure) -> String {
        if let path = dataPath { return path }
        guard resumes else { throw TrainingData.notGiven }
        return try folder.readOrigin().dataPath
    }

    /// Resolves a path that a file contains, which is relative to the file's folder.
    private static func path(_ path: String, relativeTo file: String) -> String {
        guard !path.hasPrefix("/"), let slash = file.lastIndex(of: "/") else { return path }
        return String(file[...slash]) + path
    }

    func groupCount(_ specification: SweepSpecification) throws(Failure) -> Int {
        let groups = groups ?? world.size
        guard groups >= 1, groups <= world.size else {
            throw .option(
                "--groups", groups, "must be from 1 to the number of ranks, \(world.size)",
                remedy: "give a number in that range")
        }
        let largest = (world.size + groups - 1) / groups
        for recipe in try specification.firstRecipes {
            guard recipe.reduction.lanes < largest else { continue }
            throw .option(
                "--groups", groups,
                "makes groups of \(Format.counted(largest, "rank")), more than the "
                    + "\(Format.counted(recipe.reduction.lanes, "lane")) of batch "
                    + "\(recipe.training.globalBatch)",
                remedy: "use --groups \(world.size) or start fewer ranks")
        }
        return groups
    }

    /// Logs the confounds of a sweep.
    func warn(_ input: Input) {
        for warning in input.warnings { job.warn(warning.sentence) }
    }

    private func prepareFolder(
        _ input: Input, _ initialModel: InitialModelRecord?
    ) throws(Failure) {
        guard resumes else {
            return try folder.create(
                specification: input.text, recipe: input.specification.recipeText,
                dataPath: FileSystem.absolute(input.data.path), fingerprint: input.data.fingerprint,
                trainingTokens: input.data.training.tokenCount,
                mixture: input.specification.baseRecipe.data.mixture.map(\.path),
                initialModel: initialModel,
                budget: givenBudget)
        }
        let origin = try folder.readOrigin()
        guard origin.fingerprint == input.data.fingerprint else {
            throw .file(
                .badData, input.data.path,
                "does not hold the data with which the sweep in \(folder.path) was started",
                remedy: "give --data the same data, which was in \(origin.dataPath)")
        }
        guard origin.recipeHash == SHA256.hash(input.specification.recipeText) else {
            throw .file(
                .configuration, folder.recipe, "is not the recipe with which the sweep was started",
                remedy: "undo the change, or start a new sweep")
        }
        try AtomicFile.supersede(
            folder.specification, holding: try readText(folder.specification), with: input.text)
    }

    private func announce(
        _ input: Input, groups: Int, _ schedule: SweepSchedule, results: [PointResult]
    ) throws(Failure) {
        let specification = input.specification
        let members = try specification.members
        let runs = members.reduce(results.count) { sum, member in
            specification.batches.reduce(sum) {
                $0 + schedule.fewestRuns(of: member.variant, batch: $1, after: results)
            }
        }
        let models =
            specification.hasSizes ? "\(Format.counted(members.count, "model")) x " : ""
        let begun =
            results.isEmpty ? "" : ", of which \(Format.count(results.count)) have already ended"
        job.announce(
            """
            sweeping \(models)\
            \(Format.counted(specification.batches.count, "batch", "batches")) x \
            \(Format.counted(specification.learningRates.count, "rate")) x \
            \(Format.counted(specification.seeds.count, "seed")), \(Format.counted(runs, "run"))\(begun), \
            on \(Format.counted(world.size, "rank")) in \(Format.counted(groups, "group")), into \
            \(folder.path)
            """)
        if input.recipe.schedule.name == .constant, let hint = specification.otherComparison {
            job.announce(hint)
        }
        warn(input)
    }

    /// Returns the plan of a planned sweep, or nil for a grid.
    private func makePlan(_ specification: SweepSpecification) throws(Failure) -> SweepPlan? {
        folder.isPlanned || givenBudget != nil ? try SweepPlan(folder, specification) : nil
    }

    private func announcePlan(
        _ input: Input, _ budget: SweepBudget?, groups: Int, ended: Int
    ) throws(Failure) {
        if case .runs(let count)? = givenBudget, count <= ended {
            throw .option(
                "--budget", "\(Format.counted(count, "run"))",
                "must be more than the \(Format.counted(ended, "run")) that the sweep already has",
                remedy: "give a larger number")
        }
        let begun =
            ended == 0
            ? "" : "; \(Format.counted(ended, "run")) \(ended == 1 ? "has" : "have") already ended"
        let limit =
            budget.map { "within a budget of \($0.phrase)" }
            ?? "until every rule is settled or no run would help"
        job.announce(
            """
            planning a sweep of \
            \(Format.counted(input.specification.batches.count, "batch", "batches")) in rounds, \
            \(limit), on \(Format.counted(world.size, "rank")) in \
            \(Format.counted(groups, "group")), into \(folder.path)\(begun)
            """)
        warn(input)
    }

    // MARK: - Training

    /// Trains points in each group until none is left; returns whether a signal stopped the sweep.
    private func trainPoints(
        _ input: Input, _ groups: Int, _ ledger: SweepLedger, _ initialModel: InitialModelRecord?
    ) throws(Failure) -> Bool {
        let group = try world.split(color: world.rank * groups / world.size, key: world.rank)
        let model = try group.onFirstRank { () throws(Failure) in
            try initialModel.map { (record) throws(Failure) in try InitialModel(again: record) }
        }.flatMap(\.self)
        let trainer = PointTrainer(
            specification: input.specification, folder: folder, dataPath: input.data.path,
            job: job.part(for: group), engine: job.makeEngine(), initialModel: model)
        var progress = SweepProgress(isShown: job.isFirstRank, mode: job.progress, ledger: ledger)
        defer { progress.finish() }
        var isStopped = false
        training: while true {
            let point: SweepPoint
            switch try nextAssignment(ledger, group, progress) {
            case .train(let next): point = next
            case .done: break training
            case .stop:
                isStopped = true
                break training
            case .wait:
                usleep(200_000)
                continue
            }
            switch try trainer.train(point) {
            case .stopped: try group.onFirstRank { () throws(Failure) in try ledger.requestStop() }
            case .ended(let ending):
                try group.agree { () throws(Failure) in
                    guard let ending else { return }
                    try ledger.record(
                        ending.result, secondsPerStep: ending.secondsPerStep,
                        seconds: ending.seconds)
                    folder.removeCheckpoints(of: point)
                }
                if let ending { progress.ended(ending.result) }
            }
        }
        return try world.isTrueOnAnyRank(isStopped)
    }

    /// Returns the next assignment of the group, which its first rank takes from the ledger. A
    /// signal to one rank stops all groups. Collective: every rank of the group must call this.
    private func nextAssignment(
        _ ledger: SweepLedger, _ group: Communicator, _ progress: SweepProgress
    ) throws(Failure) -> Assignment {
        let stops = try group.isTrueOnAnyRank(StopSignals.stopRequested)
        let text = try group.fromFirstRank { () throws(Failure) in
            if stops { try ledger.requestStop() }
            let (assignment, current) = try ledger.next()
            progress.update(current)
            return Self.encoded(assignment)
        }
        guard let assignment = Self.decoded(text) else {
            throw .defect("The first rank of a group sent an assignment that cannot be decoded")
        }
        return assignment
    }

    /// Returns an assignment as text, for the other ranks of the group.
    private static func encoded(_ assignment: Assignment) -> String {
        switch assignment {
        case .done: "done"
        case .wait: "wait"
        case .stop: "stop"
        case .train(let point):
            "\(point.batch) \(point.rate) \(point.seed) \(point.variant?.name ?? "-") \(point.rule)"
        }
    }

    private static func decoded(_ text: String) -> Assignment? {
        if text == "done" { return .done }
        if text == "wait" { return .wait }
        if text == "stop" { return .stop }
        let parts = text.split(separator: " ", maxSplits: 4)
        guard parts.count == 5, let batch = Int(parts[0]), let rate = Double(parts[1]),
            let seed = UInt64(parts[2])
        else { return nil }
        return .train(
            SweepPoint(
                rule: String(parts[4]), batch: batch, rate: rate, seed: seed,
                variant: SweepVariant(name: parts[3])))
    }
}
