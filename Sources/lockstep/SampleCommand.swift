import ArgumentParser
import Model
import Support
import Training

struct SampleCommand: OneProcessCommand {
    static let configuration = CommandConfiguration(
        commandName: "sample",
        abstract: "Generates text with a trained model.",
        discussion: """
            Examples:
              lockstep sample runs/book --prompt "In the beginning"
              lockstep sample runs/book --tokens 500 --temperature 0.7 --top-k 40 --seed 7
              lockstep sample runs/book --temperature 0        # always the likeliest token

            The same seed and options give the same text. When the context is full, the
            model reads its newer half again from the first position and forgets the older
            half. A prompt longer than the context is read in the same way, so only its end
            has an effect.
            """)

    @Argument(help: ArgumentHelp("The run's folder.", valueName: "run"), completion: .directory)
    var folder: String

    @Option(parsing: .unconditional, help: "The text to continue.")
    var prompt = ""

    @Option(parsing: .unconditional, help: "The number of tokens to generate.")
    var tokens = 256

    @Option(
        parsing: .unconditional,
        help: "The number of texts to generate, each with its own random numbers.")
    var samples = 1

    @Option(
        parsing: .unconditional,
        help: "The divisor of the logits; below 1 is more cautious, 0 is greedy.")
    var temperature = Sampling.usual.temperature

    @Option(parsing: .unconditional, help: "Choose among this many likeliest tokens; 0 for all.")
    var topK = 0

    @Option(
        parsing: .unconditional,
        help: "Choose among the likeliest tokens of this total probability.")
    var topP = 1.0

    @Option(parsing: .unconditional, help: "The seed of the random choices.")
    var seed: UInt64 = 1337

    @Option(
        parsing: .unconditional,
        help: "A step, or best for the lowest validation loss (default: the newest checkpoint).")
    var checkpoint: String?

    @OptionGroup var threads: ThreadsOption

    func run() throws {
        for (name, value, usual) in [("--tokens", tokens, 256), ("--samples", samples, 1)]
        where value < 1 {
            throw Failure.option(name, value, "must be at least 1", remedy: "try \(usual)")
        }
        var sampling = Sampling()
        sampling.temperature = temperature
        sampling.topK = topK
        sampling.topP = topP
        sampling.seed = seed
        try sampling.validate()
        let inspection = try RunInspection(run: folder, try CheckpointChoice(checkpoint))
        try inspection.generate(
            prompt: prompt, tokens: tokens, samples: samples, sampling: sampling,
            threads: try threads.count()
        ) { (bytes) throws(Failure) in
            if try !StandardOutput.write(bytes) { Self.exit() }
        }
    }
}
