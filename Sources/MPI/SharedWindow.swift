import COpenMPI
import Support
import Synchronization

/// Memory of the ranks of one node that each of them reads and writes directly, by
/// `MPI_Win_allocate_shared`.
///
/// Freeing is collective, so it is never automatic: a rank that fails must not wait for the others
/// in a `deinit`. Call `free`, or leave it to `MPIEnvironment.finalize`.
package final class SharedWindow: @unchecked Sendable {
    /// Each rank's memory in rank order, as mapped in this process: zeroed, on whole pages.
    package let parts: [UnsafeMutableRawBufferPointer]
    private let handle: MPI_Win

    /// The number of bytes to which parts are rounded up: the smallest page.
    package static let pageBytes = 4096

    /// The number of bytes to which the kernel rounds the mapping when a page is first read, if
    /// others have the pages around it: Linux's fault_around_bytes.
    package static let readAroundBytes = 65_536

    /// Allocates `bytes` for this rank; the ranks of the node may request different sizes.
    ///
    /// Collective over `node`, whose ranks must share memory (`Communicator.splitShared`). The
    /// caller must first check with `SharedMemorySpace` that the memory exists.
    ///
    /// - Throws: the error that MPI reports, on the rank that it reports it to.
    package init(node: Communicator, bytes: Int) throws(Failure) {
        // Adds one page, because the standard does not guarantee alignment.
        let page = Self.pageBytes
        let whole = (bytes + page - 1) / page * page + page
        var base: UnsafeMutableRawPointer?
        var window: MPI_Win?
        let status = withUnsafeMutablePointer(to: &base) {
            MPI_Win_allocate_shared(whole, 1, lockstep_info_null(), node.handle, $0, &window)
        }
        try check("MPI_Win_allocate_shared", status)
        guard let window, window != lockstep_win_null() else {
            throw .defect("MPI returned a null window")
        }
        var parts: [UnsafeMutableRawBufferPointer] = []
        for rank in 0..<node.size {
            parts.append(try Self.part(of: rank, in: window))
        }
        self.parts = parts
        handle = window
        openWindows.withLock { $0.append(self) }
    }

    /// Frees the memory, by `MPI_Win_free`; collective. The memory must not be accessed afterward.
    package func free() throws(Failure) {
        let isOpen = openWindows.withLock { windows in
            let count = windows.count
            windows.removeAll { $0 === self }
            return windows.count < count
        }
        precondition(isOpen, "a window is freed once")
        var window: MPI_Win? = handle
        try check("MPI_Win_free", MPI_Win_free(&window))
    }

    /// Frees every window that is still open, in the order of creation.
    static func freeAll() throws(Failure) {
        for window in openWindows.withLock({ $0 }) { try window.free() }
    }

    private static func part(
        of rank: Int, in window: MPI_Win
    ) throws(Failure) -> UnsafeMutableRawBufferPointer {
        var size: MPI_Aint = 0
        var unit: Int32 = 0
        var base: UnsafeMutableRawPointer?
        let status = withUnsafeMutablePointer(to: &base) {
            MPI_Win_shared_query(window, Int32(rank), &size, &unit, $0)
        }
        try check("MPI_Win_shared_query", status)
        guard let base else {
            throw .defect("MPI returned a window without memory")
        }
        // Mappings begin on pages, so all processes skip the same bytes.
        let start = base.alignedUp(toMultipleOf: pageBytes)
        return UnsafeMutableRawBufferPointer(start: start, count: Int(size) - (start - base))
    }
}

/// The windows that are not yet freed.
private let openWindows = Mutex<[SharedWindow]>([])

/// A number in memory that ranks share, with which one rank reports its progress to the others.
///
/// A rank that sees the number also sees everything written before its `publish`.
package struct SharedCounter: @unchecked Sendable {
    private let memory: UnsafeMutablePointer<UInt64>

    /// The distance in bytes between counters, so that no two are in one pair of cache lines.
    package static let stride = 128

    /// Creates a counter at an address that is a multiple of `stride` and holds zeros or a counter.
    package init(at address: UnsafeMutableRawPointer) {
        memory = address.bindMemory(to: UInt64.self, capacity: 1)
    }

    /// The last published number that is visible, read with `__ATOMIC_ACQUIRE`.
    package var value: UInt64 { lockstep_load_acquire(memory) }

    /// Publishes a number with `__ATOMIC_RELEASE`. Only one rank may publish.
    package func publish(_ value: UInt64) { lockstep_store_release(memory, value) }
}

/// Tells the processor that this thread waits in a loop.
package func relaxProcessor() { lockstep_relax() }
