import ArgumentParser
import Model
import Recipes
import Report
import Support

struct RecipesCommand: OneProcessCommand {
    static let configuration = CommandConfiguration(
        commandName: "recipes",
        abstract: "Lists recipes with published settings, or prints one.",
        discussion: """
            Examples:
              lockstep recipes
              lockstep recipes gpt3-125m >recipe.toml

            The table states the model's parameters with GPT-2's vocabulary (73 tokens for
            characters), its layers and width, and the batch in tokens. The typical rates are a rough guide for
            Adam and AdamW at the model's size.
            """)

    @Argument(help: "The recipe to print as TOML (default: list all).")
    var name: String?

    func run() throws {
        if let name {
            return try StandardOutput.write(line: String(Preset.named(name).toml.dropLast()))
        }
        var table = TextTable(
            ["name", "parameters", "layers", "width", "batch", "rate", "typical rates"],
            leftColumns: 1)
        for preset in Preset.all {
            var model = preset.recipe.model
            model.vocabularySize = preset.vocabularySize
            let batch = preset.recipe.training.globalBatch * model.contextLength
            let typical = TypicalRates.range(parameters: Double(model.parameterCount))
            table.add([
                preset.name, NumberStyle.count.text(Double(model.parameterCount)),
                "\(model.layers)", "\(model.width)", NumberStyle.count.text(Double(batch)),
                NumberStyle.scientific.text(preset.recipe.optimizer.learningRate),
                "\(NumberStyle.scientific.text(typical.lowerBound)) to "
                    + NumberStyle.scientific.text(typical.upperBound),
            ])
        }
        for line in table.lines { try StandardOutput.write(line: line) }
    }
}
