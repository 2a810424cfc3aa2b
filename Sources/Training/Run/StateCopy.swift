import Checkpoints
import Compute
import Recipes
import Support

/// A copy of a training state's tensors in rank 0's memory, from which a checkpoint is written while
/// the training continues.
struct StateCopy: Sendable {
    private let parameters: Buffer<Float>
    private let average: Buffer<Float>?
    /// The optimizer's whole state, in the layout of the arena, by name.
    private let moments: [(name: String, tensors: [NamedTensor], buffer: Buffer<Float>)]

    /// Allocates memory for copies of states that have the same tensors as `state`.
    init(of state: TrainingState, layout: ArenaLayout) {
        parameters = Buffer(count: layout.count)
        average = state.average.map { _ in Buffer(count: layout.count) }
        moments = state.optimizer.states.map {
            ($0.name, state.optimizer.tensors(of: $0), Buffer(count: layout.count))
        }
    }

    /// Copies a state whose shards `transfer` gathers; nil if this rank has the whole state.
    ///
    /// - Throws: `Failure` if MPI reports an error.
    func fill(from state: TrainingState, by transfer: ShardTransfer?) throws(Failure) {
        parameters.fill(from: state.parameters.values)
        if let values = state.average?.parameters.values { average?.fill(from: values) }
        let shards = state.optimizer.states.map(\.buffer)
        for (index, copy) in moments.enumerated() {
            guard let transfer else {
                copy.buffer.fill(from: shards[index])
                continue
            }
            for tensor in copy.tensors {
                var place = tensor.offset * MemoryLayout<Float>.stride
                try transfer.gather(tensor.range, of: shards, at: index) { bytes in
                    UnsafeMutableRawBufferPointer(rebasing: copy.buffer.bytes[place...])
                        .copyMemory(from: bytes)
                    place += bytes.count
                }
            }
        }
    }

    /// The tensors of the last state that was copied.
    var tensors: CheckpointTensors {
        CheckpointTensors(
            parameters: parameters, average: average,
            moments: moments.flatMap { state in
                state.tensors.map { tensor in
                    TensorSource(
                        name: CheckpointFiles.name(tensor, inState: state.name),
                        shape: tensor.shape, base: state.buffer.base + tensor.offset)
                }
            })
    }
}

extension TrainingPlan {
    /// Returns the size in bytes of a copy of the state, from which rank 0 writes checkpoints in the
    /// background; 0 if the recipe does not request that or writes none before the last step.
    ///
    /// - Parameter elements: the number of elements in the arena.
    package func copyBytes(elements: Int) -> Int {
        let earlySteps = 1..<max(1, recipe.training.steps)
        let evaluatesEarly =
            earlySteps.contains(recipe.evaluation.every)
            || recipe.evaluation.at.contains(where: earlySteps.contains)
        guard recipe.checkpoint.background,
            earlySteps.contains(recipe.checkpoint.every)
                || recipe.checkpoint.best && evaluatesEarly
        else { return 0 }
        let average = recipe.training.averagingPower == nil ? 0 : 1
        return (1 + recipe.optimizer.statesPerParameter + average) * elements
            * MemoryLayout<Float>.stride
    }

    /// Returns the reason that a machine's memory is too small for a copy of the state; nil if it
    /// suffices.
    ///
    /// - Parameter hostBytes: the memory that training needs on a host in addition to the copy.
    package static func copyNotice(
        copyBytes: Int, besides hostBytes: Int, machineBytes: Int
    ) -> String? {
        guard copyBytes > 0, hostBytes + copyBytes > machineBytes else { return nil }
        return "writing them in the background would take \(Format.bytes(copyBytes)) more memory "
            + "for a copy of the state, and the machine has \(Format.bytes(machineBytes))"
    }
}
