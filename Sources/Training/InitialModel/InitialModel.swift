import Checkpoints
import Compute
import Data
import Model
import Recipes
import Support

/// A trained model from which a run starts: a run's checkpoint, or a folder in Hugging Face's
/// layout. Only one rank opens it.
///
/// Only the parameters are used. The optimizer's moments and the step count start at zero.
package final class InitialModel {
    package let record: InitialModelRecord
    /// The model's own configuration; its vocabulary is the number of rows of its token table.
    let configuration: GPTConfiguration
    let tensors: ModelTensors
    /// The model's tokenizer; nil if it is unknown.
    let tokenizer: (any Tokenizer)?
    /// Facts about the model that the plan states.
    private(set) var notes: [String]

    /// The name of the file with the model's shape in Hugging Face's folders.
    static let configurationName = "config.json"

    /// The model's name and shape before its tensors are read.
    private struct Opened {
        var step: Int?
        var configuration: GPTConfiguration
        let tensors: ModelTensors
        let tokenizer: (any Tokenizer)?
        var notes: [String]
    }

    /// Opens a model and computes its digest.
    ///
    /// - Throws: `Failure` (missing input) if there is neither a run with such a checkpoint nor a
    ///   model; (bad data) if it is damaged or cannot be represented; (usage) if a checkpoint of a
    ///   folder without run is requested.
    package init(_ request: InitialModelRequest) throws(Failure) {
        let run = RunFolder(request.path)
        var opened =
            run.holdsRun
            ? try Self.open(run, request.checkpoint ?? .newest)
            : try Self.open(folder: run.path, request)
        try Self.check(&opened)
        configuration = opened.configuration
        tensors = opened.tensors
        tokenizer = opened.tokenizer
        notes = opened.notes
        var recipe = Recipe()
        recipe.model = opened.configuration
        record = InitialModelRecord(
            path: FileSystem.absolute(run.path), step: opened.step,
            digest: try opened.tensors.digest(), modelSection: recipe.modelSection)
    }

    /// Opens a model that a run or a sweep started from earlier.
    ///
    /// - Throws: the same as `init(_:)`; `Failure` (bad data) if the model has changed.
    package convenience init(again record: InitialModelRecord) throws(Failure) {
        try self.init(record.request)
        guard self.record.digest == record.digest else { throw changed }
    }

    /// The failure of a model that has changed since its digest was computed.
    var changed: Failure {
        .file(
            .badData, record.path, "has changed since the training started from it",
            remedy: "restore the model, or start again in a new folder")
    }

    // MARK: - Opening

    private static func open(
        _ run: RunFolder, _ choice: CheckpointChoice
    ) throws(Failure) -> Opened {
        let recipe = try Recipe(toml: try run.read(run.recipe), name: run.recipe)
        let checkpoint = try run.checkpoint(choice)
        let file = CheckpointKeeper.evaluatedFile(of: recipe)
        return Opened(
            step: checkpoint.step, configuration: recipe.model,
            tensors: try ModelTensors(
                file: file, in: checkpoint.folder, names: ModelNames(recipe.model)),
            tokenizer: try loadTokenizerIfPresent(folder: run.path),
            notes: file == CheckpointFiles.average
                ? ["starts from the average of the run's parameters"] : [])
    }

    private static func open(
        folder: String, _ request: InitialModelRequest
    ) throws(Failure) -> Opened {
        let path = "\(folder)/\(configurationName)"
        guard FileSystem.exists(path) else {
            let problem =
                FileSystem.exists(folder)
                ? "holds neither a run nor a model with \(configurationName)" : "does not exist"
            throw .file(
                .missingInput, request.path, problem,
                remedy: "give --init-from a run's folder, or one with \(configurationName) and "
                    + "model.safetensors")
        }
        guard request.checkpoint == nil else {
            throw .option(
                "--init-checkpoint",
                "chooses a checkpoint of a run, but \(request.path) holds none",
                remedy: "leave it out")
        }
        let json: JSONObject = try readModelJSON(path)
        let entries = HuggingFaceEntries(json: .object(json), path: path)
        let configuration = try entries.configuration()
        let tensors = try ModelTensors(folder: folder, names: ModelNames(configuration))
        var notes: [String] = []
        if let dropout = try entries.differingDropout() {
            notes.append(
                "\(configurationName) has \(dropout), but [model] dropout is one number; it is 0 "
                    + "unless the recipe sets it")
        }
        if !configuration.tiesHead, tensors.shape(of: configuration.huggingFaceNames.head) == nil {
            throw .key(
                "\(path): tie_word_embeddings", false, "calls for a head, but no file has one",
                remedy: "get a fresh copy of the model, or use another one", code: .badData)
        }
        let (tokenizer, problem) = folderTokenizer(folder)
        return Opened(
            step: nil, configuration: configuration, tensors: tensors, tokenizer: tokenizer,
            notes: notes + (problem.map { [$0] } ?? []))
    }

    /// Returns the tokenizer of a folder, or the reason why it is not compared with the data's.
    private static func folderTokenizer(
        _ folder: String
    ) -> (tokenizer: (any Tokenizer)?, problem: String?) {
        do throws(Failure) {
            if let tokenizer = try loadModelTokenizer(folder: folder) { return (tokenizer, nil) }
            return (
                nil, "the model's folder has no tokenizer, so it is not compared with the data's"
            )
        } catch {
            return (nil, "the model's tokenizer is not compared with the data's: \(error.sentence)")
        }
    }

    // MARK: - Tensors

    /// Checks that the tensors are those of the configuration, and removes its biases if the tensors
    /// have none.
    ///
    /// - Throws: `Failure` (bad data) that names the tensor that is missing, unknown or of another
    ///   shape; (I/O).
    private static func check(_ opened: inout Opened) throws(Failure) {
        let tensors = opened.tensors
        let names = Set(tensors.names)
        let withBiases = GPTLayout(opened.configuration).arena
        let biases = withBiases.tensors.map(\.name).filter { $0.hasSuffix(".bias") }
        if !biases.contains(where: names.contains) { opened.configuration.bias = false }
        let layout = GPTLayout(opened.configuration).arena
        for tensor in layout.tensors {
            try tensors.require(
                tensor.name, shape: tensor.shape,
                because: opened.step == nil ? configurationName : "the run's recipe")
        }
        let table = GPTLayout(opened.configuration).tokenEmbedding.name
        let head = opened.configuration.huggingFaceNames.head
        let known = Set(layout.tensors.map(\.name) + [head])
        if let name = tensors.names.first(where: { !known.contains($0) }) {
            throw .file(
                .badData, tensors.path, "has the tensor \"\(name)\", which the model lacks",
                remedy: "use an unmodified model of its kind")
        }
        guard opened.configuration.tiesHead, names.contains(head) else { return }
        guard try tensors.areEqual(head, table) else {
            throw .file(
                .badData, tensors.path,
                "has a head \"\(head)\" of its own, but Lockstep's model shares the table "
                    + "\"\(table)\"", remedy: "use a model with tie_word_embeddings = true")
        }
    }

    /// Copies the parameters into an arena that a new run has initialized.
    ///
    /// - Throws: `Failure` (bad data) if the model has changed or has a number that is not finite;
    ///   (I/O) if it cannot be read.
    func load(into arena: Buffer<Float>, _ layout: GPTLayout) throws(Failure) {
        let places = Dictionary(uniqueKeysWithValues: layout.arena.tensors.map { ($0.name, $0) })
        let digest = try tensors.copy { name in
            places[name].map { .init(arena.base + $0.offset, count: $0.count) }
        }
        guard digest == record.digest else { throw changed }
    }
}

/// Returns the tokenizer of a folder in Hugging Face's layout, or nil if it has none.
///
/// - Throws: `Failure` (bad data) if its files are damaged or not supported.
func loadModelTokenizer(folder: String) throws(Failure) -> (any Tokenizer)? {
    if let tokenizer = try loadTokenizerIfPresent(folder: folder) { return tokenizer }
    guard FileSystem.exists("\(folder)/vocab.json") else { return nil }
    return try BytePairTokenizer(folder: folder)
}

extension ModelNames {
    /// Creates the names of a configuration's architecture.
    init(_ configuration: GPTConfiguration) {
        let names = configuration.huggingFaceNames
        self.init(prefix: names.prefix, isBuffer: { names.isBuffer($0) })
    }
}
