import Glibc
import MPI
import Support

extension Communicator {
    /// Checks that all ranks run the same build, because different builds may give different bits.
    /// Collective.
    ///
    /// - Throws: `Failure` on all ranks: (configuration) if ranks differ, and names them; (I/O) if
    ///   a program cannot read its own file.
    package func requireSameBuild() throws(Failure) {
        try sameOnAllRanks(
            "build", try agree { () throws(Failure) in try digestOfThisProgram() },
            remedy: "install the same build on every host")
    }
}

/// Returns the SHA-256 hash of the program's file, which is the same on two hosts only if they run
/// the same build.
///
/// - Throws: `Failure` (I/O) if the program cannot read its own file.
func digestOfThisProgram() throws(Failure) -> String {
    let file = try Descriptor(reading: "/proc/self/exe")
    var hash = SHA256()
    try file.forEachChunk { hash.update($0) }
    return hash.finish()
}
