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
    guard let file = fopen("/proc/self/exe", "r") else {
        throw Failure(
            .inputOutput,
            "The program cannot read itself at /proc/self/exe: \(String(cString: strerror(errno)));"
                + " mount /proc.")
    }
    defer { fclose(file) }
    var hash = SHA256()
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
        let count = fread(&chunk, 1, chunk.count, file)
        guard count > 0 else { break }
        chunk.withUnsafeBytes { hash.update(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
    }
    return hash.finish()
}
