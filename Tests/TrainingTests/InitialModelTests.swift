import Checkpoints
import Compute
import Foundation
import Model
import Recipes
import Support
import TestSupport
import Testing
import Training

/// Tests of folders in Hugging Face's layout as the start of a run.
@Suite struct InitialModelTests {
    private let folder: TemporaryFolder
    private let shape = Self.shape(vocabulary: 40)

    init() throws { folder = try TemporaryFolder() }

    private static func shape(vocabulary: Int) -> GPTConfiguration {
        var shape = GPTConfiguration()
        (shape.layers, shape.heads, shape.width) = (2, 2, 8)
        (shape.contextLength, shape.vocabularySize) = (6, vocabulary)
        return shape
    }

    /// Writes the folder of a new model, except for the tensors that `change` removes or replaces.
    private func write(
        _ shape: GPTConfiguration? = nil, configuration entries: [String: String] = [:],
        changing change: (String, [Float]) -> [Float]? = { $1 }
    ) throws {
        let shape = shape ?? self.shape
        var text = shape.huggingFaceConfiguration(endOfText: nil)
        text.removeLast(2)
        for (key, value) in entries.sorted(by: { $0.key < $1.key }) {
            // A key must not appear twice.
            text = text.replacing(try Regex("\"\(key)\":[^,]*,"), with: "")
            text += ",\"\(key)\":\(value)"
        }
        try folder.write("config.json", text + "}\n")
        let layout = GPTLayout(shape).arena
        let arena = Buffer<Float>(count: layout.count)
        GPTLayout(shape).initialize(arena, seed: 5)
        var sources: [TensorSource] = []
        var all = layout.tensors.map { ($0.name, $0.shape, Array(arena.elements[$0.range])) }
        all.append(("lm_head.weight", layout.tensors[0].shape, all[0].2))
        for (name, shape, values) in all {
            guard let values = change(name, values) else { continue }
            sources.append(
                TensorSource(name: "transformer.\(name)", type: .float32, shape: shape) {
                    (write) throws(Failure) in
                    try values.withUnsafeBufferPointer { (values) throws(Failure) in
                        try write(UnsafeRawBufferPointer(values))
                    }
                })
        }
        var file = try HashedFile(creating: "\(folder.path)/model.safetensors")
        try SafetensorsWriter.write(sources, to: &file)
        _ = try file.finish()
    }

    private func open() throws(Failure) -> InitialModel {
        try InitialModel(InitialModelRequest(path: folder.path, checkpoint: nil))
    }

    private func text(
        _ change: (inout GPTConfiguration) -> Void = { _ in }
    ) throws(Failure) -> String {
        var model = shape
        change(&model)
        return try open().text(fitting: model, dataPath: "data", tokenizer: nil)
    }

    @Test("a folder is described by its path, its digest and how it is used")
    func notes() throws {
        try write(changing: { name, values in name == "lm_head.weight" ? nil : values })
        let model = try open()
        #expect(model.defaults.layers == 2 && model.defaults.vocabularySize == 0)
        #expect(model.record.step == nil && model.record.digest.count == 64)
        #expect(model.record.path == FileSystem.absolute(folder.path))
        let plain = try text()
        #expect(plain.hasPrefix("the model in \(model.record.path), SHA-256 "))
        #expect(
            plain.hasSuffix(
                "the model's folder has no tokenizer, so it is not compared with the data's"))
        #expect(
            try text { $0.contextLength = 5 }.contains("the first 5 of the model's 6 positions"))
        #expect(
            try text { $0.vocabularySize = 33 }.contains(
                "drops the last 7 rows of the model's 40 token embeddings"))
        #expect(
            try text { $0.vocabularySize = 48 }.contains(
                "adds 8 rows of new token embeddings to the model's 40"))
        #expect(try text { $0.bias = false }.contains("drops the model's biases, which are all 0"))
    }

    @Test("a model that the recipe does not fit is refused by the key")
    func misfits() throws {
        try write()
        for (key, value, change) in [
            ("layers", 3, { $0.layers = 3 }), ("heads", 4, { $0.heads = 4 }),
            ("width", 16, { $0.width = 16 }), ("context_length", 7, { $0.contextLength = 7 }),
        ] as [(String, Int, (inout GPTConfiguration) -> Void)] {
            expectFailure(.configuration, "[model] \(key) = \(value): ", "the model in") {
                _ = try text(change)
            }
        }
        try write(changing: { name, values in
            name == "h.1.mlp.c_fc.bias" ? values.dropLast() + [1e-6] : values
        })
        expectFailure(
            .configuration, "[model] bias = false: would drop the biases", "\"h.1.mlp.c_fc.bias\""
        ) { _ = try text { $0.bias = false } }
        #expect(try text().contains("SHA-256"))
    }

    @Test("a GPT-2 with a head of its own keeps it, and one of another architecture is refused")
    func untiedHead() throws {
        try write(
            configuration: ["tie_word_embeddings": "false"],
            changing: { $0 == "lm_head.weight" ? $1.map { $0 + 1 } : $1 })
        #expect(try open().defaults.tiedHead == false)
        expectFailure(.configuration, "[model] tied_head = true: is false in the model in") {
            _ = try text()
        }
        expectFailure(.configuration, "[model] architecture = \"llama\": is \"gpt2\" in the model")
        {
            _ = try text { $0.architecture = "llama" }
        }
    }

    @Test("a vocabulary of an unknown tokenizer may lose only padding")
    func unknownTokenizer() throws {
        try write(Self.shape(vocabulary: 200))
        #expect(try text { $0.vocabularySize = 73 }.contains("drops the last 127 rows"))
        expectFailure(
            .configuration, "[model] vocabulary_size = 72: would drop 128 of the 200 symbols",
            "set it to 200"
        ) { _ = try text { $0.vocabularySize = 72 } }
        try write(configuration: ["vocab_size": "200"])
        expectFailure(.badData, "\"wte.weight\" of shape [40, 8], but config.json needs [200, 8]") {
            _ = try open()
        }
    }

    @Test("tensors that are missing, of another model or not finite are refused")
    func badTensors() throws {
        for name in ["wte.weight", "h.1.ln_2.weight", "ln_f.bias"] {
            try write(changing: { $0 == name ? nil : $1 })
            expectFailure(.badData, "has no tensor \"\(name)\"") { _ = try open() }
        }
        try write(configuration: ["n_layer": "1"])
        expectFailure(.badData, "has the tensor \"h.1.attn.c_attn.bias\", which the model lacks") {
            _ = try open()
        }
        try write(changing: { $0 == "lm_head.weight" ? $1.map { $0 + 1 } : $1 })
        expectFailure(.badData, "has a head \"lm_head.weight\" of its own") { _ = try open() }
        try write(
            configuration: ["tie_word_embeddings": "false"],
            changing: { $0 == "lm_head.weight" ? nil : $1 })
        expectFailure(.badData, "tie_word_embeddings = false: calls for a head") { _ = try open() }
    }

    @Test("a folder without biases has a model without biases")
    func biasless() throws {
        try write(changing: { $0.hasSuffix(".bias") ? nil : $1 })
        #expect(try !open().defaults.bias)
        #expect(try text().contains("adds biases, which the model lacks; they start at 0"))
    }

    @Test("different probabilities of dropout are stated")
    func dropout() throws {
        try write(configuration: ["attn_pdrop": "0.5"])
        #expect(
            try text().contains(
                "config.json has embd_pdrop = 0.0, attn_pdrop = 0.5 and resid_pdrop = 0.0, but"))
    }

    @Test("a tokenizer that cannot be read is not compared, and the text says why")
    func badTokenizer() throws {
        try write()
        try folder.write("tokenizer.json", "{\"model\":1}")
        #expect(try text().contains("the model's tokenizer is not compared with the data's: "))
    }

    @Test("a path without a model is refused")
    func missing() throws {
        expectFailure(.missingInput, "holds neither a run nor a model with config.json") {
            _ = try open()
        }
        expectFailure(.missingInput, "none: does not exist") {
            _ = try InitialModel(
                InitialModelRequest(path: "\(folder.path)/none", checkpoint: nil))
        }
        try write()
        expectFailure(.usage, "--init-checkpoint: chooses a checkpoint of a run") {
            _ = try InitialModel(InitialModelRequest(path: folder.path, checkpoint: "best"))
        }
        expectFailure(.usage, "--init-from \"\": is empty") {
            _ = try InitialModelRequest(path: "", checkpoint: nil)
        }
        try FileManager.default.removeItem(atPath: "\(folder.path)/model.safetensors")
        expectFailure(.missingInput, "has neither model.safetensors nor") { _ = try open() }
    }

    @Test("a model that has changed is refused, and a record reads back")
    func record() throws {
        try write()
        let record = try open().record
        #expect(try InitialModelRecord(json: .object(record.json)) == record)
        #expect(try record.defaults() == open().defaults)
        _ = try InitialModel(again: record)
        try write(changing: { $0 == "ln_f.bias" ? $1.map { $0 + 1 } : $1 })
        expectFailure(.badData, "has changed since the training started from it") {
            _ = try InitialModel(again: record)
        }
        let run = try TemporaryFolder()
        #expect(try RunFolder(run.path).readInitialModel() == nil)
        try run.write("initial-model.json", record.json.text)
        #expect(try RunFolder(run.path).readInitialModel() == record)
        try run.write("initial-model.json", "{\"path\":1}")
        expectFailure(.badData, "initial-model.json: has no string at path") {
            _ = try RunFolder(run.path).readInitialModel()
        }
    }
}
