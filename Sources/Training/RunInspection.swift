import Checkpointing
import DataLoading
import Failures
import Kernels
import Logging
import MPI
import Model
import Telemetry
import Tensors

/// A finished or unfinished run, opened to evaluate or sample one of its checkpoints: the average
/// of the parameters where the recipe has one, as the run's own evaluations do.
package struct RunInspection {
    /// The checkpoint's step.
    package let step: Int
    private let run: RunFolder
    private let recipe: Recipe
    private let parameters: Buffer<Float>

    /// Opens a run's newest whole checkpoint, or that of a step.
    ///
    /// - Throws: `Failure` (missing input) where there is no run or no such checkpoint; (bad data)
    ///   where the one that was asked for is damaged.
    package init(run path: String, step: Int?) throws(Failure) {
        run = RunFolder(path)
        recipe = try Recipe(toml: try run.read(run.recipe), name: run.recipe)
        let layout = GPTLayout(recipe.model).arena
        parameters = Buffer(count: layout.count)
        let checkpoint = try Self.checkpoint(in: run, recipe: recipe, step: step)
        let file = try checkpoint.open(CheckpointKeeper.evaluatedFile(of: recipe))
        try file.copy(layout, into: parameters)
        self.step = checkpoint.step
    }

    /// The same on all ranks: each reads the checkpoint, and they agree on whether that went well.
    package init(run path: String, step: Int?, communicator: Communicator) throws(Failure) {
        self = try communicator.agree { () throws(Failure) in
            try RunInspection(run: path, step: step)
        }
        try communicator.sameOnAllRanks(
            "checkpoint's step", "\(self.step)", remedy: "give every host the same run folder")
    }

    private static func checkpoint(
        in run: RunFolder, recipe: Recipe, step: Int?
    ) throws(Failure) -> Checkpoint {
        let store = try CheckpointStore(folder: run.checkpoints, keep: recipe.checkpoint.keep)
        let candidates = try store.candidates()
        guard let step else {
            let newest = try store.newestValid { step, reason in
                Logger(label: "lockstep").warning(
                    "checkpoint of step \(step) rejected: \(reason.sentence)")
            }
            if let newest { return newest }
            throw run.noWholeCheckpoint()
        }
        guard let candidate = candidates.first(where: { $0.step == step }) else {
            let steps = candidates.map { "\($0.step)" }.reversed().joined(separator: ", ")
            throw Failure(
                .missingInput,
                "\(run.checkpoints) has no checkpoint of step \(step): "
                    + (steps.isEmpty ? "it has none at all." : "it has those of \(steps)."))
        }
        return try store.verify(candidate)
    }

    /// The loss over the whole validation set of the run's data or of another folder; all ranks
    /// must come here.
    package func evaluate(
        dataPath: String?, threads: Int, communicator: Communicator, progress mode: ProgressMode
    ) throws(Failure) -> Evaluation {
        var recipe = recipe
        let data = try communicator.agree { () throws(Failure) -> TrainingData in
            // `??` would lose the type of what is thrown.
            let path: String
            if let dataPath { path = dataPath } else { path = try run.readDataPath() }
            try run.refuseOtherTokenizer(than: path)
            return try TrainingData(path: path, recipe: &recipe)
        }
        try communicator.sameOnAllRanks("validation data", data.validation.fingerprint)
        let engine = ComputeEngine(team: rankTeam(threads: threads))
        let microBatch = recipe.training.microBatch
        let model = GPT(
            recipe.model, microBatch: microBatch, training: false,
            precision: recipe.training.precision, engine: engine)
        let parameters = Parameters(parameters, precision: recipe.training.precision)
        let evaluator = Evaluator(
            data: data, microBatch: microBatch, windowLimit: 0, communicator: communicator)
        let line = ProgressLine(
            "evaluating", total: evaluator.chunksOfThisRank,
            unit: .things("micro-batches", showsRate: false),
            mode: communicator.rank == 0 ? mode : .none, environment: processEnvironment())
        defer { line.finish() }
        return try evaluator.run(model, parameters: parameters) { line.update(done: $0) }
    }

    /// Writes texts that go on from a prompt, in the precision that the run is trained and evaluated
    /// in; `write` gets their bytes as they come.
    ///
    /// - Throws: `Failure` (missing input) where the run has no tokenizer; (bad data) where the
    ///   prompt has a character that the model does not know.
    package func generate(
        prompt: String, tokens: Int, samples: Int, sampling: Sampling, threads: Int,
        write: ([UInt8]) throws(Failure) -> Void
    ) throws(Failure) {
        guard let tokenizer = try loadTokenizerIfPresent(folder: run.path) else {
            throw Failure(
                .missingInput,
                "\(run.path) has no tokenizer.json, so tokens cannot be turned into text; copy it "
                    + "from the data folder.")
        }
        var context = try tokenizer.encode(prompt)
        if context.isEmpty { context = [Self.firstToken(tokenizer)] }
        let engine = ComputeEngine(team: rankTeam(threads: threads))
        let parameters = Parameters(parameters, precision: recipe.training.precision)
        for sample in 0..<samples {
            let generator = Generator(recipe.model, parameters: parameters, engine: engine)
            try write(Array(prompt.utf8))
            for token in context.dropLast() { generator.read(Int32(token)) }
            var last = Int32(context[context.count - 1])
            for place in 0..<tokens {
                let logits = generator.next(after: last)
                // A vocabulary that was padded by hand has symbols without a text.
                let known = UnsafeBufferPointer(
                    rebasing: logits[..<min(logits.count, tokenizer.vocabularySize)])
                last = sampling.choose(known, place: sample << 32 | place)
                if let end = tokenizer.endOfText, UInt32(last) == end { break }
                try write(try tokenizer.decode([UInt32(last)]))
            }
            try write([UInt8(ascii: "\n")])
        }
    }

    /// What a text without a prompt begins behind: the end of another, or a new line.
    private static func firstToken(_ tokenizer: any Tokenizer) -> UInt32 {
        if let end = tokenizer.endOfText { return end }
        return (try? tokenizer.encode("\n"))?.first ?? 0
    }
}
