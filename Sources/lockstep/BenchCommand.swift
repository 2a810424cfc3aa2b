import ArgumentParser

struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measures the speed of training, and how often verdicts are right.",
        discussion: """
            Examples:
              launch/mpirun -- lockstep bench step --size gpt2-124m
              launch/mpirun --ranks 1 --threads 2 -- lockstep bench step --size baby --json
              launch/mpirun -- lockstep bench kernels --size baby
              launch/mpirun -- lockstep bench allreduce
              lockstep bench layouts recipe.toml
              lockstep bench verdicts
            """,
        subcommands: [
            BenchStepCommand.self, BenchKernelsCommand.self, BenchAllreduceCommand.self,
            BenchLayoutsCommand.self,
            BenchVerdictsCommand.self,
        ])
}
