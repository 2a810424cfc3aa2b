import Support

/// The state of a tokenization in its temporary folder, from which a later call can continue.
struct TokenizeState {
    private static let fileName = "progress.json"
    private static let lockName = "progress.lock"

    /// The state of the encoding, or nil before it begins.
    private(set) var pass: EncodingPass.Saved?
    private let path: String
    /// The fingerprint of the options that decide the result.
    private let request: String
    private let options: TokenizeOptions
    private var lastSave = ContinuousClock.now

    /// Prepares for saving, and reads the state that an earlier call with the same options has saved, if there is
    /// one.
    ///
    /// - Throws: `Failure` (usage) if the options differ; (bad data) if an input has changed, or the state is
    ///   damaged.
    init(
        _ folder: String, _ options: TokenizeOptions, _ tokenizer: (any Tokenizer)?,
        survey: inout TextSurvey
    ) throws(Failure) {
        path = "\(folder)/\(Self.fileName)"
        request = options.fingerprint(tokenizer)
        self.options = options
        guard let bytes = try readBytesIfPresent(path) else { return }
        let savedRequest: String
        do throws(JSONProblem) {
            let json = try JSONValue(parsing: bytes)
            savedRequest = try json.read("request")
            try survey.restore(.object(json.read("survey")))
            pass = try json.read("pass")
        } catch {
            throw .badData(path, error.predicate, remedy: "remove \(folder) and start again")
        }
        guard savedRequest == request else {
            throw .file(
                .usage, folder, "was begun with other options",
                remedy: "give the same options and texts, or remove the folder")
        }
        for source in survey.sources { try source.requireUnchanged() }
    }

    /// Saves the results of the survey so far, if a save is due or the work must stop.
    mutating func save(_ survey: TextSurvey) throws(Failure) {
        let isDue = ContinuousClock.now - lastSave >= .seconds(options.secondsBetweenSaves)
        guard survey.hasResults, isDue || options.stopRequested() else { return }
        try write(survey, nil)
    }

    /// Saves the state of the encoding. Does nothing if an input could not be read again.
    mutating func save(_ survey: TextSurvey, _ pass: EncodingPass.Saved) throws(Failure) {
        guard !survey.sources.contains(where: \.isSpooled) else { return }
        try write(survey, pass)
    }

    private mutating func write(
        _ survey: TextSurvey, _ pass: EncodingPass.Saved?
    ) throws(Failure) {
        var json: JSONObject = ["request": .string(request), "survey": survey.saved]
        json["pass"] = pass?.json
        try AtomicFile.write(json.text + "\n", to: path)
        lastSave = .now
    }

    // MARK: - The folder

    /// Returns whether a temporary folder has a state.
    static func exists(in partial: String) -> Bool {
        FileSystem.exists("\(partial)/\(fileName)")
    }

    /// Checks that an interrupted call left its temporary folder.
    ///
    /// - Throws: `Failure` (missing input) if it did not.
    static func requireInterrupted(_ partial: String, output: String) throws(Failure) {
        guard !FileSystem.isFolder(partial) else { return }
        throw .file(
            .missingInput, output, "has no interrupted tokenization to continue",
            remedy: "leave out --resume")
    }

    /// Locks a temporary folder, and removes its files if it has no state.
    ///
    /// - Throws: `Failure` (input/output) if another process uses the folder.
    static func lock(_ partial: String) throws(Failure) -> FileLock {
        guard let lock = try FileLock(ifFree: "\(partial)/\(lockName)") else {
            throw .file(
                .inputOutput, partial, "is in use by another process",
                remedy: "wait until that process ends")
        }
        if !exists(in: partial) {
            for name in try FileSystem.names(in: partial) where name != lockName {
                FileSystem.removeIfPossible("\(partial)/\(name)")
            }
        }
        return lock
    }

    /// Removes the state and the lock from a folder that is complete.
    static func remove(from folder: String) {
        FileSystem.removeIfPossible("\(folder)/\(fileName)")
        FileSystem.removeIfPossible("\(folder)/\(lockName)")
    }
}

/// Returns the folder of an interrupted tokenization that `--resume` can continue, or nil if there is none.
package func interruptedTokenization(_ options: TokenizeOptions) -> String? {
    let partial = AtomicFolder.partial(of: options.target)
    return TokenizeState.exists(in: partial) ? partial : nil
}

extension TokenizeOptions {
    /// Returns a fingerprint of the options that decide the result.
    fileprivate func fingerprint(_ tokenizer: (any Tokenizer)?) -> String {
        var json: JSONObject = [
            "inputs": .array(inputs.map(JSONValue.string)),
            "validation": .array(validationInputs.map(JSONValue.string)),
            "fraction": .number(validationFraction),
            "separates": .bool(separatesDocuments), "newlines": .bool(hasUniversalNewlines),
            "chunk": .integer(chunkBytes),
        ]
        json["tokenizer"] = tokenizer.map { .string($0.fingerprint) }
        if case .trained(let training) = self.tokenizer {
            json["trained"] = [
                .integer(training.vocabularySize), .string(training.pattern.rawValue),
            ]
        }
        json["shard"] = shardTokens.map(JSONValue.integer)
        json["separator"] = separator.map(JSONValue.string)
        json["field"] = field.map(JSONValue.string)
        return SHA256.hash(json.text)
    }
}
