/// What a user is told when something is wrong: one sentence, with the remedy, and an exit code.
///
/// Every error a user can cause or cure is a `Failure`; an internal invariant is a `precondition`.
package struct Failure: Error, Equatable, Sendable, CustomStringConvertible {
    /// An exit code of sysexits.h, which says to scripts and schedulers what kind of failure it
    /// was.
    package enum Code: Int32, Sendable {
        /// The command line is wrong (EX_USAGE).
        case usage = 64
        /// A file's content is wrong (EX_DATAERR).
        case badData = 65
        /// A file that should be there is not (EX_NOINPUT).
        case missingInput = 66
        /// A defect of Lockstep itself (EX_SOFTWARE).
        case bug = 70
        /// Reading or writing failed (EX_IOERR).
        case inputOutput = 74
        /// Checkpointed and asking to be run again (EX_TEMPFAIL).
        case requeue = 75
        /// A recipe or the machine's set-up is wrong (EX_CONFIG).
        case configuration = 78
    }

    package let code: Code
    /// One sentence: what was wrong, where, and what to do about it.
    package let sentence: String

    package init(_ code: Code, _ sentence: String) {
        self.code = code
        self.sentence = sentence
    }

    package var description: String { sentence }

    /// The sentence as it is printed, with a full stop unless it ends otherwise.
    package var line: String {
        let isEnded = sentence.last.map { ".?!".contains($0) } ?? true
        return "lockstep: \(sentence)\(isEnded ? "" : ".")"
    }
}
