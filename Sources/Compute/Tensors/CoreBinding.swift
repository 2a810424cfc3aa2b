import CCompute
import Glibc

/// Binds the threads of a team to a core each, where a launcher has given this process as many cores
/// as it has threads: the system would move them between its cores, away from their caches.
package enum CoreBinding {
    /// The processors of each core that this process may use, as they were when this was first
    /// asked; empty where the system does not say.
    package static let cores: [[Int]] = group(allowedProcessors()) { processor in
        siblings(of: processor)
    }

    /// Binds the calling thread to the processors of one core; where the system refuses, it stays as
    /// it was.
    static func bindThisThread(to core: [Int]) {
        var bits = [UInt8](repeating: 0, count: mostProcessors / 8)
        for processor in core { bits[processor / 8] |= 1 << (processor % 8) }
        _ = lockstep_bind_thread(bits, bits.count)
    }

    private static let mostProcessors = 8192

    /// Processors by core, in the order of each core's first; those of one core have the same name
    /// of it.
    static func group(_ processors: [Int], byCore core: (Int) -> String) -> [[Int]] {
        var names: [String] = []
        var cores: [[Int]] = []
        for processor in processors {
            let name = core(processor)
            if let index = names.firstIndex(of: name) {
                cores[index].append(processor)
            } else {
                names.append(name)
                cores.append([processor])
            }
        }
        return cores
    }

    private static func allowedProcessors() -> [Int] {
        var bits = [UInt8](repeating: 0, count: mostProcessors / 8)
        guard lockstep_allowed_processors(&bits, bits.count) else { return [] }
        return (0..<mostProcessors).filter { bits[$0 / 8] & 1 << ($0 % 8) != 0 }
    }

    /// The processors of a processor's core as Linux writes them, such as "0,64"; the processor's own
    /// number where it does not.
    private static func siblings(of processor: Int) -> String {
        let path = "/sys/devices/system/cpu/cpu\(processor)/topology/thread_siblings_list"
        guard let file = fopen(path, "r") else { return "\(processor)" }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        guard fgets(&line, Int32(line.count), file) != nil else { return "\(processor)" }
        return String(decoding: line.prefix { $0 > 32 }.map(UInt8.init), as: UTF8.self)
    }
}
