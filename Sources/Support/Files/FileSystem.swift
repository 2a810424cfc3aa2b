import Glibc

/// Operations on names in folders, each system call checked. All of them throw `.inputOutput`.
package enum FileSystem {
    /// Returns the names in a folder, sorted by their bytes, without `.` and `..`.
    ///
    /// - Throws: `.missingInput`, `.inputOutput`.
    package static func names(in folder: String) throws(Failure) -> [String] {
        guard let stream = opendir(folder) else {
            throw .systemCall("listed", folder, isReading: true)
        }
        defer { closedir(stream) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else { break }
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        guard errno == 0 else { throw .systemCall("listed", folder, isReading: true) }
        return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    /// Returns whether anything has this path, a dangling link included.
    package static func exists(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0
    }

    /// Returns whether a path is a symbolic link.
    package static func isLink(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFLNK
    }

    /// Returns whether a path is a folder or a link to one.
    package static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// Returns whether a path is an empty folder or a link to one. The `lost+found` of a file
    /// system's root is ignored.
    package static func isEmptyFolder(_ path: String) -> Bool {
        guard let names = try? names(in: path) else { return false }
        return names.allSatisfy { $0 == "lost+found" }
    }

    /// Creates a folder and its missing parents; returns those that it created, outermost first.
    @discardableResult
    package static func makeFolders(_ path: String) throws(Failure) -> [String] {
        if isFolder(path) { return [] }
        let parent = parent(of: path)
        let parents = parent == path ? [] : try makeFolders(parent)
        guard mkdir(path, 0o777) == 0 || errno == EEXIST && isFolder(path) else {
            let failure = Failure.systemCall(
                "created", path, error: errno == EEXIST ? ENOTDIR : errno)
            for created in parents.reversed() { rmdir(created) }
            throw failure
        }
        try synchronizeFolder(parent)
        return parents + [path]
    }

    /// Checks that a file or folder can be created at a path, or an empty folder there be filled:
    /// the nearest existing folder on the path must be writable.
    package static func requireWritable(_ path: String) throws(Failure) {
        var folder = isEmptyFolder(path) ? path : parent(of: path)
        while !exists(folder), parent(of: folder) != folder { folder = parent(of: folder) }
        guard isFolder(folder) else { throw .systemCall("created", path, error: ENOTDIR) }
        guard access(folder, W_OK | X_OK) == 0 else { throw .systemCall("written", folder) }
    }

    /// Checks that this process may add names to an existing folder.
    ///
    /// - Parameter remedy: the remedy if it may not.
    package static func requireWritableFolder(
        _ folder: String, remedy: String
    ) throws(Failure) {
        guard access(folder, W_OK) == 0 else {
            throw .systemCall("written", folder, remedy: remedy)
        }
    }

    /// Checks that this process may read a path, without opening it: opening a pipe would wait for
    /// its writer.
    ///
    /// - Throws: `.missingInput`, `.inputOutput`.
    package static func requireReadable(_ path: String) throws(Failure) {
        guard access(path, R_OK) == 0 else { throw .systemCall("opened", path, isReading: true) }
    }

    /// Makes a folder that must not exist yet.
    package static func makeNewFolder(_ path: String) throws(Failure) {
        guard mkdir(path, 0o777) == 0 else { throw .systemCall("created", path) }
    }

    /// Gives a file or folder another name in the same folder and brings the change to the disk.
    ///
    /// - Parameter failure: the failure if the system refuses; nil for one that names both paths.
    package static func rename(
        _ path: String, to newPath: String, failure: (() -> Failure)? = nil
    ) throws(Failure) {
        guard Glibc.rename(path, newPath) == 0 else {
            throw failure?() ?? .systemCall("renamed to \(newPath)", path)
        }
        try synchronizeFolder(parent(of: newPath))
    }

    /// Removes a file, if it exists and can be removed. An error is not reported, so use this only
    /// for a file that does no harm if it stays.
    package static func removeIfPossible(_ path: String) { unlink(path) }

    /// Removes a folder, if it exists and is empty. An error is not reported.
    package static func removeFolderIfEmpty(_ path: String) { rmdir(path) }

    /// Returns the size in bytes of a regular file; nil if the path is not one, or a link to one.
    package static func fileSize(_ path: String) -> Int? {
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        return Int(status.st_size)
    }

    /// Removes a folder that holds only files. Does nothing if the folder does not exist. Removes
    /// only the link if the path is a link to a folder.
    ///
    /// - Throws: `.inputOutput`, also if the folder holds another folder.
    package static func removeFlatFolder(_ path: String) throws(Failure) {
        guard exists(path) else { return }
        guard !isLink(path) else {
            guard unlink(path) == 0 else { throw .systemCall("removed", path) }
            return
        }
        for name in try names(in: path) {
            guard unlink("\(path)/\(name)") == 0 else {
                throw .systemCall("removed", "\(path)/\(name)")
            }
        }
        guard rmdir(path) == 0 else { throw .systemCall("removed", path) }
    }

    /// Brings the names in a folder to the disk.
    package static func synchronizeFolder(_ path: String) throws(Failure) {
        let folder = try Descriptor(opening: path, O_RDONLY | O_DIRECTORY)
        // Some network file systems have no such operation and say so with EINVAL.
        guard fsync(folder.number) == 0 || errno == EINVAL else {
            throw .systemCall("written", path)
        }
    }

    /// Returns the absolute form of a path, without links, or the path itself if it cannot be
    /// resolved.
    package static func absolute(_ path: String) -> String {
        guard let resolved = realpath(path, nil) else { return path }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// Returns the path of a file or folder, such as "launch/mpirun", in the nearest folder above the
    /// program that has it; nil if none has it.
    package static func pathAboveProgram(_ name: String) -> String? {
        var folder = absolute("/proc/self/exe")
        while folder != "/" {
            folder = parent(of: folder)
            let path = "\(folder)/\(name)"
            if exists(path) { return path }
        }
        return nil
    }

    /// Returns the last component of a path.
    package static func name(of path: String) -> String {
        path.split(separator: "/").last.map(String.init) ?? path
    }

    /// Returns the folder that holds a path, as dirname(3) does.
    package static func parent(of path: String) -> String {
        var path = Substring(path)
        while path.count > 1, path.hasSuffix("/") { path = path.dropLast() }
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}
