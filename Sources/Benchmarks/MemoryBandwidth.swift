import Compute
import MPI
import Support

/// The measured rate at which all threads of all ranks together read memory that is not cached.
enum MemoryBandwidth {
    /// The elements that a rank's threads share, far more than caches hold.
    private static let elements = 64 << 20
    private static let repetitions = 5

    /// Measures for about 0.2 s and returns the bytes per second of all ranks together. Collective:
    /// every rank must call this.
    static func measureBytesPerSecond(
        team: ThreadTeam, communicator: Communicator
    ) throws(Failure) -> Double {
        let buffer = Buffer<Float>(count: elements)
        let share = elements / team.threadCount / 64 * 64
        let sums = Buffer<Float>(count: team.threadCount * 16)
        var best = Double.infinity
        for _ in 0..<repetitions {
            try communicator.barrier()
            let start = MonotonicClock.nanoseconds
            team.forEach(team.threadCount) { tile, _ in
                sums.base[tile * 16] = sum(buffer.base + tile * share, count: share)
            }
            let seconds = Double(MonotonicClock.nanoseconds - start) * 1e-9
            best = min(best, try communicator.allReduce(seconds, .maximum))
        }
        precondition(sums.elements.allSatisfy { $0 == 0 }, "the memory is zeroed")
        let bytes = share * team.threadCount * communicator.size * MemoryLayout<Float>.stride
        return Double(bytes) / best
    }

    /// Returns the sum of `count` floats, a multiple of 64, in enough chains to keep memory busy.
    private static func sum(_ values: UnsafeMutablePointer<Float>, count: Int) -> Float {
        let vectors = UnsafeRawPointer(values)
        var (a, b, c, d) = (
            SIMD16<Float>.zero, SIMD16<Float>.zero, SIMD16<Float>.zero, SIMD16<Float>.zero
        )
        for offset in stride(from: 0, to: count * 4, by: 256) {
            a += vectors.load(fromByteOffset: offset, as: SIMD16<Float>.self)
            b += vectors.load(fromByteOffset: offset + 64, as: SIMD16<Float>.self)
            c += vectors.load(fromByteOffset: offset + 128, as: SIMD16<Float>.self)
            d += vectors.load(fromByteOffset: offset + 192, as: SIMD16<Float>.self)
        }
        return ((a + b) + (c + d)).sum()
    }
}
