import Glibc

extension Failure {
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
        case EMFILE, ENFILE: "raise the limit on open files with ulimit -n"
        case EIO: "check the disk or the network file system"
        default: "check the file system"
        }
    }
}

/// Returns the system's text for an error, such as "No space left on device".
package func systemMessage(_ error: Int32 = errno) -> String { String(cString: strerror(error)) }
