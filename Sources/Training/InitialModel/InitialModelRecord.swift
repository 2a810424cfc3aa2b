import Data
import MPI
import Recipes
import Support

/// The request to start from a trained model instead of new parameters.
package struct InitialModelRequest: Sendable, Equatable {
    /// The folder of a run, or one in Hugging Face's layout.
    package let path: String
    /// The checkpoint of a run; nil for the newest.
    package let checkpoint: CheckpointChoice?

    /// Creates a request.
    ///
    /// - Parameter checkpoint: "best" or a step; nil for the newest checkpoint.
    /// - Throws: `Failure` (usage) if the path is empty, or if the text is neither.
    package init(path: String, checkpoint: String?) throws(Failure) {
        guard !path.isEmpty else {
            throw .option(
                "--init-from", "\"\"", "is empty",
                remedy: "give a run's folder, or one with config.json and model.safetensors")
        }
        self.path = path
        self.checkpoint = try checkpoint.map { (text) throws(Failure) in
            try CheckpointChoice(text, option: "--init-checkpoint")
        }
    }

    /// The path, and the checkpoint's option if there is one, for messages.
    package var name: String {
        switch checkpoint {
        case nil, .newest?: path
        case .best?: "\(path) --init-checkpoint best"
        case .step(let step)?: "\(path) --init-checkpoint \(step)"
        }
    }

    fileprivate init(path: String, step: Int?) {
        self.path = path
        checkpoint = step.map { .step($0) }
    }
}

/// The model from which a run or a sweep started, as its folder records it.
package struct InitialModelRecord: Sendable, Equatable {
    /// The absolute path of the folder.
    package let path: String
    /// The step of the checkpoint; nil for a folder in Hugging Face's layout.
    package let step: Int?
    /// The digest of the names, types, shapes and bytes of the model's tensors.
    package let digest: String
    /// The model's `[model]` section as TOML.
    package let modelSection: String

    /// The request that opens the model again.
    package var request: InitialModelRequest { InitialModelRequest(path: path, step: step) }

    /// Returns the values of unset keys of [model]: those of the model except its vocabulary.
    ///
    /// - Throws: `Failure` (configuration) if the record is damaged.
    package func defaults() throws(Failure) -> GPTConfiguration {
        var model = try configuration()
        model.vocabularySize = 0
        return model
    }

    /// Sets the vocabulary of a recipe to the model's if neither the recipe nor the data state one.
    ///
    /// - Throws: `Failure` (configuration) if the record is damaged.
    package func settleVocabulary(
        of model: inout GPTConfiguration, dataPath: String
    ) throws(Failure) {
        guard model.vocabularySize == 0, !FileSystem.exists("\(dataPath)/\(tokenizerFileName)")
        else { return }
        model.vocabularySize = try configuration().vocabularySize
    }

    private func configuration() throws(Failure) -> GPTConfiguration {
        try Recipe(toml: modelSection, name: "the record of the initial model").model
    }

    /// Returns the record of the first rank on all ranks. Collective: every rank must call this.
    package static func fromFirstRank(
        _ record: InitialModelRecord?, _ communicator: Communicator
    ) throws(Failure) -> InitialModelRecord? {
        let text = try communicator.fromFirstRank { record?.json.text ?? "" }
        guard !text.isEmpty else { return nil }
        do throws(JSONProblem) { return try InitialModelRecord(parsing: text.utf8) } catch {
            throw .defect("The first rank sent a record that \(error.predicate)")
        }
    }

    /// Returns whether a request names this model, which is not opened. "best" names the run's
    /// checkpoint with the lowest validation loss so far.
    package func isNamed(by request: InitialModelRequest) -> Bool {
        let run = RunFolder(request.path)
        guard path == FileSystem.absolute(run.path) else { return false }
        guard request.checkpoint == .best else {
            return request.checkpoint == nil || request.checkpoint == self.request.checkpoint
        }
        return step != nil && step == (try? run.checkpoint(.best))?.step
    }

    /// The name of the model in messages.
    package var title: String {
        step.map { "the checkpoint of step \($0) in \(path)" } ?? "the model in \(path)"
    }
}

extension InitialModelRecord: JSONReadable {
    package init(json: JSONValue) throws(JSONProblem) {
        path = try json.read("path")
        step = try json.read("step")
        digest = try json.read("sha256")
        modelSection = try json.read("model")
    }

    package var json: JSONObject {
        [
            "path": .string(path), "step": step.map { .integer($0) } ?? .null,
            "sha256": .string(digest), "model": .string(modelSection),
        ]
    }
}

extension RunFolder {
    /// The file that records the model from which the run started; a run that started from new
    /// parameters has none.
    package var initialModel: String { "\(path)/initial-model.json" }

    /// Returns the model from which the run started; nil for new parameters.
    ///
    /// - Throws: `Failure` (bad data) if the file is damaged; (I/O) if it cannot be read.
    package func readInitialModel() throws(Failure) -> InitialModelRecord? {
        guard FileSystem.exists(initialModel) else { return nil }
        return try readJSON(initialModel, remedy: "restore the file, or start a new run")
    }

    /// Checks that a resume names the model from which the run started, or none.
    ///
    /// - Throws: `Failure` (usage) if it names another one.
    package func requireInitialModel(_ request: InitialModelRequest?) throws(Failure) {
        guard let request else { return }
        let record = try readInitialModel()
        let isSame = record?.isNamed(by: request) ?? false
        guard !isSame else { return }
        throw .option(
            "--init-from", request.name,
            "cannot change midway, because the run in \(path) started from "
                + (record?.title ?? "new parameters"),
            remedy: "leave it out to resume the run, or start a new run in another folder")
    }
}
