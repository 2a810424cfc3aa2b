import Compute
import Data
import Glibc
import MPI
import Model
import Support

/// A reader of micro-batches, which reuses the same memory for each.
///
/// If the data cannot be read, it ends the job, because the other ranks wait within the step.
package struct SampleLoader {
    private let dataset: TokenDataset
    private let contextLength: Int
    private let microBatch: Int
    // A sequence's T inputs and its last target: (T + 1).
    private let window: Buffer<Int32>
    private let inputs: Buffer<Int32>  // (B, T)
    private let targets: Buffer<Int32>  // (B, T)
    /// The positions within documents (B, T); nil if documents see each other.
    private let positions: Buffer<Int32>?

    /// Creates a loader, and allocates memory for micro-batches (B, T).
    package init(dataset: TokenDataset, contextLength: Int, microBatch: Int) {
        self.dataset = dataset
        self.contextLength = contextLength
        self.microBatch = microBatch
        window = Buffer(count: contextLength + 1)
        inputs = Buffer(count: microBatch * contextLength)
        targets = Buffer(count: microBatch * contextLength)
        positions = dataset.documentToken.map { _ in Buffer(count: microBatch * contextLength) }
    }

    /// The size of the loader's memory in bytes.
    var bytes: Int {
        window.bytes.count + inputs.bytes.count + targets.bytes.count
            + (positions?.bytes.count ?? 0)
    }

    /// Returns the micro-batch whose first sequence is number `firstSample` in the run's order. It
    /// is valid until the next one is loaded.
    package func load(firstSample: Int, order: MixtureOrder, firstSequence: Int) -> TokenBatch {
        for row in 0..<microBatch {
            place(
                offset: order.offset(ofSample: firstSample + row), length: contextLength, row: row)
        }
        return TokenBatch(
            inputs: inputs.base, targets: targets.base, positions: positions?.base,
            firstSequence: firstSequence)
    }

    /// Returns a micro-batch of validation windows; rows without a window have no targets.
    package func load(_ windows: some Sequence<Int>, of all: ValidationWindows) -> TokenBatch {
        var windows = windows.makeIterator()
        for row in 0..<microBatch {
            let (offset, length) = windows.next().map { all.window($0) } ?? (0, 0)
            place(offset: offset, length: length, row: row)
        }
        return TokenBatch(
            inputs: inputs.base, targets: targets.base, positions: positions?.base)
    }

    /// Copies `length` inputs and their targets into a row; the rest of the row has no targets.
    private func place(offset: Int, length: Int, row: Int) {
        let input = inputs.base + row * contextLength
        let target = targets.base + row * contextLength
        if length > 0 {
            do throws(Failure) {
                try dataset.copy(from: offset, count: length + 1, into: window.base)
            } catch { MPIEnvironment.endJob(error) }
            input.update(from: window.base, count: length)
            target.update(from: window.base + 1, count: length)
        }
        for t in length..<contextLength {
            input[t] = 0
            target[t] = ignoredTarget
        }
        guard let positions, let documentToken = dataset.documentToken else { return }
        let position = positions.base + row * contextLength
        var start = 0
        for t in 0..<contextLength {
            if input[t] == documentToken { start = t }
            position[t] = Int32(t - start)
        }
    }
}
