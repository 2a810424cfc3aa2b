import Glibc

/// The file system in which Open MPI keeps the memory that a node's ranks share.
///
/// It often has only 64 MB in containers, and exceeding it raises SIGBUS instead of an error.
package struct SharedMemorySpace: Sendable {
    /// The folder: `osc_sm_backing_directory`, or /dev/shm if that is unset.
    package let folder: String
    /// The number of free bytes; nil if it cannot be determined.
    package let freeBytes: Int?

    /// Examines a folder; nil stands for the folder that Open MPI uses.
    package init(folder given: String? = nil) {
        let setting = getenv("OMPI_MCA_osc_sm_backing_directory").map { String(cString: $0) }
        folder = given ?? setting ?? "/dev/shm"
        var status = statvfs()
        freeBytes = statvfs(folder, &status) == 0 ? Int(status.f_bavail * status.f_frsize) : nil
    }

    /// Returns the reason why `bytes` do not fit, with the remedy; nil if they fit.
    ///
    /// Some space is reserved for other users of the folder, such as Open MPI's own messages.
    package func reasonAgainst(bytes: Int) -> String? {
        guard let freeBytes else { return "\(folder) cannot be used; mount a tmpfs there" }
        let needed = bytes + Self.reserve
        guard needed > freeBytes else { return nil }
        let mebibytes = { (bytes: Int) in (bytes + 1_048_575) >> 20 }
        return
            "\(folder) has \(freeBytes >> 20) MiB free of the \(mebibytes(needed)) MiB that its "
            + "ranks would share; give it more (docker run --shm-size, or a larger tmpfs) for "
            + "faster sums"
    }

    private static let reserve = 16 << 20
}
