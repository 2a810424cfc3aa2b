import FoundationEssentials

/// The folder of GPT-2's own vocabulary, which is not part of the repository:
/// `$LOCKSTEP_DATA/gpt2`; nil if it does not exist.
let gpt2Folder = ProcessInfo.processInfo.environment["LOCKSTEP_DATA"].map { $0 + "/gpt2" }
    .flatMap { FileManager.default.fileExists(atPath: $0) ? $0 : nil }
