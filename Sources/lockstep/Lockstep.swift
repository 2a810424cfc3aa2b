import ArgumentParser
import Support
import Training

/// A command that runs in one process. Under mpirun only rank 0 does its work.
protocol OneProcessCommand: ParsableCommand {}

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
            TokenizeCommand.self, RecipesCommand.self, TrainCommand.self, WatchCommand.self,
            EvaluateCommand.self, SampleCommand.self, ExportCommand.self, FindLRCommand.self,
            CoordinatesCommand.self, BranchCommand.self, SweepCommand.self, AnalyzeCommand.self,
            LandscapeCommand.self, RegimesCommand.self, ReportCommand.self, PlanCommand.self,
            DoctorCommand.self, BenchCommand.self,
        ])

    static var commandNames: [String] {
        configuration.subcommands.compactMap { $0.configuration.commandName }
    }

    /// Returns the command's name if it runs in one process, or nil if all ranks take part.
    static func nameIfForOneProcess(_ command: any ParsableCommand) -> String? {
        command is any OneProcessCommand ? type(of: command).configuration.commandName : nil
    }

    /// Checks that the first argument is a command, unless it is an option.
    ///
    /// - Throws: `Failure` (usage) that suggests the nearest command.
    static func checkCommand(_ name: String?) throws(Failure) {
        let names = commandNames + ["help"]
        guard let name, !name.hasPrefix("-"), !names.contains(name) else { return }
        throw .about(
            .usage, "\"\(name)\"", "is not a command",
            remedy: spellingRemedy(
                for: name, among: names, otherwise: "use one of \(names.joined(separator: ", "))"))
    }

    /// Returns the failure for an error of the parser, from the parser's message.
    ///
    /// - Parameter command: the name of the command, or nil if there is none.
    static func failure(_ message: String, of command: String?) -> Failure {
        let help = "lockstep \(command.map { "\($0) " } ?? "")--help"
        let remedy = "see \(help)"
        if let match = message.wholeMatch(of: /Missing expected argument '(\S+?)(?: .*)?'/) {
            return .missing(String(match.1), remedy: remedy)
        }
        if let match = message.wholeMatch(of: /Missing value for '(\S+?)(?: .*)?'/) {
            return .option(String(match.1), "has no value", remedy: remedy)
        }
        if let match = message.wholeMatch(of: /The value '(.*)' is invalid for '(\S+?)(?: .*)?'.*/)
        {
            return .option(
                String(match.2), String(match.1), "is not a valid value", remedy: remedy)
        }
        if let match = message.wholeMatch(
            of: /Unknown option '(\S+)'(?:\. Did you mean '(\S+)'\?)?/)
        {
            return .option(
                String(match.1), "is not an option",
                remedy: match.2.map { "did you mean \"\($0)\"?" } ?? remedy)
        }
        // The parser's other messages are sentences without a full stop, or questions.
        return Failure(.usage, "\(message)\(message.hasSuffix("?") ? " See" : "; see") \(help).")
    }
}
