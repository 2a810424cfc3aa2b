import ArgumentParser
import MPI
import Support
import Training

struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Examines the machines that a run would use.",
        discussion: """
            Examples:
              lockstep doctor
              launch/mpirun --ranks 2 -- lockstep doctor --out runs/book
              launch/mpirun --hosts cluster/hostfiles/two-nodes -- lockstep doctor
              launch/mpirun --ranks 2 -- lockstep doctor --json

            Prints versions, ranks, hosts, cores and binding, and warns of anything that
            would make a run slow or fail. Warnings do not change the exit code.
            """)

    @Option(help: "A run's folder, whose file system is examined too.", completion: .directory)
    var out: String?

    @Flag(help: "Print one line of JSON.")
    var json = false

    @OptionGroup var threads: ThreadsOption

    func run() throws {
        try Job.run(threads, onStop: .systemDefault) { (job) throws(Failure) in
            let ranks = try MachineFacts.gather(
                threads: job.threads, communicator: job.communicator)
            guard job.isFirstRank else { return .finished([]) }
            let threadLevel = "\(job.threadLevel)"
            guard !json else {
                let report = Doctor.report(ranks, threadLevel: threadLevel, runFolder: out)
                return .finished([report.text])
            }
            let findings = Doctor.findings(
                ranks, threadLevel: threadLevel, launched: MPIEnvironment.hasLauncher,
                runFolder: out)
            let width = findings.map(\.name.count).max() ?? 0
            let lines = findings.map { name, text in
                "\(name)\(String(repeating: " ", count: width - name.count))  \(text)"
            }
            let warnings = Doctor.warnings(ranks, runFolder: out).map { "warning: \($0)" }
            return .finished(lines + (warnings.isEmpty ? ["No warnings."] : warnings))
        }
    }
}
