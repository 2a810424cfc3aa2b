import ArgumentParser
import Support
import Training

/// The root of the command line.
struct Lockstep: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lockstep",
        abstract: "Trains GPT models data-parallel over MPI, on CPUs.",
        discussion: """
            A first run:
              lockstep tokenize book.txt --out data/book
              launch/mpirun -- lockstep train launch/recipes/quickstart.toml \\
                  --data data/book --out runs/book
              lockstep sample runs/book --prompt "In the beginning"
            """,
        version: "lockstep \(version)",
        subcommands: [
            TokenizeCommand.self, TrainCommand.self, EvaluateCommand.self, SampleCommand.self,
            FindLRCommand.self, CoordinatesCommand.self, BranchCommand.self, SweepCommand.self,
            AnalyzeCommand.self,
            LandscapeCommand.self,
            RegimesCommand.self, ReportCommand.self, DoctorCommand.self, BenchCommand.self,
        ])

    static var commandNames: [String] {
        configuration.subcommands.compactMap { $0.configuration.commandName }
    }

    /// Returns the command's name if it runs in one process, or nil if all ranks take part.
    static func nameIfForOneProcess(_ command: any ParsableCommand) -> String? {
        switch command {
        case is TokenizeCommand, is SampleCommand, is AnalyzeCommand, is ReportCommand,
            is BenchVerdictsCommand:
            type(of: command).configuration.commandName
        default: nil
        }
    }

    /// Checks that the first argument is a command, unless it is an option.
    ///
    /// - Throws: `Failure` (usage) that suggests the nearest command.
    static func checkCommand(_ name: String?) throws(Failure) {
        let names = commandNames + ["help"]
        guard let name, !name.hasPrefix("-"), !names.contains(name) else { return }
        let remedy =
            nearestName(to: name, among: names).map { "did you mean \"\($0)\"?" }
            ?? "the commands are \(names.joined(separator: ", "))."
        throw Failure(.usage, "There is no command \"\(name)\"; \(remedy)")
    }
}
