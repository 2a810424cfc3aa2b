import Compute
import MPI
import Support

/// The first tensor in which ranks that must have the same parameters differ.
package enum ReplicaDifference {
    /// Finds the tensor and the ranks. Collective: every rank must call this, and only if the
    /// parameters differ.
    ///
    /// - Returns: a failure (I/O) that names them.
    static func failure(
        parameters: Buffer<Float>, layout: ArenaLayout, communicator: Communicator
    ) throws(Failure) -> Failure {
        let hosts = try communicator.allGatherText(Communicator.hostName)
        for tensor in layout.tensors {
            var hash = SHA256()
            hash.update(
                UnsafeRawBufferPointer(
                    rebasing: parameters.bytes[
                        tensor.offset * 4..<tensor.range.upperBound * 4]))
            let hashes = try communicator.allGatherText(hash.finish())
            if let ranks = minority(of: hashes) {
                return failure(tensor.name, ranks, of: communicator.size, hosts: hosts)
            }
        }
        return failure("the padding between the tensors", [], of: communicator.size, hosts: hosts)
    }

    /// Returns the ranks that do not have what most ranks have, or all ranks if no value is more
    /// frequent than all others; nil if all values are equal.
    package static func minority(of hashes: [String]) -> [Int]? {
        let counts = Dictionary(hashes.map { ($0, 1) }, uniquingKeysWith: +)
        guard counts.count > 1, let most = counts.values.max() else { return nil }
        let winners = counts.filter { $0.value == most }.map(\.key)
        return hashes.indices.filter { winners.count > 1 || hashes[$0] != winners[0] }
    }

    private static func failure(
        _ tensor: String, _ ranks: [Int], of size: Int, hosts: [String]
    ) -> Failure {
        let names = Communicator.list(ranks, hosts: hosts)
        let problem =
            ranks.isEmpty
            ? "differ between ranks in \(tensor)"
            : ranks.count == size
                ? "differ in \(tensor) between \(names)"
                : "differ in \(tensor), which \(names) \(ranks.count == 1 ? "has" : "have") "
                    + "unlike most ranks"
        return .about(
            .inputOutput, "the parameters", problem,
            remedy: "a rank's memory or build is at fault, so test that host's memory and resume "
                + "from the last checkpoint")
    }
}
