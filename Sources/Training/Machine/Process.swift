import FoundationEssentials
import MPI
import Support

/// Lockstep's version, as `lockstep --version` prints it.
package let version = "0.1.0"

/// Returns the environment variables of this process.
package func processEnvironment() -> [String: String] { ProcessInfo.processInfo.environment }

/// Returns a word quoted for a shell if necessary, for commands in messages.
package func shellQuoted(_ word: String) -> String {
    let plain = word.unicodeScalars.allSatisfy {
        $0.properties.isAlphabetic || $0.properties.numericType != nil
            || "/._-=+:,@%".unicodeScalars.contains($0)
    }
    return plain && !word.isEmpty ? word : "'\(word.replacing("'", with: "'\\''"))'"
}

extension Communicator {
    /// Checks that all ranks run the same build, because different builds may give different bits.
    /// Collective: every rank must call this.
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
