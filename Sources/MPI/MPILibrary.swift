import FoundationEssentials
import Glibc

/// The files of the MPI library that this process uses.
enum MPILibrary {
    /// The path of the MPI library; nil if it is part of the program.
    private static var library: String? {
        guard let maps = fopen("/proc/self/maps", "r") else { return nil }
        defer { fclose(maps) }
        var bytes = [CChar](repeating: 0, count: 8192)
        while fgets(&bytes, Int32(bytes.count), maps) != nil {
            let line = string(from: bytes, length: Int32(bytes.count)).prefix { $0 != "\n" }
            if line.contains("/libmpi.so"), let start = line.firstIndex(of: "/") {
                return String(line[start...])
            }
        }
        return nil
    }

    /// The files of Open MPI's components for process managers; empty if the library contains them.
    static var processManagerComponents: [String] {
        guard let library else { return [] }
        let folder = URL(filePath: library).deletingLastPathComponent()
        // The last of these is Debian's folder.
        return ["openmpi", "openmpi3", "openmpi/lib/openmpi3"].flatMap { name in
            let names = try? FileManager.default.contentsOfDirectory(
                atPath: folder.appending(path: name).path)
            return (names ?? []).filter { $0.hasPrefix("mca_pmix_") }
        }
    }
}
