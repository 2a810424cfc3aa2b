import FoundationEssentials
import TestSupport

/// The folder of GPT-2's own vocabulary, which is not part of the repository:
/// `$LOCKSTEP_DATA/gpt2`, or `shared/data/gpt2` next to the repository.
let gpt2Folder =
    (ProcessInfo.processInfo.environment["LOCKSTEP_DATA"] ?? Launch.root + "/../shared/data")
    + "/gpt2"
let gpt2IsHere = FileManager.default.fileExists(atPath: gpt2Folder)
