import ArgumentParser
import MPI
import Support
import Training

/// `lockstep doctor`
struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Examines the machines that a run would use.",
        discussion: """
            Examples:
              lockstep doctor
              launch/mpirun --ranks 2 -- lockstep doctor --out runs/book
              launch/mpirun --hosts cluster/hostfiles/two-nodes -- lockstep doctor

            Prints versions, ranks, hosts, cores and binding, and warns of what would
            make a run slow or fail. Warnings do not change the exit code.
            """)

    @Option(name: .long, help: "A run's folder, to examine its file system.")
    var out: String?

    @OptionGroup var threads: ThreadsOption

    func run() throws {
        let threadCount = try threads.count()
        let launched = MPIEnvironment.hasLauncher
        try runOnAllRanks { (world, threadLevel) throws(Failure) in
            let ranks = try MachineFacts.gather(threads: threadCount, communicator: world)
            guard world.rank == 0 else { return 0 }
            let findings = Doctor.findings(
                ranks, threadLevel: "\(threadLevel)", launched: launched, runFolder: out)
            let width = findings.map(\.name.count).max() ?? 0
            for (name, text) in findings {
                let gap = String(repeating: " ", count: width - name.count)
                try StandardOutput.write(line: "\(name)\(gap)  \(text)")
            }
            let warnings = Doctor.warnings(ranks, runFolder: out)
            for warning in warnings { try StandardOutput.write(line: "warning: \(warning)") }
            if warnings.isEmpty { try StandardOutput.write(line: "No warnings.") }
            return 0
        }
    }
}
