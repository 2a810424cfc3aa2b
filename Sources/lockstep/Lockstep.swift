import ArgumentParser
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
            DoctorCommand.self,
        ])
}
