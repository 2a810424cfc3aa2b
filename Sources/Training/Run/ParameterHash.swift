import Compute
import Support

extension ArenaLayout {
    /// Returns the SHA-256 of parameters as they are in a checkpoint's file.
    ///
    /// The padding between the tensors is hashed as zeros, because an update can change it to other
    /// values, such as -0, which no file holds.
    func hash(of parameters: Buffer<Float>) -> String {
        var hash = SHA256()
        var end = 0
        func addZeros(upTo start: Int) {
            guard start > end else { return }
            let zeros = [Float](repeating: 0, count: start - end)
            zeros.withUnsafeBytes { hash.update($0) }
        }
        for tensor in tensors {
            addZeros(upTo: tensor.offset)
            let bytes = tensor.offset * 4..<tensor.range.upperBound * 4
            hash.update(UnsafeRawBufferPointer(rebasing: parameters.bytes[bytes]))
            end = tensor.range.upperBound
        }
        addZeros(upTo: parameters.count)
        return hash.finish()
    }
}

extension StepRunner {
    /// Returns the SHA-256 of the parameters, as a checkpoint's manifest would state it.
    package var parameterHash: String { model.layout.arena.hash(of: state.parameters.values) }
}
