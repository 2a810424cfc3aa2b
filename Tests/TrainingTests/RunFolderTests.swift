import Foundation
import Recipes
import Support
import TestSupport
import Testing
import Training

/// Tests that a run's folder is created once and that nothing is overwritten.
@Suite struct RunFolderTests {
    private func create(_ path: String, dataPath: String = "/data") -> Failure? {
        caughtFailure { () throws(Failure) in
            try RunFolder(path).create(recipe: "# recipe\n", dataPath: dataPath, tokenizerFrom: nil)
        }
    }

    @Test(
        "a run's folder is created only once",
        arguments: ["run", "a/deep/er/run", "odd name; $HOME 'quoted' é", "-n", "run///"])
    func folderIsCreatedOnce(name: String) throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/\(name)"
        let run = RunFolder(path)
        #expect(!run.path.hasSuffix("/"))
        #expect(!run.holdsRun)
        #expect(create(path) == nil)
        #expect(run.holdsRun)
        #expect(try run.read(run.recipe) == "# recipe\n")
        let again = create(path)
        #expect(again?.code == .usage)
        #expect(again?.sentence.contains("already holds a run, which is never overwritten") == true)
        #expect(try run.read(run.recipe) == "# recipe\n")
    }

    @Test(
        "the folder stores the data path",
        arguments: ["/plain", "/with a space", "/with a\nline break", "/ends with a break\n"])
    func folderStoresTheDataPath(dataPath: String) throws {
        let folder = try TemporaryFolder()
        #expect(create("\(folder.path)/run", dataPath: dataPath) == nil)
        #expect(try RunFolder("\(folder.path)/run").readDataPath() == dataPath)
    }

    @Test("a folder with other files is refused")
    func folderWithOtherFilesIsRefused() throws {
        let folder = try TemporaryFolder()
        let precious = "\(folder.path)/thesis.txt"
        try Data("words".utf8).write(to: URL(filePath: precious))
        let failure = create(folder.path)
        #expect(failure?.code == .usage)
        #expect(failure?.sentence.contains("is not empty and holds no run") == true)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["thesis.txt"])
        // A file is not a folder.
        #expect(create(precious)?.code == .usage)
        #expect(try Data(contentsOf: URL(filePath: precious)) == Data("words".utf8))
        let below = create("\(precious)/run")
        #expect(below?.code == .inputOutput)
        #expect(below?.sentence.contains("\(precious)/run") == true)
        #expect(create("")?.code == .usage)
    }

    @Test("an empty folder is used, and nothing partial is left")
    func emptyFolderIsUsed() throws {
        let folder = try TemporaryFolder()
        #expect(create(folder.path) == nil)
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        #expect(Set(names) == ["recipe.toml", "data-path.txt"])
        #expect(!FileManager.default.fileExists(atPath: folder.path + ".partial"))
        // Existing files are kept, whatever their names.
        let foreign = "\(folder.path)/foreign"
        try FileManager.default.createDirectory(
            atPath: foreign, withIntermediateDirectories: true)
        try Data("mine".utf8).write(to: URL(filePath: "\(foreign)/tokenizer.json"))
        #expect(create(foreign)?.code == .usage)
        #expect(
            try Data(contentsOf: URL(filePath: "\(foreign)/tokenizer.json")) == Data("mine".utf8))
    }

    @Test("the remains of a killed start are named")
    func remainsOfAKilledStartAreNamed() throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/run"
        try FileManager.default.createDirectory(
            atPath: "\(path).partial", withIntermediateDirectories: true)
        let failure = create(path)
        #expect(failure?.code == .usage)
        #expect(failure?.sentence.contains("\(path).partial: is left by a start") == true)
        #expect(!RunFolder(path).holdsRun)
        try FileManager.default.removeItem(atPath: "\(path).partial")
        #expect(create(path) == nil)
    }

    @Test("a new recipe keeps the previous one, which names its replacement")
    func newRecipeKeepsThePreviousOne() throws {
        let folder = try TemporaryFolder()
        let recipes = [1, 2, 3].map { seed in
            var recipe = Recipe()
            recipe.training.seed = UInt64(seed)
            return recipe
        }
        let run = RunFolder(folder.path)
        try run.create(recipe: recipes[0].toml, dataPath: "/data", tokenizerFrom: nil)
        try run.replaceRecipe(with: recipes[0])
        #expect(!FileManager.default.fileExists(atPath: "\(folder.path)/recipe.superseded-1.toml"))
        #expect(try !run.wasReplaced(by: recipes[0]))
        try run.replaceRecipe(with: recipes[1])
        try run.replaceRecipe(with: recipes[2])
        #expect(try run.read(run.recipe) == recipes[2].toml)
        for (number, (previous, new)) in zip(recipes, recipes.dropFirst()).enumerated() {
            let kept = try run.read("\(folder.path)/recipe.superseded-\(number + 1).toml")
            #expect(
                kept.hasPrefix(previous.toml + "# Replaced by the recipe whose values have the "))
            #expect(try run.wasReplaced(by: new))
        }
        #expect(try !run.wasReplaced(by: recipes[0]))
    }

    @Test("a folder without a run is named")
    func folderWithoutARunIsNamed() throws {
        let folder = try TemporaryFolder()
        let run = RunFolder(folder.path)
        expectFailure(.missingInput, [folder.path, "holds no run"]) { () throws(Failure) in
            _ = try run.readDataPath()
        }
    }

    @Test("files are read completely or refused")
    func filesAreReadCompletelyOrRefused() throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/text"
        let text = String(repeating: "é\n", count: 100_000)
        try Data(text.utf8).write(to: URL(filePath: path))
        #expect(try readText(path) == text)
        try Data([0x61, 0xFF]).write(to: URL(filePath: path))
        expectFailure(.badData, [path, "not valid UTF-8"]) { () throws(Failure) in
            _ = try readText(path)
        }
        expectFailure(.missingInput, ["\(path).not", "cannot be opened"]) { () throws(Failure) in
            _ = try readText("\(path).not")
        }
        expectFailure(.missingInput, [folder.path, "is a folder"]) { () throws(Failure) in
            _ = try readText(folder.path)
        }
    }

    @Test("a changed optimizer is named before the keys that do not fit it")
    func changedOptimizerIsNamed() throws {
        let folder = try TemporaryFolder()
        let run = RunFolder("\(folder.path)/run")
        let muon = try recipe("[optimizer]\nname = \"muon\"").toml
        try run.create(recipe: muon, dataPath: "/data", tokenizerFrom: nil)
        let resumed = try ResumedRecipe(of: run)
        expectFailure(
            .configuration, "--set: [optimizer] name = \"adamw\": cannot change midway",
            "started with \"muon\""
        ) { _ = try resumed.recipe(given: nil, overrides: ["optimizer.name=adamw"]) }
        // Values that may change are checked.
        expectFailure(.configuration, "[training] steps = 0: must be") {
            _ = try resumed.recipe(given: nil, overrides: ["training.steps=0"])
        }
        let longer = try resumed.recipe(given: nil, overrides: ["training.steps=2000"])
        #expect(longer.training.steps == 2000 && longer.optimizer.name == .muon)
    }

    @Test("a model in Hugging Face's layout is evaluated only on text or questions")
    func modelWithoutTextIsRefused() throws {
        let folder = try TemporaryFolder()
        try RunFolder(folder.path).refuseModelWithoutText()
        try folder.write("config.json", "{}")
        expectFailure(
            .usage, folder.path, "in Hugging Face's layout",
            "add --text FILE or --multiple-choice FILE"
        ) { try RunFolder(folder.path).refuseModelWithoutText() }
        let run = RunFolder("\(folder.path)/run")
        try run.create(recipe: "", dataPath: "/data", tokenizerFrom: nil)
        try folder.write("run/config.json", "{}")
        try run.refuseModelWithoutText()
    }
}
