import ArgumentParser
import Experiments
import Support
import Training

struct BranchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "branch",
        abstract: "Trains branches of a run at other batches, to measure its critical batch.",
        discussion: """
            Examples:
              launch/mpirun -- lockstep branch runs/book --out branches/book
              launch/mpirun --ranks 4 -- lockstep branch runs/book \\
                  --out branches/book --checkpoints 100,200,400 --batches 1,2,4,8
              launch/mpirun -- lockstep branch runs/book --out branches/decayed --decay
              launch/mpirun -- lockstep branch runs/book --estimate
              launch/mpirun -- lockstep branch --resume --out branches/book

            From each checkpoint, branches continue the run at k times its batch, with a
            rate that follows a scaling rule, and all for the same number of tokens. The
            local critical batch is the largest whose loss ends within a tolerance of the
            smallest batch's (Merrill et al. 2025). At several checkpoints, it shows when
            the batch can grow; checkpoints with a decayed rate and the last one do not
            count for that. Each branch is trained several times on different tokens;
            the differences between these repeats give the intervals.

            A branch with the run's batch and a constant rate has the bits of the run's
            own continuation. All ranks train one branch after another, and any number of
            ranks gives the same bits. The log states how long all of this takes, from a
            few measured steps. A branch that has ended is recorded in branches.jsonl and
            is never trained again. At the end, the folder gets branches.csv,
            branches.json and report.html.
            """)

    @Argument(
        help: ArgumentHelp(
            "The folder of a run (default with --resume: the branches' own).", valueName: "run"),
        completion: .directory)
    var runFolder: String?

    @Option(help: "The data folder (default: the run's own).", completion: .directory)
    var data: String?

    @Option(
        help: "The folder of the branches; must be new unless --resume is given.",
        completion: .directory)
    var out: String?

    @Flag(help: "Resume the branches in --out.")
    var resume = false

    @Option(
        help: ArgumentHelp(
            """
            The steps of the checkpoints to branch from, or all of them (default: those before the \
            rate decays, without the last).
            """, valueName: "a,b,..."))
    var checkpoints: String?

    @Option(
        help: ArgumentHelp(
            "The batches as multiples of the run's, among them 1 (default: 1,2,4,8).",
            valueName: "a,b,..."))
    var batches: String?

    @Option(
        help: """
            The rule by which the rate follows the batch: sqrt, linear, none, adam-sde or \
            beta2-half-life (default: sqrt for Adam, LAMB and Muon, linear otherwise).
            """)
    var rule: String?

    @Option(
        parsing: .unconditional,
        help: """
            The tokens of each branch, rounded up so that every batch has whole steps (default: a \
            tenth of the run's at the last checkpoint, but at least 20 steps of the largest batch).
            """)
    var tokens: Int?

    @Flag(help: "Let the rate fall to 0 over each branch instead of keeping it constant.")
    var decay = false

    @Option(
        parsing: .unconditional,
        help: "The nats by which a loss may exceed the smallest batch's (default: 0.01).")
    var tolerance: Double?

    @Option(
        parsing: .unconditional,
        help: "The number of times that each branch is trained, on different tokens (default: 3).")
    var repeats: Int?

    @Flag(help: "Estimate the duration without training.")
    var estimate = false

    @OptionGroup var threads: ThreadsOption

    @OptionGroup var emulation: EmulationOption

    func run() throws {
        guard let out = estimate && !resume ? out ?? "" : out else {
            throw Failure.missing("--out", remedy: "name the branches' folder")
        }
        let options = BranchOptions(
            run: runFolder, data: data, checkpoints: checkpoints, batches: batches, rule: rule,
            tokens: tokens, decays: decay, tolerance: tolerance, repeats: repeats)
        try Job.run(
            threads, emulatesBF16: emulation.emulateBf16,
            onStop: estimate ? .exitAtOnce : .finishStep
        ) { (job) throws(Failure) in
            let session = BranchesSession(options, outPath: out, resumes: resume, in: job)
            if estimate { return .finished([try session.estimate().text]) }
            switch try session.run() {
            case .finished(let branches):
                return .finished(
                    (branches?.text ?? []) + ["the report is \(out)/report.html"])
            case .stopped:
                return .stopped(
                    "stopped because a signal asked for it; resume with "
                        + resumption(of: "branch", in: out))
            }
        }
    }
}
