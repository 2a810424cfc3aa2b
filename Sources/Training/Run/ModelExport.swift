import Checkpoints
import Compute
import Data
import Model
import Recipes
import Support

/// The model of a run's checkpoint, to be written as a folder that Hugging Face's Transformers
/// loads.
///
/// It has the average of the parameters if the recipe averages them, like the run's evaluations.
package struct ModelExport {
    private let run: RunFolder
    private let recipe: Recipe
    private let step: Int
    private let tensors: ModelTensors
    private let tokenizer: (any Tokenizer)?
    private let isAverage: Bool

    /// The file whose presence marks a folder as complete.
    private static let marker = InitialModel.configurationName
    private static let generationName = "generation_config.json"

    /// Opens a checkpoint.
    ///
    /// - Throws: `Failure` (missing input) if there is no run or no such checkpoint; (bad data) if
    ///   the requested one is damaged or not finite.
    package init(run path: String, _ choice: CheckpointChoice) throws(Failure) {
        run = RunFolder(path)
        recipe = try Recipe(toml: try run.read(run.recipe), name: run.recipe)
        let checkpoint = try run.checkpoint(choice)
        step = checkpoint.step
        let file = CheckpointKeeper.evaluatedFile(of: recipe)
        isAverage = file == CheckpointFiles.average
        tensors = try ModelTensors(
            file: file, in: checkpoint.folder, names: ModelNames(recipe.model))
        tokenizer = try loadTokenizerIfPresent(folder: run.path)
    }

    /// Writes the folder, completely or not at all; returns what was written, as lines.
    ///
    /// - Parameter dropsPadding: whether to write only the embeddings of the tokenizer's tokens.
    /// - Throws: `Failure` (usage) if the path is taken, or if no tokenizer shows which rows are
    ///   padding; (I/O) if the folder cannot be written.
    package func write(to path: String, dropsPadding: Bool) throws(Failure) -> [String] {
        let path = try Self.free(path)
        var model = recipe.model
        if dropsPadding {
            guard let tokenizer else {
                throw .option(
                    "--drop-padding", "needs the tokenizer, but \(run.path) has none",
                    remedy: "leave it out")
            }
            model.vocabularySize = tokenizer.vocabularySize
        }
        let added = try AtomicFolder.create(at: path, marker: Self.marker) {
            (partial) throws(Failure) in
            for file in files(of: model) {
                try AtomicFile.write(file.text, to: "\(partial)/\(file.name)")
            }
            return try writeTensors(of: model, into: partial)
        }
        return lines(about: model, path: path, addedBiases: added)
    }

    /// Returns a path without slashes at its end, if a folder can be created there.
    private static func free(_ given: String) throws(Failure) -> String {
        let path = RunFolder(given).path
        guard !path.isEmpty else {
            throw .option("--to", "\"\"", "is empty", remedy: "give it a new folder")
        }
        guard !FileSystem.exists(path) || FileSystem.isEmptyFolder(path) else {
            throw .taken(path, remedy: "give --to a new folder")
        }
        try FileSystem.requireWritable(path)
        return path
    }

    // MARK: - Files

    private func files(of model: GPTConfiguration) -> [HuggingFaceFile] {
        let endOfText = tokenizer?.endOfText
        var generation: JSONObject = ["use_cache": true]
        if let token = endOfText {
            for name in ["bos_token_id", "eos_token_id", "pad_token_id"] {
                generation[name] = .integer(Int(token))
            }
        }
        let files = [
            HuggingFaceFile(name: Self.generationName, text: generation.prettyText + "\n"),
            HuggingFaceFile(
                name: Self.marker, text: model.huggingFaceConfiguration(endOfText: endOfText)),
        ]
        return files + (tokenizer?.huggingFaceFiles(contextLength: model.contextLength) ?? [])
    }

    /// Writes the tensors under the names of a model with a head; returns the number of biases that
    /// the run lacks, which become zeros.
    private func writeTensors(
        of model: GPTConfiguration, into folder: String
    ) throws(Failure) -> Int {
        let names = model.huggingFaceNames
        var whole = model
        if !model.isLlama { whole.bias = true }
        var added = 0
        let sources = try GPTLayout(whole).arena.tensors.map {
            (tensor) throws(Failure) -> TensorSource in
            let name = (tensor.name == names.head ? "" : names.prefix) + tensor.name
            guard tensors.shape(of: tensor.name) == nil, !model.bias,
                tensor.name.hasSuffix(".bias")
            else {
                return try tensors.source(of: tensor.name, named: name, shape: tensor.shape)
            }
            added += 1
            return TensorSource(zeros: name, shape: tensor.shape)
        }
        var file = try HashedFile(creating: "\(folder)/\(CheckpointFiles.parameters)")
        try SafetensorsWriter.write(sources, metadata: ["format": "pt"], to: &file)
        _ = try file.finish()
        return added
    }

    // MARK: - Text

    private func lines(
        about model: GPTConfiguration, path: String, addedBiases: Int
    ) -> [String] {
        var notes: [String] = []
        if isAverage { notes.append("its parameters are the run's average") }
        if addedBiases > 0 {
            notes.append(
                "GPT-2 has biases, but the run has model.bias = false, so "
                    + "\(Format.counted(addedBiases, "bias", "biases")) of zeros were added")
        }
        if model.dropout > 0 {
            notes.append(
                "config.json has the dropout \(model.dropout) for embeddings, attention and residual "
                    + "branches; Transformers applies it only in training")
        }
        if recipe.training.precision == .bf16 {
            notes.append(
                "the run multiplies in bf16, but the parameters are fp32, in which Transformers "
                    + "computes unless it is told otherwise")
        }
        notes += vocabularyNotes(model)
        return [
            "the model of step \(Format.count(step)) with "
                + "\(Format.count(model.parameterCount)) parameters is in \(path)"
        ] + notes
    }

    private func vocabularyNotes(_ model: GPTConfiguration) -> [String] {
        guard let tokenizer else {
            return ["the run has no tokenizer.json, so the folder has no tokenizer"]
        }
        let padding = recipe.model.vocabularySize - tokenizer.vocabularySize
        guard padding > 0 else { return [] }
        let rows = Format.counted(padding, "row")
        return [
            model.vocabularySize < recipe.model.vocabularySize
                ? "the \(rows) of the token embedding after the tokenizer's "
                    + "\(Format.count(tokenizer.vocabularySize)) tokens were dropped"
                : "the token embedding has \(rows) more than the tokenizer has tokens; "
                    + "--drop-padding omits them"
        ]
    }
}
