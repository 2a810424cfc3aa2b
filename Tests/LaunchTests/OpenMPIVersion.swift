import TestSupport

extension Launch {
    /// The major version of the Open MPI whose mpirun is first in PATH; nil if there is none.
    static let openMPIVersion: Int? = {
        let text = (try? run("mpirun", ["--version"]).output) ?? ""
        return text.firstMatch(of: /Open MPI\) ([0-9]+)\./).flatMap { Int($0.1) }
    }()
}
