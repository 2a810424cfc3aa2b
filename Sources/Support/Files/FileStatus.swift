import Glibc

/// The identity, the size and the age of a file.
package struct FileStatus: Sendable, Equatable {
    package let device: UInt64
    package let inode: UInt64
    package let size: Int
    /// The time of the last change of the content, in seconds since 1970.
    package let modified: Double

    /// Returns the status of a file or folder; nil if it does not exist.
    package init?(_ path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        self.init(status)
    }

    /// Returns the status of an open file.
    ///
    /// - Throws: `.inputOutput`.
    package init(of file: borrowing Descriptor) throws(Failure) {
        var status = stat()
        guard fstat(file.number, &status) == 0 else { throw .systemCall("examined", file.path) }
        self.init(status)
    }

    private init(_ status: stat) {
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        size = Int(status.st_size)
        modified = Double(status.st_mtim.tv_sec) + Double(status.st_mtim.tv_nsec) * 1e-9
    }

    /// The seconds since the last change of the content.
    package var age: Double { WallClock.seconds - modified }

    /// The numbers of the device, as makedev(3) joins them.
    fileprivate var deviceNumbers: (major: UInt64, minor: UInt64) {
        (device >> 8 & 0xfff | device >> 32 & ~0xfff, device & 0xff | device >> 12 & ~0xff)
    }

    /// Whether both are the same file, perhaps at different times.
    package func isSameFile(as other: FileStatus) -> Bool {
        device == other.device && inode == other.inode
    }
}

extension FileSystem {
    /// Returns whether a path is on a file system that only this machine can use. Returns false for
    /// an unknown kind of file system.
    package static func isLocal(_ path: String) -> Bool {
        guard let status = FileStatus(path), let table = try? readText("/proc/self/mountinfo")
        else {
            return false
        }
        let (major, minor) = status.deviceNumbers
        return table.split(separator: "\n").contains { line in
            // 36 35 98:0 / /mnt rw,noatime shared:1 - ext4 /dev/root rw
            let fields = line.split(separator: " ")
            guard let dash = fields.firstIndex(of: "-"), fields.count > dash + 1 else {
                return false
            }
            return fields[2] == "\(major):\(minor)" && localKinds.contains(fields[dash + 1])
        }
    }

    private static let localKinds: Set<Substring> = [
        "btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "tmpfs", "xfs", "zfs",
    ]

    /// Returns whether a process of this machine holds a lock on a file. Does not touch the lock.
    package static func isLocked(_ path: String) -> Bool {
        guard let status = FileStatus(path), let table = try? readText("/proc/locks") else {
            return false
        }
        return table.split(separator: "\n").contains { line in
            // 1: FLOCK  ADVISORY  WRITE 4711 08:01:123456 0 EOF
            let fields = line.split(separator: " ")
            guard let place = fields.first(where: { $0.split(separator: ":").count == 3 }) else {
                return false
            }
            let numbers = place.split(separator: ":")
            guard UInt64(numbers[2]) == status.inode,
                let major = UInt64(numbers[0], radix: 16), let minor = UInt64(numbers[1], radix: 16)
            else { return false }
            // Some file systems report a device of their own for each volume, whose major is 0.
            return (major, minor) == status.deviceNumbers || status.deviceNumbers.major == 0
        }
    }
}
