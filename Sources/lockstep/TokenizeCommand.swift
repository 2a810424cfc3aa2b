import ArgumentParser
import DataLoading
import Failures
import MPI
import Telemetry
import Training

/// `lockstep tokenize`
struct TokenizeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokenize",
        abstract: "Turns text into token files that training reads.",
        discussion: """
            Examples:
              lockstep tokenize book.txt --out data/book
              lockstep tokenize *.txt --tokenizer gpt2 --vocabulary gpt2/ --out data/texts
              zcat corpus.gz | lockstep tokenize - --tokenizer bytes --out data/corpus
              lockstep tokenize other.txt --like runs/book --out data/other

            The first 90 % of the text are for training, the rest for validation.
            GPT-2's vocabulary is a folder with vocab.json and merges.txt, or with
            encoder.json and vocab.bpe. Token files have llm.c's format.
            """)

    @Argument(help: "Text files, read one after another; - for standard input.")
    var text: [String]

    @Option(name: .long, help: "The data folder, which is made.")
    var out: String

    @Option(name: .long, help: "characters, bytes or gpt2.")
    var tokenizer: String?

    @Option(name: .long, help: "The folder of GPT-2's vocabulary.")
    var vocabulary: String?

    @Option(name: .long, help: "Use the tokenizer of this data folder or run.")
    var like: String?

    @Option(
        name: .long, parsing: .unconditional,
        help: "The share of the text, from its end, for validation.")
    var validationFraction = 0.1

    @Option(
        name: .long, parsing: .unconditional,
        help: "Split the token files into shards of this many tokens.")
    var shardTokens: Int?

    @Flag(name: .long, help: "Put <|endoftext|> before every text (gpt2).")
    var separateDocuments = false

    func run() throws {
        // Several ranks would write one folder.
        guard MPIEnvironment.launchedRank == 0 else { return }
        var options = TokenizeOptions(inputs: text, output: out, tokenizer: try choice())
        options.validationFraction = validationFraction
        options.shardTokens = shardTokens
        options.separatesDocuments = separateDocuments
        StandardError.shared.write(
            line: "lockstep: tokenizing \(text.joined(separator: ", ")) into \(out)")
        let statistics = try tokenizeShowingProgress(options)
        try report(statistics)
    }

    private func choice() throws(Failure) -> TokenizerChoice {
        if let like {
            guard tokenizer == nil, vocabulary == nil else {
                throw Failure(
                    .usage,
                    "--like already says which tokenizer: leave out --tokenizer and --vocabulary.")
            }
            return .existing(folder: like)
        }
        let name = tokenizer ?? (vocabulary == nil ? "characters" : "gpt2")
        guard name == "gpt2" || vocabulary == nil else {
            throw Failure(
                .usage, "--vocabulary does nothing with --tokenizer \(name): leave it out.")
        }
        switch name {
        case "characters": return .characters
        case "bytes": return .bytes
        case "gpt2":
            guard let vocabulary else {
                throw Failure(
                    .usage,
                    "--tokenizer gpt2 needs GPT-2's vocabulary: add --vocabulary with the folder of "
                        + "its vocab.json and merges.txt.")
            }
            return .bytePairs(folder: vocabulary)
        default:
            let names = ["characters", "bytes", "gpt2"]
            let nearest = nearestName(to: name, among: names).map { ": did you mean \($0)?" }
            throw Failure(
                .usage,
                "--tokenizer \(name) is not characters, bytes or gpt2\(nearest ?? ".")")
        }
    }

    private func tokenizeShowingProgress(
        _ options: TokenizeOptions
    ) throws(Failure) -> TokenizeStatistics {
        let mode = try progressMode()
        var lines: [TokenizeProgress.Phase: ProgressLine] = [:]
        defer { for line in lines.values { line.finish() } }
        return try tokenize(options) { progress in
            // Of standard input nobody knows how long it will be.
            guard let total = progress.totalBytes else { return }
            let line =
                lines[progress.phase]
                ?? ProgressLine(
                    progress.phase.rawValue, total: total, unit: .bytes, mode: mode,
                    environment: processEnvironment())
            lines[progress.phase] = line
            line.update(done: progress.bytes)
            if progress.bytes == total { line.finish() }
        }
    }

    private func report(_ statistics: TokenizeStatistics) throws(Failure) {
        let rate = Double(statistics.bytes) / max(statistics.seconds, 1e-9)
        try StandardOutput.write(
            line: "\(Format.count(statistics.trainTokens)) training and "
                + "\(Format.count(statistics.validationTokens)) validation tokens, vocabulary "
                + "\(Format.count(statistics.vocabularySize)), from "
                + "\(Format.bytes(statistics.bytes)) in \(Format.duration(statistics.seconds)) "
                + "(\(Format.bytes(Int(rate)))/s), in \(out)")
        if let loss = statistics.bigramLoss {
            try StandardOutput.write(
                line:
                    "a bigram model's validation loss is \(Format.fixed(loss, decimals: 4)) nats a token: "
                    + "a GPT has to beat it")
        }
    }
}
