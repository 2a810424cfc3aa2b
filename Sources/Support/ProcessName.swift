import Synchronization

/// The name by which messages tell this process from the others of its job.
package enum ProcessName {
    private static let name = Mutex<String?>(nil)

    /// The rank and its host, such as "rank 1 on node2"; nil if a message needs no name.
    package static var current: String? { name.withLock { $0 } }

    /// Sets the name. Call this once, at the start.
    package static func set(_ newName: String?) { name.withLock { $0 = newName } }
}
