import Glibc
import Support

/// A folder that appears under its name only when everything in it is there.
///
/// Files go into `PATH.partial`; `commit` renames it. An empty folder that exists may be a mount point
/// or the target of a link, which cannot be replaced, so files go into `PATH/new.partial` and are moved
/// up, the description last. A folder that is not committed is removed with its content, and a folder
/// that is not empty is never replaced.
struct PartialFolder: ~Copyable {
    /// The final path.
    let target: String
    /// Where files go until then.
    let path: String

    private static let innerName = "new.partial"
    private let isInside: Bool
    private var isCommitted = false
    /// Parent folders that were made on the way, outermost first.
    private let parents: [String]

    /// Makes the partial folder, and the target's parents where they are missing.
    ///
    /// - Throws: `Failure` (usage) if the target has anything in it, (input/output) if the partial
    ///   folder exists or cannot be made.
    init(_ target: String) throws(Failure) {
        try Self.refuseUsed(target)
        let isInside = isFolder(target)
        let partial = isInside ? "\(target)/\(Self.innerName)" : target + ".partial"
        var missing: [String] = []
        var parent = parentFolder(of: target)
        while !fileExists(parent), parent != ".", parent != "/" {
            missing.insert(parent, at: 0)
            parent = parentFolder(of: parent)
        }
        for folder in missing + [partial] where mkdir(folder, 0o777) != 0 {
            let code = errno
            for made in missing.reversed() { rmdir(made) }
            let remedy =
                code == EEXIST
                ? "remove it if no other process is writing it" : "choose another place to write to"
            throw Failure(
                .inputOutput,
                "the folder \(folder) cannot be made: \(systemError(code)); \(remedy).")
        }
        self.target = target
        path = partial
        self.isInside = isInside
        parents = missing
    }

    deinit {
        guard !isCommitted else { return }
        if let files = try? names(inFolder: path) {
            for file in files { unlink("\(path)/\(file)") }
        }
        rmdir(path)
        for parent in parents.reversed() { rmdir(parent) }
    }

    /// Gives the folder its name.
    ///
    /// - Throws: `Failure` (usage) if something has appeared there, (input/output) if renaming
    ///   fails.
    consuming func commit() throws(Failure) {
        try Self.refuseUsed(target)
        if isInside { try moveFiles() } else { try Self.move(path, to: target) }
        isCommitted = true
        try syncFolder(of: isInside ? "\(target)/\(DatasetDescription.fileName)" : target)
    }

    /// Moves the files up into the target, the description last, or none if that fails.
    private func moveFiles() throws(Failure) {
        let files = try names(inFolder: path)
        let marker = DatasetDescription.fileName
        var moved: [String] = []
        do throws(Failure) {
            for file in files.filter({ $0 != marker }) + files.filter({ $0 == marker }) {
                try Self.move("\(path)/\(file)", to: "\(target)/\(file)")
                moved.append(file)
            }
        } catch {
            for file in moved { unlink("\(target)/\(file)") }
            throw error
        }
        rmdir(path)
    }

    private static func move(_ path: String, to target: String) throws(Failure) {
        guard rename(path, target) == 0 else {
            throw Failure(
                .inputOutput,
                "\(path) cannot be renamed to \(target): \(systemError()); choose another place to "
                    + "write to.")
        }
    }

    private static func refuseUsed(_ target: String) throws(Failure) {
        guard fileExists(target) else { return }
        // A partial folder that another start left is reported when this one makes its own.
        let ignored = ["lost+found", innerName]
        if isFolder(target), try names(inFolder: target).allSatisfy(ignored.contains) { return }
        throw Failure(
            .usage,
            "\(target) exists and is never overwritten; remove it or choose another folder.")
    }
}
