import Failures
import MPI
import Tensors

/// Replaces every rank's parameters by the root's, so that replicas begin alike.
///
/// Whether they did is checked by comparing hashes with `Communicator.sameOnAllRanks`.
package func broadcastParameters(
    _ parameters: Buffer<Float>, over communicator: Communicator, root: Int = 0
) throws(Failure) {
    if communicator.size == 1 { return }
    try communicator.broadcast(parameters.base, count: parameters.count, root: root)
}
