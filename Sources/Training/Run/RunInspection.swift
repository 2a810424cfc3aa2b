import Checkpoints
import Compute
import Data
import MPI
import Model
import Recipes
import Support

/// A finished or unfinished run, opened to evaluate or sample one of its checkpoints.
///
/// It uses the average of the parameters if the recipe has one, like the run's own evaluations.
package struct RunInspection {
    package let step: Int
    let run: RunFolder
    let recipe: Recipe
    let parameters: Buffer<Float>
    /// The fingerprint of the data that the run was trained with; empty on ranks that did not read
    /// the checkpoint.
    private let dataFingerprint: String

    /// Opens one of a run's checkpoints in this process only.
    ///
    /// - Throws: `Failure` (missing input) if there is no run or no such checkpoint; (bad data) if
    ///   the requested one is damaged or not finite.
    package init(run path: String, _ choice: CheckpointChoice) throws(Failure) {
        run = RunFolder(path)
        recipe = try Recipe(toml: try run.read(run.recipe), name: run.recipe)
        let layout = GPTLayout(recipe.model).arena
        parameters = Buffer(count: layout.count)
        let checkpoint = try Self.read(choice, of: run, recipe, layout, into: parameters)
        step = checkpoint.step
        dataFingerprint = checkpoint.manifest.dataFingerprint
    }

    /// Opens one of a run's checkpoints, which the first rank reads for all ranks. Collective:
    /// every rank must call this.
    ///
    /// - Throws: the same as the initializer for one process, on all ranks.
    package init(
        run path: String, _ choice: CheckpointChoice, communicator: Communicator
    ) throws(Failure) {
        let run = RunFolder(path)
        self.run = run
        let toml = try communicator.fromFirstRank { () throws(Failure) in try run.read(run.recipe) }
        let recipe = try communicator.agree { () throws(Failure) in
            try Recipe(toml: toml, name: run.recipe)
        }
        self.recipe = recipe
        let layout = GPTLayout(recipe.model).arena
        let parameters = Buffer<Float>(count: layout.count)
        self.parameters = parameters
        let own = try communicator.onFirstRank { () throws(Failure) in
            try Self.read(choice, of: run, recipe, layout, into: parameters)
        }
        step = Int(try communicator.allReduce(Int64(own?.step ?? 0), .maximum))
        dataFingerprint = own?.manifest.dataFingerprint ?? ""
        try communicator.broadcast(parameters.bytes)
    }

    /// Reads the parameters that evaluations use, and returns their checkpoint.
    private static func read(
        _ choice: CheckpointChoice, of run: RunFolder, _ recipe: Recipe, _ layout: ArenaLayout,
        into parameters: Buffer<Float>
    ) throws(Failure) -> Checkpoint {
        let checkpoint = try run.checkpoint(choice)
        try checkpoint.open(CheckpointKeeper.evaluatedFile(of: recipe))
            .copy(layout, into: parameters)
        return checkpoint
    }

    /// Returns the loss over the validation set of the run's or other data. Collective: every rank
    /// must call this.
    package func evaluate(dataPath: String?, in job: Job) throws(Failure) -> Evaluation {
        let communicator = job.communicator
        var recipe = recipe
        // The mixed folders, which may have moved, hold training tokens only.
        recipe.data.mixture = []
        let data = try run.openData(
            at: dataPath, fingerprint: dataFingerprint, recipe: &recipe, communicator: communicator)
        try communicator.sameOnAllRanks("validation data", data.validationFingerprint)
        let engine = job.makeEngine()
        let microBatch = recipe.training.microBatch
        let model = GPT(
            recipe.model, microBatch: microBatch, training: false,
            precision: recipe.training.precision, engine: engine)
        let parameters = Parameters(parameters, precision: recipe.training.precision)
        let evaluator = Evaluator(
            data: data, microBatch: microBatch, windowLimit: 0, communicator: communicator)
        let evaluation = try evaluator.run(model, parameters: parameters, showingProgressOf: job)
        if !evaluation.loss.isFinite {
            // All ranks see the same loss, so this failure must be reported only once.
            try communicator.onFirstRank { () throws(Failure) -> Void in
                throw run.diverged(at: step, result: "a loss")
            }
        }
        return evaluation
    }

    /// Generates samples that continue a prompt, in the precision in which the run is trained and
    /// evaluated; `write` receives the bytes as they are generated.
    ///
    /// A sample ends at the end-of-text token. In a prompt, the name of a special token is encoded as
    /// the token.
    ///
    /// - Throws: `Failure` (missing input) if the run has no tokenizer; (bad data) if the prompt
    ///   has a character that is not in the vocabulary.
    package func generate(
        prompt: String, tokens: Int, samples: Int, sampling: Sampling, threads: Int,
        write: ([UInt8]) throws(Failure) -> Void
    ) throws(Failure) {
        guard let tokenizer = try loadTokenizerIfPresent(folder: run.path) else {
            throw .file(
                .missingInput, run.path, "has no tokenizer.json, so tokens cannot be decoded",
                remedy: "copy it from the data folder")
        }
        let generation = try TextGeneration(
            prompt: prompt, tokenizer: tokenizer, sampling: sampling)
        let engine = ComputeEngine(team: rankTeam(threads: threads))
        let parameters = Parameters(parameters, precision: recipe.training.precision)
        for sample in 0..<samples {
            let generator = Generator(recipe.model, parameters: parameters, engine: engine)
            guard try generation.run(generator, tokens: tokens, sample: sample, write: write) else {
                throw run.diverged(at: step, result: "a logit")
            }
        }
    }
}
