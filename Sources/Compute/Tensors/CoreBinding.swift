import CCompute
import Support

/// Binds each thread of a team to a core if a launcher gave this process as many cores as it has
/// threads. Without this, the system would move threads between the cores, away from their caches.
package enum CoreBinding {
    /// The processors of each core that this process may use, in the order of each core's first,
    /// read on first access; empty if the system does not report them.
    package static let cores: [[Int]] =
        Dictionary(grouping: allowedProcessors(), by: siblings).values.sorted { $0[0] < $1[0] }

    /// Binds the calling thread to the processors of one core; has no effect if the system refuses.
    static func bindThisThread(to core: [Int]) {
        var bits = [UInt8](repeating: 0, count: mostProcessors / 8)
        for processor in core { bits[processor / 8] |= 1 << (processor % 8) }
        _ = lockstep_bind_thread(bits, bits.count)
    }

    private static let mostProcessors = 8192

    private static func allowedProcessors() -> [Int] {
        var bits = [UInt8](repeating: 0, count: mostProcessors / 8)
        guard lockstep_allowed_processors(&bits, bits.count) else { return [] }
        return (0..<mostProcessors).filter { bits[$0 / 8] & 1 << ($0 % 8) != 0 }
    }

    /// Returns the processors of a processor's core as Linux writes them, such as "0,64", or the
    /// processor's own number if Linux does not report them.
    private static func siblings(of processor: Int) -> String {
        let path = "/sys/devices/system/cpu/cpu\(processor)/topology/thread_siblings_list"
        guard let line = try? readText(path) else { return "\(processor)" }
        return String(line.prefix { !$0.isWhitespace })
    }
}
