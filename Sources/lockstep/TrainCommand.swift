import ArgumentParser
import MPI
import Recipes
import Support
import Training

struct TrainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train",
        abstract: "Trains a GPT from a recipe, alone or on all ranks under mpirun.",
        discussion: """
            Examples:
              launch/mpirun -- lockstep train launch/recipes/quickstart.toml \\
                  --data data/book --out runs/book
              launch/mpirun --ranks 4 -- lockstep train recipe.toml --data data/book \\
                  --out runs/wide --set training.global_batch=64
              launch/mpirun -- lockstep train --resume --out runs/book
              launch/mpirun -- lockstep train --resume-from runs/book \\
                  --resume-checkpoint 500 --out runs/book-b --set training.steps=900
              launch/mpirun -- lockstep train recipe.toml --data data/letters \\
                  --out runs/letters --init-from runs/book
              lockstep train --keys
              lockstep train --fields
              lockstep train --schema

            The run's folder gets recipe.toml (with every key), metrics.jsonl,
            checkpoints/ and, with telemetry.tensorboard, tensorboard/. It is never
            overwritten. SIGTERM, Ctrl-C or SIGUSR1 to launch/mpirun makes the run write a
            checkpoint at the end of the step and exit with 75. The number of ranks and
            threads never changes the result.

            --resume-from resumes a run from one of its checkpoints in the new folder
            --out, which gets the recipe, the metrics up to that step and the
            checkpoint. The run itself stays as it is. As with --resume, only keys that
            earlier steps do not depend on may change: the steps, and the schedules of
            the remaining steps' rate and batch.

            --init-from starts from the parameters of a run, or of a folder with
            config.json and model.safetensors, as Hugging Face's Transformers writes for
            GPT-2. Unset keys of [model] then take the model's values. The steps, the
            schedule and the optimizer's moments start from the beginning.
            """)

    @Argument(
        help: "The recipe, a TOML file (default with --resume: the run's own).",
        completion: .tomlFile)
    var recipe: String?

    @Option(help: "The folder that `lockstep tokenize` wrote.", completion: .directory)
    var data: String?

    @Option(help: "The run's folder; must be new unless --resume is given.", completion: .directory)
    var out: String?

    @OptionGroup var overrides: OverridesOption

    @OptionGroup var initialModel: InitialModelOptions

    @Flag(help: "Resume the run in --out from its newest checkpoint.")
    var resume = false

    @Option(
        help: ArgumentHelp(
            "Resume this run in the new folder --out, and leave the run as it is.",
            valueName: "folder"), completion: .directory)
    var resumeFrom: String?

    @Option(
        parsing: .unconditional,
        help: "The checkpoint for --resume-from: a step, or best (default: the newest).")
    var resumeCheckpoint: String?

    @OptionGroup var threads: ThreadsOption

    @OptionGroup var emulation: EmulationOption

    @Option(
        help: ArgumentHelp(
            "Write a timeline of all ranks for chrome://tracing or ui.perfetto.dev.",
            valueName: "file"), completion: .file())
    var trace: String?

    @Flag(help: "List every key of a recipe with its meaning and default and exit.")
    var keys = false

    @Flag(help: "List every field of metrics.jsonl with its meaning and exit.")
    var fields = false

    @Flag(help: "Print the JSON schema of a line of metrics.jsonl and exit.")
    var schema = false

    /// The reference that a flag requests instead of training; nil without such a flag.
    private var reference: String? {
        if keys { return Recipe.reference }
        if fields { return MetricsFields.reference }
        return schema ? MetricsFields.schema.prettyText + "\n" : nil
    }

    func run() throws {
        if let reference {
            if MPIEnvironment.launchedRank == 0 {
                try StandardOutput.write(Array(reference.utf8))
            }
            return
        }
        guard let out else {
            throw Failure.missing("--out", remedy: "name the run's folder")
        }
        let initial = try initialModel.request()
        let origin = try resumeRequest()
        try Job.run(threads, emulatesBF16: emulation.emulateBf16, onStop: .finishStep) {
            (job) throws(Failure) in
            let session = TrainingSession(
                recipePath: recipe, dataPath: data, runPath: out, overrides: overrides.set,
                resumes: resume, from: origin, initialModel: initial, tracePath: trace, in: job)
            switch try session.train() {
            case .finished(let evaluation, let best):
                let loss = Format.fixed(evaluation.loss, decimals: 4)
                let targets = Format.count(evaluation.targets)
                let bestText = best.map { ", its best checkpoint of step \($0)" } ?? ""
                return .finished([
                    "validation loss \(loss) over \(targets) targets; the run is in \(out)\(bestText)"
                ])
            case .stoppedEarly(let stop):
                return .finished([stop.text(run: out)])
            case .checkpointed(let step):
                return .stopped(
                    "checkpointed at step \(step) because a signal asked for it; resume with "
                        + resumption(of: "train", in: out))
            }
        }
    }

    /// Returns the request to resume a run in a new folder; nil for none.
    ///
    /// - Throws: `Failure` (usage) if the options do not fit together.
    private func resumeRequest() throws(Failure) -> ResumeRequest? {
        guard let resumeFrom else {
            guard resumeCheckpoint == nil else {
                throw .option(
                    "--resume-checkpoint", "does nothing without --resume-from",
                    remedy: "add --resume-from with the run's folder, and a new folder as --out")
            }
            return nil
        }
        guard !resume else {
            throw .option(
                "--resume-from", "cannot be combined with --resume, which resumes the run in --out",
                remedy: "give one of them")
        }
        return try ResumeRequest(path: resumeFrom, checkpoint: resumeCheckpoint)
    }
}
