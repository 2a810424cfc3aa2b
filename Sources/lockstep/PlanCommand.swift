import ArgumentParser
import Benchmarks
import MPI
import Recipes
import Support
import Telemetry
import Training

struct PlanCommand: OneProcessCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan",
        abstract: "Plans a cluster: speed, memory, batches, rates and cost for 1 to 4096 ranks.",
        discussion: """
            Examples:
              launch/mpirun --ranks 16 -- lockstep bench step recipe.toml --json >step.json
              lockstep plan recipe.toml --step step.json --network 10gbe
              lockstep plan recipe.toml --step step.json --network 25gbe \\
                  --sequences-per-rank 8 --critical-batch 512 --tokens 2e9
              lockstep plan recipe.toml --set model.vocabulary_size=50257 --json

            The recipe's global batch is divided among all ranks. With
            --sequences-per-rank, it grows with the ranks instead. Without --step, the
            command first measures steps on one rank. Columns:
              exposed     the part of a step in which communication is not hidden
              efficiency  the speed of a rank relative to that of one rank alone
              tokens      the tokens for the loss of the recipe's batch; they grow with
                          the batch by 1 + B / critical batch, if that is known
            More ranks pay as long as doubling them saves time worth half of their cost.
            The documentation page PlanACluster states the model and how it was tested.
            """)

    @Argument(help: ArgumentHelp("A recipe.", valueName: "recipe"))
    var recipePath: String

    @Option(help: "The JSON of `lockstep bench step`, measured on one host.")
    var step: String?

    @Option(help: "The network: 1gbe, 10gbe, 25gbe, 100gbe, infiniband or a profile's path.")
    var network = "10gbe"

    @Option(
        parsing: .unconditional, help: "The ranks on each host (default: those of the step).")
    var ranksPerHost: Int?

    @Option(parsing: .unconditional, help: "The largest number of ranks.")
    var mostRanks = 4096

    @Option(
        parsing: .unconditional,
        help: "The sequences per rank (default: the recipe's global batch over all ranks).")
    var sequencesPerRank: Int?

    @Option(
        parsing: .unconditional,
        help: "The tokens to train on, such as 2e9 (default: the recipe's).")
    var tokens: Double?

    @Option(
        parsing: .unconditional,
        help: "The critical batch or the noise scale, in sequences (default: the recipe's).")
    var criticalBatch: Double?

    @Option(
        name: .customLong("run"), help: "A run, whose last noise scale is the critical batch.")
    var runFolder: String?

    @Flag(help: "Execute the exchange of up to 1024 ranks in virtual time, as a check.")
    var execute = false

    @OptionGroup var overrides: OverridesOption

    @OptionGroup var threads: ThreadsOption

    @Flag(help: "Print the plan as JSON.")
    var json = false

    func run() throws {
        let recipe = try Recipe(
            toml: readText(recipePath), name: recipePath, overrides: overrides.set)
        let network = try NetworkProfile(named: network)
        try requireNumbers()
        let critical = try criticalBatch ?? noiseScale() ?? recipe.scaling.noiseScale
        func report(_ step: MeasuredStep) throws(Failure) -> String {
            let plan = try ClusterPlan(
                ClusterPlan.Request(
                    recipe: recipe, step: step, network: network,
                    ranksPerHost: ranksPerHost ?? step.ranks, mostRanks: mostRanks,
                    sequencesPerRank: sequencesPerRank, tokens: tokens, criticalBatch: critical,
                    executes: execute))
            return json ? plan.json.text : plan.text
        }
        if let step { return try StandardOutput.write(line: report(MeasuredStep(path: step))) }
        try require(
            !MPIEnvironment.hasLauncher,
            or: .missing(
                "--step",
                remedy:
                    "measure a step with `lockstep bench step RECIPE --json`, or run this command "
                    + "without mpirun"))
        let benchmark = try benchmark(of: recipe)
        try Job.run(threads, onStop: .exitAtOnce) { (job) throws(Failure) in
            let measured = try benchmark.run(in: job).json
            let step: MeasuredStep
            do throws(JSONProblem) {
                step = try MeasuredStep(json: .object(measured))
            } catch {
                throw .defect("the report of a measured step \(error.predicate)")
            }
            return .finished([try report(step)])
        }
    }

    /// Returns the benchmark of steps of one micro-batch.
    private func benchmark(of recipe: Recipe) throws(Failure) -> StepBenchmark {
        let lanes = try LaneConfiguration(
            globalBatch: recipe.training.globalBatch, lanes: recipe.reduction.lanes,
            microBatch: recipe.training.microBatch, ranks: 1)
        var measured = recipe
        measured.training.globalBatch = lanes.microBatch
        measured.training.microBatch = lanes.microBatch
        measured.reduction.lanes = 1
        // The rate does not change the duration of a step.
        measured.scaling = ScalingConfiguration()
        return StepBenchmark(
            subject: StepSubject(measured, name: recipePath), steps: 10, overrides: [],
            sequenceLength: nil, tracePath: nil)
    }

    private func requireNumbers() throws(Failure) {
        try requireOption("--most-ranks", mostRanks, in: 1...65_536, remedy: "try 4096")
        if let ranksPerHost {
            try requireOption(
                "--ranks-per-host", ranksPerHost, in: 1...4096, remedy: "give the cores of a host")
        }
        if let sequencesPerRank {
            try requireOption(
                "--sequences-per-rank", sequencesPerRank, in: 1...100_000, remedy: "try 8")
        }
        for (option, value, example) in [
            ("--tokens", tokens, "1e9"), ("--critical-batch", criticalBatch, "512"),
        ] {
            guard let value, !(value > 0 && value <= 1e18) else { continue }
            throw .option(
                option, value, "must be above 0 and at most 1e18", remedy: "try \(example)")
        }
        if step != nil, let count = threads.threadsPerRank {
            throw .option(
                "--threads-per-rank", count,
                "has no effect with --step, whose threads were measured",
                remedy: "leave it out")
        }
        guard criticalBatch != nil, runFolder != nil else { return }
        throw .option(
            "--critical-batch", "cannot be combined with --run, which also gives a batch",
            remedy: "give one of them")
    }

    /// Returns the last noise scale of the run that the command line names; nil if it names none.
    private func noiseScale() throws(Failure) -> Double? {
        guard let runFolder else { return nil }
        let path = RunFolder(runFolder).metrics
        let scale = try MetricsLog.read(path).last { $0["noise_scale"] != nil }?["noise_scale"]
        guard let scale else {
            throw .file(
                .badData, path, "has no noise scale that is a number",
                remedy: "train longer, or give --critical-batch")
        }
        return scale
    }
}
