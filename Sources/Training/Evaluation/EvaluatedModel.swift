import Compute
import Data
import MPI
import Model
import Recipes
import Support

/// A model that is evaluated on text or questions: a checkpoint of a run, or a folder in Hugging
/// Face's layout. All ranks hold its parameters.
package struct EvaluatedModel {
    /// The step of the checkpoint; nil for a folder in Hugging Face's layout.
    package let step: Int?
    package let configuration: GPTConfiguration
    let parameters: Parameters
    /// The tokenizer; nil if the folder has none, and on other ranks than the first.
    let tokenizer: (any Tokenizer)?
    private let path: String

    /// Opens a model, which the first rank reads for all ranks. Collective: every rank must call
    /// this.
    ///
    /// A run is evaluated in the precision in which it is trained, and with the average of its
    /// parameters if it has one. Other models are evaluated in fp32.
    ///
    /// - Parameter checkpoint: the checkpoint of a run; nil for the newest.
    /// - Throws: `Failure`, the same on all ranks: (missing input) if the folder holds neither a run
    ///   nor a model; (usage) if a checkpoint is chosen of a folder without run; (bad data) if the
    ///   model or its tokenizer is damaged or cannot be represented.
    package init(
        _ path: String, _ checkpoint: CheckpointChoice?, communicator: Communicator
    ) throws(Failure) {
        let run = RunFolder(path)
        self.path = run.path
        let holdsRun = try communicator.fromFirstRank { run.holdsRun ? "run" : "" } != ""
        if holdsRun {
            let inspection = try RunInspection(
                run: path, checkpoint ?? .newest, communicator: communicator)
            step = inspection.step
            configuration = inspection.recipe.model
            parameters = Parameters(
                inspection.parameters, precision: inspection.recipe.training.precision)
            tokenizer =
                try communicator.onFirstRank { () throws(Failure) in
                    try loadTokenizerIfPresent(folder: run.path)
                } ?? nil
            return
        }
        let model = try communicator.onFirstRank { () throws(Failure) in
            try Self.open(folder: run.path, checkpoint)
        }
        let section = try communicator.broadcastText(model?.record.modelSection ?? "")
        let configuration = try Recipe(toml: section, name: run.path).model
        let layout = GPTLayout(configuration)
        let values = Buffer<Float>(count: layout.arena.count)
        tokenizer =
            try communicator.onFirstRank { () throws(Failure) in
                try model?.load(into: values, layout)
                return try loadModelTokenizer(folder: run.path)
            } ?? nil
        try communicator.broadcast(values.bytes)
        step = nil
        self.configuration = configuration
        parameters = Parameters(values)
    }

    /// Opens a folder in Hugging Face's layout.
    private static func open(
        folder: String, _ checkpoint: CheckpointChoice?
    ) throws(Failure) -> InitialModel {
        guard FileSystem.exists("\(folder)/\(InitialModel.configurationName)") else {
            throw .file(
                .missingInput, folder,
                FileSystem.exists(folder)
                    ? "holds neither a run nor a model with \(InitialModel.configurationName)"
                    : "does not exist",
                remedy: "give the folder of a run or of a model")
        }
        guard checkpoint == nil else {
            throw .option(
                "--checkpoint", "chooses a checkpoint of a run, but \(folder) holds none",
                remedy: "leave it out")
        }
        return try InitialModel(try InitialModelRequest(path: folder, checkpoint: nil))
    }

    /// Returns the tokenizer of the first rank.
    ///
    /// - Throws: `Failure` (missing input) if the folder has none.
    func requireTokenizer(for text: String) throws(Failure) -> any Tokenizer {
        guard let tokenizer else { throw .missingTokenizer(for: text) }
        return tokenizer
    }

    /// The failure of a model that gives a loss that is not a number.
    var diverged: Failure {
        if let step { return RunFolder(path).diverged(at: step, result: "a loss") }
        return .file(
            .badData, path, "gives a loss that is not a number", remedy: "use another model")
    }
}
