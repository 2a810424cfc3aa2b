import Glibc

/// The file system in which Open MPI keeps the memory that a node's ranks share.
///
/// Containers often give it 64 MB, and a page too many is a SIGBUS, not an error.
package struct SharedMemorySpace: Sendable {
    /// The folder: `osc_sm_backing_directory`, else /dev/shm.
    package let folder: String
    /// Bytes that are free in it; nil where it cannot be asked.
    package let freeBytes: Int?

    /// Looks at a folder; nil for the one that Open MPI uses.
    package init(folder given: String? = nil) {
        let setting = getenv("OMPI_MCA_osc_sm_backing_directory").map { String(cString: $0) }
        folder = given ?? setting ?? "/dev/shm"
        var status = statvfs()
        freeBytes = statvfs(folder, &status) == 0 ? Int(status.f_bavail * status.f_frsize) : nil
    }

    /// Why so many bytes do not fit, with the remedy; nil where they do.
    ///
    /// Some space is left to what else lives there, Open MPI's own messages among it.
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
