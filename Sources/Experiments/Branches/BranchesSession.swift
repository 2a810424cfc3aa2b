import MPI
import Recipes
import Report
import Support
import Telemetry
import Training

/// A session that trains branches of a run on all ranks, and analyzes them.
package struct BranchesSession {
    private let options: BranchOptions
    private let resumes: Bool
    private let folder: BranchFolder
    private let job: Job
    private var communicator: Communicator { job.communicator }

    /// Creates a session that branches a run into the folder `outPath`.
    ///
    /// - Parameter resumes: whether the folder already holds branches, some of which have ended.
    package init(_ options: BranchOptions, outPath: String, resumes: Bool, in job: Job) {
        self.options = options
        self.resumes = resumes
        self.job = job
        folder = BranchFolder(outPath)
    }

    /// The outcome of a session.
    package enum Outcome: Sendable {
        /// All branches have ended. The findings are on rank 0 only.
        case finished(Branches?)
        /// A signal stopped the session; the results of the branches that have ended are kept.
        case stopped
    }

    /// Trains every branch that has no result yet. Collective: every rank must call this.
    package func run() throws(Failure) -> Outcome {
        let design = try agreedDesign()
        let input = try prepare(design)
        let vega = try communicator.onFirstRank { () throws(Failure) in
            try VegaLibrary.script()
        }
        let lock = try communicator.onFirstRank { () throws(Failure) in
            if !resumes { try folder.create(design) }
            return try RunLock(RunFolder(folder.path))
        }
        defer { withExtendedLifetime(lock) {} }
        let results = try communicator.onFirstRank { () throws(Failure) in
            try folder.results(of: design)
        }
        let open = try openPoints(design, ended: results ?? [])
        announce(design, input, open: open.count)
        if !open.isEmpty {
            let estimate = try BranchEstimate(design, open: open, input, in: job)
            job.announce(estimate.sentence)
        }
        guard try train(open, design, input) else { return .stopped }
        let branches = try communicator.onFirstRank { () throws(Failure) in
            let branches = Branches(design, results: try folder.results(of: design))
            try folder.write(branches, vega: vega ?? "")
            return branches
        }
        try requireFinite(branches)
        return .finished(branches)
    }

    /// Returns the expected duration of the branches that have no result yet, from a few steps that
    /// are not saved. Collective: every rank must call this.
    package func estimate() throws(Failure) -> BranchEstimate {
        let design = try agreedDesign(isTrained: false)
        let input = try prepare(design)
        let results = try communicator.onFirstRank { () throws(Failure) in
            resumes ? try folder.results(of: design) : []
        }
        job.announce(
            "measuring a few steps of \(Format.counted(design.batches.count, "batch", "batches")) "
                + "on \(job.layout); nothing is saved")
        warn(design, input)
        return try BranchEstimate(
            design, open: openPoints(design, ended: results ?? []), input, in: job)
    }

    // MARK: - Set-up

    /// Returns the design, which the first rank resolves or reads. Only its host needs the run.
    ///
    /// - Parameter isTrained: whether branches are to be written to the folder.
    private func agreedDesign(isTrained: Bool = true) throws(Failure) -> BranchDesign {
        let text = try communicator.fromFirstRank { () throws(Failure) in
            guard resumes else {
                let design = try BranchDesign(options)
                if isTrained { try folder.requireFree() }
                return design.json.text
            }
            let design = try folder.readDesign()
            try design.requireSame(options)
            return design.json.text
        }
        guard let design = try? BranchDesign(parsing: text.utf8) else {
            throw .defect("The first rank sent a design that cannot be decoded")
        }
        return design
    }

    /// Opens the data and resolves the plan of the run. Collective: every rank must call this.
    private func prepare(_ design: BranchDesign) throws(Failure) -> TrainingInput {
        let run = RunFolder(design.run)
        let toml = try communicator.fromFirstRank { () throws(Failure) in
            try run.read(run.recipe)
        }
        let recipe = try communicator.agree { () throws(Failure) in
            try Recipe(toml: toml, name: "the run's recipe")
        }
        let input = try job.prepare(
            recipe, dataPath: options.data ?? design.dataPath, isRemembered: options.data == nil)
        try communicator.agree { () throws(Failure) in
            guard input.data.fingerprint != design.dataFingerprint else { return }
            throw Failure.file(
                .badData, input.data.path, "does not hold the data that the run was trained with",
                remedy: "give --data the folder that the run was started with")
        }
        try communicator.agree { () throws(Failure) in try requireSequences(design, input.data) }
        // A batch has the same memory at every checkpoint.
        var plans: [TrainingPlan] = []
        try communicator.agree { () throws(Failure) in
            for start in design.starts {
                plans = try design.batches.map { (batch) throws(Failure) in
                    try TrainingPlan(
                        design.recipe(of: batch, from: start, trunk: input.plan),
                        ranks: communicator.size)
                }
            }
        }
        for plan in [input.plan] + plans { try plan.requireMemory(communicator) }
        return input
    }

    /// Checks that no batch has more sequences than the data.
    ///
    /// - Throws: `Failure` (usage) that names the largest batch.
    private func requireSequences(_ design: BranchDesign, _ data: TrainingData) throws(Failure) {
        let available = data.order.samplesWithoutRepeat
        guard let largest = design.batches.last, largest > available else { return }
        throw .option(
            "--batches", options.batchText,
            "have a batch of \(Format.counted(largest, "sequence")), but the training data have only "
                + Format.count(available),
            remedy: "give multiples of the run's batch, \(design.trunkBatch), up to "
                + "\(max(1, available / design.trunkBatch))")
    }

    /// Returns the branches that have no result yet; only the first rank has the results.
    /// Collective: every rank must call this.
    private func openPoints(
        _ design: BranchDesign, ended results: [BranchResult]
    ) throws(Failure) -> [BranchDesign.Point] {
        let ended = Set(results.map(\.point))
        let text = try communicator.fromFirstRank { () throws(Failure) in
            design.points.map { ended.contains($0) ? "1" : "0" }.joined()
        }
        return zip(design.points, text).filter { $1 == "0" }.map(\.0)
    }

    /// The number of steps below which the optimizer has hardly adapted to the batch.
    private static let fewSteps = 10

    private func announce(_ design: BranchDesign, _ input: TrainingInput, open: Int) {
        let all = design.points.count
        let begun = open == all ? "" : ", of which \(Format.count(all - open)) have already ended"
        job.announce(
            """
            training \(Format.counted(all, "branch", "branches"))\(begun): from \
            \(design.starts.count == 1 ? "step" : "steps") \
            \(Format.list(design.starts.map { "\($0.step)" })) of \(design.run), at batches \
            \(Format.list(design.batches.map(String.init))), rule \(design.rule.rawValue), \
            \(design.decays ? "decayed" : "constant") rate, \(Format.count(design.tokens)) tokens \
            each, \(Format.counted(design.repeats, "repeat")), on \(job.layout), into \(folder.path)
            """)
        if !design.leftOut.isEmpty {
            job.announce(
                "left out, because the rate has decayed or the run has ended there: "
                    + "\(design.leftOut.count == 1 ? "step" : "steps") "
                    + "\(Format.list(design.leftOut.map { "\($0)" })); give --checkpoints all to "
                    + "branch from them too")
        }
        warn(design, input)
    }

    /// Logs the limits of the branches' results.
    private func warn(_ design: BranchDesign, _ input: TrainingInput) {
        let largest = design.batches[design.batches.count - 1]
        let steps = design.steps(ofBatch: largest)
        if steps < Self.fewSteps {
            job.warn(
                "the branches of batch \(largest) have only \(Format.counted(steps, "step")), in "
                    + "which the optimizer hardly adapts to the batch; give more --tokens")
        }
        let available = input.data.order.samplesWithoutRepeat
        if design.repeats > 1, design.sequences * design.repeats > available {
            job.warn(
                "the repeats of a branch take more tokens than the training data have, "
                    + "\(Format.count(available * design.contextLength)), so they share tokens and "
                    + "their intervals may be too narrow; give fewer --tokens or --repeats")
        }
        let changing = design.starts.filter { start in
            let end = start.step + design.steps(ofBatch: design.trunkBatch) - 1
            return input.plan.learningRate(after: end) != start.learningRate
        }
        if !design.decays, !changing.isEmpty {
            job.announce(
                "the run's own rate changes in the \(Format.count(design.tokens)) tokens after "
                    + (changing.count == 1 ? "step " : "steps ")
                    + Format.list(changing.map { "\($0.step)" })
                    + "; the branches keep the rate that it has there")
        }
    }

    // MARK: - Training

    /// Trains branches; returns whether all have ended. Collective: every rank must call this.
    private func train(
        _ points: [BranchDesign.Point], _ design: BranchDesign, _ input: TrainingInput
    ) throws(Failure) -> Bool {
        guard !points.isEmpty else { return true }
        let trainer = BranchTrainer(
            design: design, trunk: input.plan, data: input.data, job: job,
            engine: job.makeEngine())
        let line = job.progressLine(
            "branching", total: points.count * design.sequences,
            unit: .things("sequences", showsRate: true))
        defer { line.finish() }
        for (index, point) in points.enumerated() {
            guard let start = design.starts.first(where: { $0.step == point.step }) else {
                throw .defect("A branch has no checkpoint")
            }
            if try job.isStopRequested() { return false }
            let result = try trainer.train(point, from: start) { sequences, loss in
                line.update(
                    done: index * design.sequences + sequences,
                    details: [
                        "step \(point.step), batch \(point.batch), repeat \(point.repetition)",
                        "loss \(Format.fixed(loss, decimals: 4))",
                    ])
            }
            guard let result else { return false }
            try communicator.onFirstRank { () throws(Failure) in try folder.record(result) }
        }
        return true
    }

    /// Checks that some comparison is possible. Collective; only the first rank has the findings.
    ///
    /// - Throws: `Failure` (configuration) if at every checkpoint fewer than two batches have
    ///   finite losses.
    private func requireFinite(_ branches: Branches?) throws(Failure) {
        try communicator.agree { () throws(Failure) in
            guard let branches, !branches.checkpoints.contains(where: \.allowsComparison) else {
                return
            }
            throw .file(
                .configuration, folder.path,
                "has fewer than two batches with finite losses at every checkpoint, so batches "
                    + "cannot be compared",
                remedy: "branch into another --out with smaller --batches, another --rule or "
                    + "earlier --checkpoints")
        }
    }
}
