import MPI
import Support
import Training

extension SweepSession {
    /// The trained model from which every run starts: its record on all ranks, and the opened model
    /// on the first; both nil for new parameters.
    struct InitialModelInput {
        let record: InitialModelRecord?
        let model: InitialModel?
    }

    /// Opens the model that the command or the resumed sweep names. Collective: every rank must
    /// call this.
    ///
    /// - Throws: `Failure` (usage) if a resumed sweep started from another model; the failures of
    ///   opening it.
    func initialModel() throws(Failure) -> InitialModelInput {
        let model = try world.onFirstRank { () throws(Failure) in try openInitialModel() }
            .flatMap(\.self)
        return InitialModelInput(
            record: try InitialModelRecord.fromFirstRank(model?.record, world), model: model)
    }

    private func openInitialModel() throws(Failure) -> InitialModel? {
        guard resumes, folder.holdsSweep else {
            return try initialRequest.map { (request) throws(Failure) in try InitialModel(request) }
        }
        let recorded = try folder.readInitialModel()
        if let recorded, initialRequest.map(recorded.isNamed) ?? true {
            return try InitialModel(again: recorded)
        }
        guard let initialRequest else { return nil }
        let requested = try InitialModel(initialRequest)
        guard requested.record.digest == recorded?.digest else {
            throw .option(
                "--init-from", initialRequest.name,
                "cannot change midway, because the sweep in \(folder.path) started from "
                    + (recorded?.title ?? "new parameters"),
                remedy: "leave it out to resume the sweep, or start a new one in another folder")
        }
        return requested
    }

    /// Checks that a model fits the runs, and logs how they use it.
    ///
    /// - Throws: the same as `InitialModel.text`.
    func announce(_ model: InitialModel, for input: Input) throws(Failure) {
        let text = try model.text(
            fitting: input.recipe.model, dataPath: input.data.path,
            tokenizer: input.data.tokenizer)
        job.announce("every run starts from \(text)")
    }
}
