import ArgumentParser
import Compute
import Data
import Logging
import Support
import Telemetry
import Training

struct TokenizeCommand: OneProcessCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokenize",
        abstract: "Turns text into token files for training.",
        discussion: """
            Examples:
              lockstep tokenize book.txt --out data/book
              lockstep tokenize *.txt --tokenizer gpt2 --vocabulary gpt2/ --out data/texts
              zcat corpus.gz | lockstep tokenize - --tokenizer bytes --out data/corpus
              lockstep tokenize web-*.jsonl.zst --field content --tokenizer gpt2 \\
                  --vocabulary gpt2/ --validation held-out.jsonl --out data/web
              lockstep tokenize web-*.jsonl.zst --field content --tokenizer gpt2 \\
                  --vocabulary gpt2/ --validation held-out.jsonl --out data/web --resume
              lockstep tokenize other.txt --like runs/book --out data/other
              lockstep tokenize book.txt --tokenizer qwen/tokenizer.json --out data/qwen
              lockstep tokenize corpus.txt --train-bpe 8192 --out data/corpus
              lockstep tokenize stories.txt --tokenizer gpt2 --vocabulary gpt2/ \\
                  --separator '<|endoftext|>' --out data/stories

            Files are text or JSON lines, also compressed with gzip or Zstandard. Files
            whose names end in .jsonl or .ndjson (or .jsonl.gz, .jsonl.zst) have JSON lines;
            with --field, all files have them. Each line is an object with a document's
            text. Documents begin with the end-of-text token, or end with a line feed if the
            tokenizer has none. Parquet files must be converted to JSON lines first.

            The first 90 % of the text is for training, the rest for validation, unless
            --validation gives the files of the validation set.
            GPT-2's vocabulary is a folder with vocab.json and merges.txt, with
            encoder.json and vocab.bpe, or with a tokenizer.json of the GPT-2 family.
            Token files have llm.c's format.

            --tokenizer also takes Hugging Face's tokenizer.json, or a folder with one: a
            byte-level BPE with the pattern of GPT-2, Llama 3 or Qwen 2. The ids are
            those that the Tokenizers library gives without the tokens that it adds at
            the ends of a text. Text that spells a special token is encoded as text.

            --train-bpe learns byte pairs from the training part of the text: 256 bytes,
            the merges, and <|endoftext|>, N tokens in all, or fewer if no pair is left.
            The merges are those that the Tokenizers library learns, on any number of
            threads.

            Every byte of the text is kept, including CR LF line endings, unless
            --universal-newlines is given. nanoGPT reads them as LF. A separator can be
            any text, such as $'\\n---\\n' in bash; the white space around it is kept. The
            model learns to end a document there, and sampling stops at that token.

            Longer work is saved every 10 seconds in OUT.partial, and when SIGINT or SIGTERM
            stops it. The same command with --resume continues it. The data folder appears
            only when it is complete.
            """)

    @Argument(
        help: "The files, read one after another; - for standard input.", completion: .file())
    var text: [String]

    @Option(help: "A new data folder.", completion: .directory)
    var out: String

    @Option(help: "The tokenizer: characters, bytes, gpt2, or the path of a tokenizer.json.")
    var tokenizer: String?

    @Option(help: "The folder of GPT-2's vocabulary.", completion: .directory)
    var vocabulary: String?

    @Option(help: "Use the tokenizer of this data folder or run.", completion: .directory)
    var like: String?

    @Option(
        parsing: .unconditional,
        help: "Learn a vocabulary of this many byte-pair tokens from the text.")
    var trainBpe: Int?

    @Option(help: "The pattern of words for --train-bpe: gpt2 (default), llama3 or qwen2.")
    var pattern: String?

    @Option(
        parsing: .unconditional,
        help: "The number of threads, which does not change the result (default: one per core).")
    var threads: Int?

    @Option(help: "The key of the text in JSON lines (default: text).")
    var field: String?

    @Option(
        parsing: .upToNextOption, help: "The files of the validation set.", completion: .file())
    var validation: [String] = []

    @Option(
        parsing: .unconditional,
        help: "The share of the text, at its end, for validation (default: 0.1).")
    var validationFraction: Double?

    @Option(parsing: .unconditional, help: "Split the token files into shards of this many tokens.")
    var shardTokens: Int?

    @Flag(help: "Put the end-of-text token before every text file (byte pairs).")
    var separateDocuments = false

    @Option(
        parsing: .unconditional,
        help: "Replace each occurrence of this text with the end-of-text token (byte pairs).")
    var separator: String?

    @Flag(help: "Read the line endings CR LF and CR as LF, as nanoGPT does.")
    var universalNewlines = false

    @Flag(help: "Continue the interrupted tokenization into --out.")
    var resume = false

    func run() throws {
        var options = TokenizeOptions(inputs: text, output: out, tokenizer: try choice())
        options.validationInputs = validation
        if let validationFraction {
            guard validation.isEmpty else {
                throw Failure.option(
                    "--validation-fraction", validationFraction,
                    "does nothing with --validation", remedy: "leave out one of the two")
            }
            options.validationFraction = validationFraction
        }
        options.field = field
        options.hasUniversalNewlines = universalNewlines
        options.threads = threads ?? max(1, CoreBinding.cores.count)
        options.resumes = resume
        options.stopRequested = { StopSignals.stopRequested }
        options.shardTokens = shardTokens
        options.separatesDocuments = separateDocuments
        options.separator = separator
        StopSignals.listenForTermination(once: false)
        do {
            try report(try tokenizeShowingProgress(options))
        } catch {
            if let partial = interruptedTokenization(options) {
                Logger(label: "lockstep").notice(
                    "the finished part is kept in \(partial), and --resume continues it.")
            }
            throw error
        }
    }

    private func choice() throws(Failure) -> TokenizerChoice {
        if let trainBpe { return .trained(try training(size: trainBpe)) }
        guard pattern == nil else {
            throw Failure.option(
                "--pattern", "does nothing without --train-bpe", remedy: "leave it out")
        }
        if let like {
            guard tokenizer == nil, vocabulary == nil else {
                throw Failure.option(
                    "--like", like, "already chooses the tokenizer",
                    remedy: "leave out --tokenizer and --vocabulary")
            }
            return .existing(folder: like)
        }
        let name = tokenizer ?? (vocabulary == nil ? "characters" : "gpt2")
        guard name == "gpt2" || vocabulary == nil else {
            throw Failure.option(
                "--vocabulary", "does nothing with --tokenizer \(name)", remedy: "leave it out")
        }
        switch name {
        case "characters": return .characters
        case "bytes": return .bytes
        case "gpt2":
            guard let vocabulary else {
                throw Failure.option(
                    "--tokenizer", "gpt2", "needs GPT-2's vocabulary",
                    remedy: "add --vocabulary with the folder of its vocab.json and merges.txt")
            }
            return .bytePairs(folder: vocabulary)
        case _ where name.contains("/") || name.hasSuffix(".json") || FileSystem.exists(name):
            return .file(name)
        default:
            let names = ["characters", "bytes", "gpt2"]
            throw Failure.option(
                "--tokenizer", name, "must be one of \(Format.list(names)), or a tokenizer.json",
                remedy: spellingRemedy(for: name, among: names, otherwise: "give one of them"))
        }
    }

    private func training(size: Int) throws(Failure) -> BytePairTraining {
        for (option, isGiven) in [
            ("--like", like != nil), ("--tokenizer", tokenizer != nil),
            ("--vocabulary", vocabulary != nil),
        ] where isGiven {
            throw Failure.option(
                "--train-bpe", size, "learns a new tokenizer, but \(option) chooses one",
                remedy: "leave out one of the two")
        }
        let name = pattern ?? SplitPattern.gpt2.rawValue
        guard let chosen = SplitPattern(rawValue: name) else {
            let names = SplitPattern.allCases.map(\.rawValue)
            throw Failure.option(
                "--pattern", name, "must be one of \(Format.list(names))",
                remedy: spellingRemedy(for: name, among: names, otherwise: "give one of them"))
        }
        return BytePairTraining(vocabularySize: size, pattern: chosen)
    }

    private func tokenizeShowingProgress(
        _ options: TokenizeOptions
    ) throws(Failure) -> TokenizeStatistics {
        let mode = try progressMode()
        var announcement: String? =
            "lockstep: tokenizing \(text.joined(separator: ", ")) into \(out)"
        /// Announces the work once. Most mistakes are found earlier, so they are reported alone.
        func announce() {
            if let line = announcement { StandardError.shared.write(line: line) }
            announcement = nil
        }
        var lines: [TokenizeProgress.Phase: ProgressLine] = [:]
        defer { for line in lines.values { line.finish() } }
        return try tokenize(options) { progress in
            if progress.phase != .reading || progress.done >= options.chunkBytes { announce() }
            // The length of standard input is unknown.
            guard let total = progress.total else { return }
            let line =
                lines[progress.phase]
                ?? ProgressLine(
                    progress.phase.rawValue, total: total,
                    unit: progress.phase == .merging
                        ? .things("merges", showsRate: true) : .bytes, mode: mode,
                    environment: processEnvironment())
            lines[progress.phase] = line
            line.update(done: progress.done)
            if progress.done == total { line.finish() }
        } found: { finding in
            announce()
            Logger(label: "lockstep").warning("\(warning(of: finding))")
        }
    }

    /// Returns the warning for a finding, with the remedy.
    private func warning(of finding: TextFinding) -> String {
        switch finding {
        case .spelledEndOfText(let name, let count):
            let remedy =
                separator == nil
                ? "add --separator \(shellQuoted(name)) to turn each into the end-of-text token"
                : "only the text of --separator becomes the end-of-text token"
            return
                "the text contains \(name) \(Format.counted(count, "time")), encoded as plain "
                + "text; "
                + "\(remedy)."
        case .missingSeparator(let separator):
            return
                "the text does not contain the separator \(shellQuoted(separator)), so no "
                + "document ends; "
                + "check --separator."
        case .carriageReturns(let beforeLineFeed, let alone):
            let (count, kind) =
                beforeLineFeed > 0 ? (beforeLineFeed, "CR LF") : (alone, "CR")
            return
                "the text has \(Format.counted(count, "\(kind) line ending")), whose CR is kept "
                + "as a character; add --universal-newlines to read them as LF, as nanoGPT does."
        }
    }

    private func report(_ statistics: TokenizeStatistics) throws(Failure) {
        let data = statistics.description
        let rate = Double(data.bytes) / max(statistics.seconds, 1e-9)
        try StandardOutput.write(
            line: "\(Format.count(data.train.tokens)) training and "
                + "\(Format.count(data.validation.tokens)) validation tokens, vocabulary "
                + "\(Format.count(data.tokenizer.vocabularySize)), from "
                + "\(Format.bytes(data.bytes)) in \(Format.duration(statistics.seconds)) "
                + "(\(Format.bytes(Int(rate)))/s), in \(out)")
        if let loss = statistics.bigramLoss {
            try StandardOutput.write(
                line:
                    "a bigram model's validation loss is \(Format.fixed(loss, decimals: 4)) nats "
                    + "per token: "
                    + "a GPT has to beat it")
        }
    }
}
