import Checkpoints
import Compute
import Support

/// The tensors of a training state, as a checkpoint holds them.
struct CheckpointTensors {
    let parameters: Buffer<Float>
    /// The average of the parameters; nil if the recipe requests none.
    let average: Buffer<Float>?
    /// The optimizer's state, such as its moments.
    let moments: [TensorSource]
}

/// The files of a run's checkpoints.
struct CheckpointFiles: Sendable {
    private let run: RunFolder
    private let layout: ArenaLayout
    /// The content of the file with the model's shape.
    private let configuration: String
    let store: CheckpointStore

    /// The file with the parameters, whose tensors are named as in Hugging Face's Transformers.
    static let parameters = "model.safetensors"
    static let optimizer = "optimizer.safetensors"
    /// The file with the average of the parameters, if the recipe requests one.
    static let average = "average.safetensors"
    /// The file with the model's shape, for Hugging Face's Transformers.
    private static let configuration = "config.json"

    init(
        run: RunFolder, keep: Int, layout: ArenaLayout, configuration: String
    ) throws(Failure) {
        self.run = run
        self.layout = layout
        self.configuration = configuration
        store = try run.checkpointStore(keep: keep)
    }

    /// Writes a checkpoint.
    ///
    /// - Parameters:
    ///   - best: the step whose checkpoint is never removed; nil for none.
    ///   - pace: the pace of the work in the background; nil for full speed.
    /// - Throws: the same as `CheckpointStore.save`; `Failure` (I/O) if the run's folder is gone.
    func save(
        _ tensors: CheckpointTensors, manifest: Manifest, best: Int?, pace: BackgroundPace? = nil
    ) throws(Failure) -> SaveResult {
        guard run.holdsRun else {
            throw .file(
                .inputOutput, run.path, "was moved or removed during training",
                remedy: "keep the folder in place while a run is training")
        }
        func model(_ name: String, _ values: Buffer<Float>) -> CheckpointFile {
            let tensors = TensorSource.all(of: layout, in: values)
            return CheckpointFile(name: name, .tensors(tensors, metadata: ["format": "pt"]))
        }
        var files = [
            model(Self.parameters, tensors.parameters),
            CheckpointFile(name: Self.optimizer, .tensors(tensors.moments)),
            CheckpointFile(name: Self.configuration, .text(configuration)),
        ]
        if let average = tensors.average { files.append(model(Self.average, average)) }
        return try store.save(files, manifest: manifest, alwaysKeeping: best, pace: pace)
    }

    /// Returns the name of a tensor of the optimizer's state.
    static func name(_ tensor: NamedTensor, inState state: String) -> String {
        "\(state).\(tensor.name)"
    }
}
