import Glibc
import MPI
import Support

extension Communicator {
    /// Checks that all ranks run the same build, without which they would not have the same bits.
    ///
    /// - Throws: on every rank alike, `.configuration` naming the ranks that differ; `.inputOutput`
    ///   where a program cannot read itself.
    package func requireSameBuild() throws(Failure) {
        try sameOnAllRanks(
            "build", try agree { () throws(Failure) in try digestOfThisProgram() },
            remedy: "install the same build on every host")
    }
}

/// SHA-256 of the program's file: the same on two hosts only if they run the same build.
///
/// - Throws: `Failure` (I/O) where the program cannot read itself.
func digestOfThisProgram() throws(Failure) -> String {
    let file = try Descriptor(reading: "/proc/self/exe")
    var hash = SHA256()
    try file.forEachChunk { hash.update($0) }
    return hash.finish()
}
