import ArgumentParser
import Support
import Training

struct ExportCommand: OneProcessCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Writes a run's model as a folder for Hugging Face's Transformers.",
        discussion: """
            Examples:
              lockstep export runs/book --to models/book
              lockstep export runs/book --to models/book-best --checkpoint best

            The folder has config.json, generation_config.json, model.safetensors and the
            tokenizer. GPT2LMHeadModel, AutoTokenizer and the text-generation pipeline of
            Transformers load it, and so does `lockstep train --init-from`. The parameters
            have the bytes of the checkpoint.
            """)

    @Argument(help: ArgumentHelp("The run's folder.", valueName: "run"), completion: .directory)
    var folder: String

    @Option(help: "A new folder for the model.", completion: .directory)
    var to: String

    @Option(
        parsing: .unconditional,
        help: "A step, or best for the lowest validation loss (default: the newest checkpoint).")
    var checkpoint: String?

    @Flag(help: "Omit the rows of the token embedding after those of the tokenizer's tokens.")
    var dropPadding = false

    func run() throws {
        let export = try ModelExport(run: folder, try CheckpointChoice(checkpoint))
        for line in try export.write(to: to, dropsPadding: dropPadding) {
            try StandardOutput.write(line: line)
        }
    }
}
