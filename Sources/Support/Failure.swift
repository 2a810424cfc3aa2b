import Glibc

/// An error that is reported to the user: one sentence with the remedy, and an exit code.
///
/// The user can act on every `Failure`: fix the cause, or report a `.bug`. A programmer's mistake
/// fails a `precondition` instead.
public struct Failure: Error, Equatable, Sendable, CustomStringConvertible {
    /// An exit code of sysexits.h, by which scripts and schedulers tell kinds of failure apart.
    public enum Code: Int32, Sendable {
        /// The command line is wrong (EX_USAGE).
        case usage = 64
        /// The content of a file is wrong (EX_DATAERR).
        case badData = 65
        /// A required file does not exist (EX_NOINPUT).
        case missingInput = 66
        /// Lockstep itself has a defect (EX_SOFTWARE).
        case bug = 70
        /// Reading or writing failed (EX_IOERR).
        case inputOutput = 74
        /// The run has saved a checkpoint and asks to be started again (EX_TEMPFAIL).
        case requeue = 75
        /// A recipe or the configuration of the machine is wrong (EX_CONFIG).
        case configuration = 78
    }

    public let code: Code
    /// The sentence that names the place, the problem and the remedy.
    public let sentence: String

    /// Creates a failure. Control characters in the sentence are escaped, because a name in a file
    /// from somebody else could contain a line break or a terminal's commands.
    public init(_ code: Code, _ sentence: String) {
        self.code = code
        let isPlain = sentence.unicodeScalars.allSatisfy {
            $0.properties.generalCategory != .control
        }
        self.sentence =
            isPlain
            ? sentence
            : sentence.unicodeScalars.reduce(into: "") { text, scalar in
                let isControl = scalar.properties.generalCategory == .control
                text += isControl ? scalar.escaped(asASCII: true) : String(scalar)
            }
    }

    public var description: String { sentence }

    /// The sentence as it is printed, with a full stop unless it already ends with a mark.
    public var line: String {
        let isEnded = sentence.last.map { ".?!".contains($0) } ?? true
        return "lockstep: \(sentence)\(isEnded ? "" : ".")"
    }

    /// The failure after the process that met it: `rank 1 on node2: subject: problem; remedy.`
    ///
    /// - Parameter process: the process; nil if its name would tell nothing.
    package func met(by process: String?) -> Failure {
        process.map { Failure(code, "\($0): \(sentence)") } ?? self
    }

    /// Writes the sentence to standard error and ends the process at once with the exit code.
    ///
    /// Call this only if no caller can recover, as when the system refuses memory or a thread.
    /// mpirun then ends the other ranks.
    ///
    /// - Parameter process: the process that the sentence names; nil for none.
    package func endProcess(naming process: String? = ProcessName.current) -> Never {
        let bytes = Array("\(met(by: process).line)\n".utf8)
        _ = write(STDERR_FILENO, bytes, bytes.count)
        _exit(code.rawValue)
    }
}

// MARK: - The grammar of messages

extension Failure {
    /// Returns a failure that concerns anything that can be named: `subject: problem; remedy.`
    ///
    /// Prefer the builders for files, options, keys and variables, which use this one.
    ///
    /// - Parameters:
    ///   - problem: the predicate of the sentence, such as "is not valid UTF-8".
    ///   - remedy: an imperative clause, such as "give a text file", or a question such as "did
    ///     you mean "train"?".
    package static func about(
        _ code: Code, _ subject: String, _ problem: String, remedy: String
    ) -> Failure {
        Failure(code, "\(subject): \(problem); \(remedy)\(remedy.hasSuffix("?") ? "" : ".")")
    }

    /// Returns a failure that concerns a file or folder: `PATH: problem; remedy.`
    package static func file(
        _ code: Code, _ path: String, _ problem: String, remedy: String
    ) -> Failure {
        .about(code, path, problem, remedy: remedy)
    }

    /// Returns the failure of new output whose path is taken: `PATH: already exists; remedy.`
    package static func taken(_ path: String, code: Code = .usage, remedy: String) -> Failure {
        .file(code, path, "already exists", remedy: remedy)
    }

    /// Returns the missing-input failure of a folder without the result of a command:
    /// `PATH: holds no result; remedy.`
    ///
    /// - Parameters:
    ///   - result: the noun for the result, such as "run".
    ///   - command: the command that writes such results, such as "train".
    package static func holdsNo(_ result: String, _ path: String, command: String) -> Failure {
        .file(
            .missingInput, path,
            FileSystem.exists(path) ? "holds no \(result)" : "does not exist",
            remedy: "give the folder that `lockstep \(command)` was given as --out")
    }

    /// Returns the failure after the path of the file that holds its key:
    /// `PATH: [section] key = value: problem; remedy.`
    package func inFile(_ path: String) -> Failure { Failure(code, "\(path): \(sentence)") }

    /// Returns a usage failure that concerns the value of an option: `--option value: problem;
    /// remedy.`
    package static func option(
        _ option: String, _ value: some CustomStringConvertible, _ problem: String, remedy: String
    ) -> Failure {
        .about(.usage, "\(option) \(value)", problem, remedy: remedy)
    }

    /// Returns a usage failure that concerns an option or an argument whatever its value is:
    /// `--option: problem; remedy.`
    package static func option(_ option: String, _ problem: String, remedy: String) -> Failure {
        .about(.usage, option, problem, remedy: remedy)
    }

    /// Returns a usage failure about an option or an argument, such as `<recipe>`, that a command
    /// needs: `--option: is missing; remedy.`
    package static func missing(_ option: String, remedy: String) -> Failure {
        .about(.usage, option, "is missing", remedy: remedy)
    }

    /// Returns a failure that concerns the value of a key of a file:
    /// `[section] key = value: problem; remedy.`
    ///
    /// - Parameter key: the key with its section, such as "[training] steps".
    package static func key(
        _ key: String, _ value: some Any, _ problem: String, remedy: String,
        code: Code = .configuration
    ) -> Failure {
        .about(code, "\(key) = \(value)", problem, remedy: remedy)
    }

    /// Returns a configuration failure that concerns the text of an environment variable:
    /// `NAME = "value": problem; remedy.`
    package static func variable(
        _ name: String, _ value: String, _ problem: String, remedy: String
    ) -> Failure {
        .about(.configuration, "\(name) = \(jsonQuoted(value))", problem, remedy: remedy)
    }

    /// Returns a configuration failure that concerns the number in an environment variable:
    /// `NAME = value: problem; remedy.`
    package static func variable(
        _ name: String, _ value: Int, _ problem: String, remedy: String
    ) -> Failure {
        .about(.configuration, "\(name) = \(value)", problem, remedy: remedy)
    }

    /// Returns the failure of an internal check: `problem; please report this defect.`
    package static func defect(_ problem: String) -> Failure {
        Failure(.bug, "\(problem); please report this defect.")
    }

    /// Returns the failure of a system call on a file or folder.
    ///
    /// The sentence is `PATH: cannot be ACTION (errno text); remedy.`
    ///
    /// - Parameters:
    ///   - action: the past participle after "cannot be", such as "written".
    ///   - error: the `errno` of the call.
    ///   - isReading: whether a missing file or folder is missing input rather than an I/O error.
    ///   - remedy: the remedy; nil for the usual one for the error.
    package static func systemCall(
        _ action: String, _ path: String, error: Int32 = errno, isReading: Bool = false,
        remedy: String? = nil
    ) -> Failure {
        let isMissing = error == ENOENT || error == ENOTDIR
        return .file(
            isReading && isMissing ? .missingInput : .inputOutput, path,
            "cannot be \(action) (\(systemMessage(error)))",
            remedy: remedy ?? usualRemedy(for: error))
    }

    private static func usualRemedy(for error: Int32) -> String {
        switch error {
        case ENOSPC, EDQUOT, EFBIG: "free some space there, or choose another place"
        case EACCES, EPERM, EROFS: "choose a place that you have permission for"
        case ENOENT, ENOTDIR: "check the path"
        case EEXIST: "remove it if no other process uses it, or choose another place"
        case ELOOP: "replace the link by what it leads to"
        case EMFILE, ENFILE: "raise the limit on open files with ulimit -n"
        case EIO: "check the disk or the network file system"
        default: "check the file system"
        }
    }
}

/// Checks a condition.
///
/// - Throws: `failure` if the condition is not met.
package func require(
    _ condition: Bool, or failure: @autoclosure () -> Failure
) throws(Failure) {
    guard condition else { throw failure() }
}

/// Checks that an option's number is in a range.
///
/// - Throws: `Failure` (usage) that names the option, its value and the range.
package func requireOption(
    _ option: String, _ value: Int, in range: ClosedRange<Int>, remedy: String
) throws(Failure) {
    try require(
        range.contains(value),
        or: .option(
            option, value, "must be from \(range.lowerBound) to \(range.upperBound)",
            remedy: remedy))
}

/// Returns the system's text for an error, such as "No space left on device".
package func systemMessage(_ error: Int32 = errno) -> String { String(cString: strerror(error)) }
