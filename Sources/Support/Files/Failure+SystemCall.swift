import Glibc

extension Failure {
    /// What to tell the user when a system call on a file or folder failed.
    ///
    /// `action` completes "cannot ..."; `error` is the `errno` that the call left behind. A missing
    /// file or folder is `.missingInput` where it was to be read, else everything is
    /// `.inputOutput`.
    package static func systemCall(
        _ action: String, _ path: String, error: Int32, reading: Bool = false
    ) -> Failure {
        let remedy =
            switch error {
            case ENOSPC, EDQUOT, EFBIG:
                "free some space there or choose another output folder"
            case EACCES, EPERM, EROFS:
                "choose a place you have permission for"
            case ENOENT, ENOTDIR:
                "check the path"
            case EIO:
                "check the disk or the network file system"
            default:
                "check the file system"
            }
        let code: Code =
            reading && (error == ENOENT || error == ENOTDIR) ? .missingInput : .inputOutput
        return Failure(
            code, "cannot \(action) \(path) (\(String(cString: strerror(error)))): \(remedy)")
    }
}
