// The readers of files from others. `Tests/Fuzzing/run` fuzzes them, and `SeedTests` gives them damaged seeds.

import Checkpoints
import Compute
import Data
import Glibc
import Model
import Recipes
import Support
import Sweeps

/// The readers by name. A `Failure` or a `JSONProblem` is a good end; a crash, a hang or memory
/// without a bound is not.
let readers: [String: @Sendable (Input) throws -> Void] = [
    "safetensors": readSafetensors,
    "tokens": readTokens,
    "tokenizer": readTokenizer,
    "vocabulary": readVocabulary,
    "dataset": readDataset,
    "manifest": readManifest,
    "recipe": readRecipe,
    "formula": readFormula,
    "specification": readSpecification,
    "ledger": readLedger,
    "runs": readRuns,
    "model": readModel,
    "questions": readQuestions,
]

/// The bytes to read, and a folder for files with them.
struct Input {
    let bytes: UnsafeRawBufferPointer
    let folder: String
    var text: String { String(decoding: bytes, as: UTF8.self) }

    /// Writes a file with some bytes, by default all of them; returns its path.
    func file(_ name: String, _ bytes: UnsafeRawBufferPointer? = nil) -> String {
        let path = "\(folder)/\(name)"
        let bytes = bytes ?? self.bytes
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        precondition(write(descriptor, bytes.baseAddress, bytes.count) == bytes.count)
        close(descriptor)
        return path
    }

    /// The parts before and after the first byte 0.
    var halves: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) {
        let middle = bytes.firstIndex(of: 0) ?? bytes.count
        return (
            UnsafeRawBufferPointer(rebasing: bytes[..<middle]),
            UnsafeRawBufferPointer(rebasing: bytes[min(middle + 1, bytes.count)...])
        )
    }
}

private func readSafetensors(_ input: Input) throws {
    let file = try SafetensorsFile(opening: input.file("a.safetensors"))
    try file.requireFinite()
    var sum = 0
    for tensor in file.tensors {
        precondition(file[tensor.name] != nil)
        try file.withBytes(of: tensor) { bytes in for byte in bytes { sum &+= Int(byte) } }
        guard tensor.type == .float32 else { continue }
        let copy = Buffer<Float>(count: max(1, tensor.range.count / 4))
        try file.copy(tensor.name, shape: tensor.shape, into: copy.base)
    }
}

private func readTokens(_ input: Input) throws {
    let dataset = try TokenDataset(files: [input.file("train.bin"), input.file("train.bin")])
    try? dataset.validate(vocabularySize: 300)
    _ = try dataset.fingerprint
    let copy = Buffer<Int32>(count: dataset.tokenCount)
    try dataset.copy(from: 0, count: dataset.tokenCount, into: copy.base)
    try dataset.bounded(by: 300).copy(from: dataset.tokenCount / 2, count: 1, into: copy.base)
}

private let sample =
    "In the beginning, God\u{2019}s  12 words:\n\tcreated\u{1F600} <|endoftext|>\r\n"

private func readTokenizer(_ input: Input) throws {
    _ = input.file("tokenizer.json")
    let tokenizer = try loadTokenizer(folder: input.folder)
    try exercise(tokenizer)
    // What it saves must be what it read.
    _ = Array(tokenizer.savedForm.utf8).withUnsafeBytes { input.file("tokenizer.json", $0) }
    let again = try loadTokenizer(folder: input.folder)
    precondition(again.fingerprint == tokenizer.fingerprint)
}

private func readVocabulary(_ input: Input) throws {
    _ = input.file("vocab.json", input.halves.0)
    _ = input.file("merges.txt", input.halves.1)
    try exercise(BytePairTokenizer(folder: input.folder))
}

private func exercise(_ tokenizer: any Tokenizer) throws {
    _ = tokenizer.bytes(of: .max)
    _ = try tokenizer.decode(Array(0..<UInt32(tokenizer.vocabularySize)))
    guard let ids = try? tokenizer.encodeWithSpecialTokens(sample, source: "the text") else {
        return
    }
    precondition(ids.allSatisfy { $0 < tokenizer.vocabularySize })
    guard let ids = try? tokenizer.encode(sample) else { return }
    let decoded = try tokenizer.decode(ids)
    precondition(decoded == Array(sample.utf8))
}

private func readDataset(_ input: Input) throws {
    _ = input.file(DatasetDescription.fileName)
    let description = try DatasetDescription.load(folder: input.folder)
    _ = description?.text
}

private func readManifest(_ input: Input) throws {
    _ = try? Manifest(parsing: Array(input.bytes), path: "manifest.json")
    // The checksum keeps mutations from the rest, but whoever writes a file can write its checksum.
    let manifest = try Manifest(json: JSONValue(parsing: input.bytes))
    try CheckpointStore.check(names: manifest, in: input.folder)
    // The seed of a recipe fits in an `Int`.
    guard manifest.seed <= Int.max else { return }
    let text = manifest.text
    let again = try Manifest(parsing: Array(text.utf8), path: "manifest.json")
    precondition(again == manifest)
}

private func readRecipe(_ input: Input) throws {
    let text = input.text
    var edited = RecipeText(text)
    edited.set("training", "steps", to: "5")
    let recipe = try Recipe(toml: text, name: "recipe.toml")
    let again = try Recipe(toml: recipe.toml, name: "recipe.toml")
    precondition(again == recipe, "a recipe changes when it is written and read")
    _ = try? recipe.applying([String(text.prefix(40))])
}

private func readFormula(_ input: Input) throws {
    let formula = try Formula(input.text, key: "formula", variables: ["lr", "B", "B0", "k", "Bn"])
    _ = formula.value([1e-3, 64, 8, 8, 100])
    _ = formula.mentions("Bn")
}

private let baseRecipe = """
    [model]
    layers = 1
    heads = 2
    width = 8
    context_length = 8
    [schedule]
    name = "constant"
    """

private func readSpecification(_ input: Input) throws {
    let specification = try SweepSpecification(toml: input.text, name: "sweep.toml") { _ in
        baseRecipe
    }
    try specification.validate()
    let points = try SweepSchedule(specification).points([])
    _ = try points.first.map { (point) throws(Failure) in try specification.recipe(for: point) }
}

/// Returns the folder of a sweep that the ledger and the timings belong to; two of its keys are not
/// varied.
private func sweep(in folder: String) throws -> SweepFolder {
    let sweep = SweepFolder(folder)
    guard !FileSystem.exists(sweep.recipe) else { return sweep }
    let specification = """
        recipe = "base.toml"
        batches = [1, 2]
        learning_rates = [1e-3, 2e-3, 4e-3]
        seeds = [1, 2]
        tokens = [64]
        """
    try AtomicFile.write(specification, to: sweep.specification)
    try AtomicFile.write(baseRecipe, to: sweep.recipe)
    return sweep
}

private func readLedger(_ input: Input) throws {
    _ = input.file("ledger.jsonl", input.halves.0)
    _ = input.file("timings.jsonl", input.halves.1)
    let sweep = try sweep(in: input.folder)
    let findings = try sweep.findings()
    _ = findings.text
    try sweep.write(findings)
}

private func readRuns(_ input: Input) throws {
    let table = try RunTable(reading: input.file("runs.csv"), contextLength: nil)
    _ = try table.findings(RunTableRequest()).text
}

/// Reads a model's configuration and the index of its files, of which one exists.
private func readModel(_ input: Input) throws {
    let path = input.file("config.json", input.halves.0)
    let json: JSONObject = try readModelJSON(path)
    let entries = HuggingFaceEntries(json: .object(json), path: path)
    let configuration = try entries.configuration()
    _ = try entries.differingDropout()
    _ = input.file("model.safetensors.index.json", input.halves.1)
    let shard = "\(input.folder)/model-1.safetensors"
    if !FileSystem.exists(shard) {
        var file = try HashedFile(creating: shard)
        let tensors = [
            TensorSource(zeros: "transformer.wte.weight", shape: [3, 2]),
            TensorSource(zeros: "transformer.h.0.attn.bias", shape: [1]),
        ]
        try SafetensorsWriter.write(tensors, to: &file)
        _ = try file.finish()
    }
    let names = configuration.huggingFaceNames
    let tensors = try ModelTensors(
        folder: input.folder,
        names: ModelNames(prefix: names.prefix, isBuffer: { names.isBuffer($0) }))
    let isZero = try tensors.isZero("wte.weight")
    precondition(isZero && tensors.names == ["wte.weight"])
    _ = try tensors.digest()
}

private func readQuestions(_ input: Input) throws {
    let path = input.file("questions")
    for tokenizer in [ByteTokenizer(), nil] as [(any Tokenizer)?] {
        guard tokenizer != nil || input.bytes.first != UInt8(ascii: "{") else { continue }
        let questions = try Question.read(path, tokenizer: tokenizer, vocabularySize: 400)
        for question in questions {
            precondition(question.endings.indices.contains(question.label))
            precondition(question.endings.allSatisfy { !$0.tokens.isEmpty && $0.bytes != 0 })
        }
    }
}
