import Recipes
import Support

/// The entries of a `config.json` in a folder of Hugging Face's Transformers.
package struct HuggingFaceEntries {
    /// The path of the file, for messages.
    let path: String
    private let json: JSONValue

    package init(json: JSONValue, path: String) {
        self.json = json
        self.path = path
    }

    /// Returns the value of an entry; nil if it is missing or null.
    ///
    /// - Throws: `Failure` (bad data) if it has another type.
    func read<Value: JSONReadable>(_ key: String) throws(Failure) -> Value? {
        do throws(JSONProblem) { return try json.read(key) } catch {
            throw .file(.badData, path, error.predicate, remedy: Self.remedy)
        }
    }

    /// Returns the value of an entry.
    ///
    /// - Throws: `Failure` (bad data) if it is missing, null or of another type.
    func require<Value: JSONReadable>(_ key: String) throws(Failure) -> Value {
        guard let value: Value = try read(key) else {
            throw .file(.badData, path, "has no \(key)", remedy: Self.remedy)
        }
        return value
    }

    /// Returns the entries that describe rotary positions: `rope_parameters`, or `rope_scaling` in
    /// folders written before Transformers 5. There are none if the model does not scale them.
    func rotation() throws(Failure) -> HuggingFaceEntries {
        for key in ["rope_parameters", "rope_scaling"] {
            guard let object: JSONObject = try read(key) else { continue }
            return HuggingFaceEntries(json: .object(object), path: "\(path): \(key)")
        }
        return HuggingFaceEntries(json: .object([:]), path: path)
    }

    /// Returns whether there is an entry that is not null.
    func holds(_ key: String) -> Bool {
        guard case .object(let object) = json, let value = object[key] else { return false }
        return value != .null
    }

    private static let remedy = "use the model's own config.json"

    /// Returns the failure of an entry that no block can represent.
    ///
    /// - Parameter supported: the value that the block represents, or a noun phrase for it.
    func unsupported(_ key: String, _ value: String, _ supported: String) -> Failure {
        .key(
            "\(path): \(key)", value, "is not supported, because Lockstep's model has \(supported)",
            remedy: "use a model that has it", code: .badData)
    }

    /// Returns the model's configuration, with its own vocabulary.
    ///
    /// - Throws: `Failure` (bad data) if no architecture can represent the model.
    package func configuration() throws(Failure) -> GPTConfiguration {
        guard let type: String = try read("model_type") else {
            throw .file(.badData, path, "has no string at model_type", remedy: Self.remedy)
        }
        guard let block = Architecture.blocks.values.first(where: { $0.huggingFaceType == type })
        else {
            let types = Architecture.blocks.values.map { jsonQuoted($0.huggingFaceType) }.sorted()
            throw unsupported("model_type", jsonQuoted(type), Format.alternatives(types))
        }
        let configuration = try block.configuration(of: self)
        do throws(Failure) { try configuration.validate() } catch {
            throw Failure(.badData, "\(path): as \(error.sentence)")
        }
        guard configuration.vocabularySize > 0 else {
            throw .key(
                "\(path): vocab_size", configuration.vocabularySize, "must be at least 1",
                remedy: Self.remedy, code: .badData)
        }
        return configuration
    }

    /// The keys of the probabilities of dropout; Lockstep has one probability for all of them.
    private static let dropoutKeys = ["embd_pdrop", "attn_pdrop", "resid_pdrop"]
    private static let usualDropout = 0.1

    /// Returns the probability of dropout; 0 if the entries state different ones.
    ///
    /// - Throws: `Failure` (bad data) if an entry is not a number.
    func dropout() throws(Failure) -> Double {
        let values = try dropouts()
        return Set(values).count == 1 ? values[0] : 0
    }

    private func dropouts() throws(Failure) -> [Double] {
        try Self.dropoutKeys.map { (key) throws(Failure) in try read(key) ?? Self.usualDropout }
    }

    /// Returns the probabilities of dropout as text; nil if they are equal.
    ///
    /// - Throws: `Failure` (bad data) if an entry is not a number.
    package func differingDropout() throws(Failure) -> String? {
        let values = try dropouts()
        guard Set(values).count > 1 else { return nil }
        return Format.list(zip(Self.dropoutKeys, values).map { "\($0) = \($1)" })
    }

    /// Returns whether the head's weight is the token table.
    ///
    /// - Parameter usual: the architecture's value, for a file without the entry.
    func tiesHead(otherwise usual: Bool) throws(Failure) -> Bool {
        try read("tie_word_embeddings") ?? usual
    }
}
