import ArgumentParser
import MPI
import Support
import Sweeps
import Training

struct SweepCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sweep",
        abstract:
            "Trains a grid of batches, rates and seeds, and reports which scaling rules hold.",
        discussion: """
            Examples:
              launch/mpirun -- lockstep sweep study.toml --data data/book --out study
              launch/mpirun --ranks 4 -- lockstep sweep study.toml \\
                  --data data/book --out study --groups 2
              launch/mpirun -- lockstep sweep study.toml --data data/book --estimate
              launch/mpirun -- lockstep sweep study.toml --data data/book --out study \\
                  --budget 20m
              launch/mpirun -- lockstep sweep --resume --out study
              launch/mpirun -- lockstep sweep more-seeds.toml --resume --out study
              lockstep sweep --keys

            Ranks are split into groups. Each group trains one run of the grid at a time
            and then takes the next. A run that has ended is recorded in ledger.jsonl and
            is never trained again, on any number of ranks and groups. All hosts must
            share the folder. With --resume, a specification may name other batches,
            rates, seeds and rules; runs that it shares with the sweep are kept. At the
            end the sweep is analyzed as by `lockstep analyze`.

            With --budget, a sweep is planned in rounds instead of training the whole
            grid: one seed finds the best rates of the smallest and the largest batch,
            then those of the batches between them; then every batch gets three seeds,
            and further seeds are added where a rule is undecided. Each of these seeds has
            three rates near the best one. The sweep ends when every rule holds up to the
            largest batch or fails at some batch, or when the budget is spent. A duration
            counts from the start of the command; runs and tokens are those of the whole
            sweep. The rounds depend only on the results, not on the ranks. A resumed
            sweep keeps its budget unless --budget gives another. A grid that is resumed
            with --budget becomes a planned sweep.

            With --init-from, every run starts from the parameters of the same model, and
            unset keys of the recipe's [model] are that model's. A resumed sweep keeps it.

            Before it trains, a sweep warns of confounds: properties of its runs that a
            comparison would mistake for an effect of the batch or of a rule, such as a
            warmup that takes a larger share of the runs of some batches.
            """)

    @Argument(
        help: "The specification, a TOML file (default with --resume: the sweep's own).",
        completion: .tomlFile)
    var specification: String?

    @Option(help: "The folder that `lockstep tokenize` wrote.", completion: .directory)
    var data: String?

    @Option(
        help: "The sweep's folder; must be new unless --resume is given.", completion: .directory)
    var out: String?

    @Flag(help: "Resume the sweep in --out.")
    var resume = false

    @Option(parsing: .unconditional, help: "The number of groups of ranks (default: one per rank).")
    var groups: Int?

    @Option(
        help: ArgumentHelp(
            "Plan the sweep within a budget, such as 20m, \"160 runs\" or \"2e9 tokens\".",
            valueName: "budget"))
    var budget: String?

    @OptionGroup var initialModel: InitialModelOptions

    @OptionGroup var threads: ThreadsOption

    @OptionGroup var emulation: EmulationOption

    @Flag(help: "Estimate the duration, and warn of confounds, without training.")
    var estimate = false

    @Flag(help: "List every key of a specification with its meaning and exit.")
    var keys = false

    func run() throws {
        if keys {
            if MPIEnvironment.launchedRank == 0 {
                try StandardOutput.write(Array(SweepSpecification.reference.utf8))
            }
            return
        }
        guard let out = estimate ? out ?? "" : out else {
            throw Failure.missing("--out", remedy: "name the sweep's folder")
        }
        if let budget, estimate {
            throw Failure.option(
                "--budget", budget, "does not apply to --estimate, which estimates the whole grid",
                remedy: "omit one of them")
        }
        let budget = try budget.map(SweepBudget.init)
        let initial = try initialModel.request()
        try Job.run(
            threads, emulatesBF16: emulation.emulateBf16,
            onStop: estimate ? .exitAtOnce : .finishStep
        ) { (job) throws(Failure) in
            let session = SweepSession(
                specificationPath: specification, dataPath: data, sweepPath: out, resumes: resume,
                groups: groups, budget: budget, initialModel: initial, in: job)
            if estimate { return .finished([try session.estimate().text]) }
            switch try session.run() {
            case .finished(let findings): return .finished(findings.map { [$0.text] } ?? [])
            case .stopped:
                return .stopped(
                    "stopped because a signal asked for it; resume with "
                        + resumption(of: "sweep", in: out))
            }
        }
    }
}
