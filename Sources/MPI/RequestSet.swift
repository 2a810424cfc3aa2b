import COpenMPI
import Support

/// Messages under way, any of which may be done first; each carries a number that identifies it.
///
/// The set keeps the owner of each message's memory alive until the message is done. A set that is
/// dropped with unfinished messages leaks their owners on purpose, because MPI may still be reading
/// or writing that memory.
package struct RequestSet: ~Copyable {
    private struct Message {
        let owner: AnyObject
        let expectedBytes: Int?
        let label: Int
    }

    private var handles: [MPI_Request?] = []
    private var messages: [Message] = []
    private var indices: [Int32] = []
    private var statuses: [MPI_Status] = []

    package init() {}

    deinit {
        for message in messages { _ = Unmanaged.passRetained(message.owner) }
    }

    /// The number of messages that are not yet done.
    package var count: Int { handles.count }

    /// Begins to send at most 2 GiB - 1 bytes to a rank, by `MPI_Isend`.
    ///
    /// `testSome` returns `label` when the message is done. Until then, the memory must not change,
    /// and the set keeps `owner`, which owns the memory, alive.
    package mutating func send(
        _ bytes: UnsafeRawBufferPointer, to destination: Int, of communicator: Communicator,
        tag: Int, label: Int, keeping owner: AnyObject
    ) throws(Failure) {
        var request: MPI_Request?
        try check(
            "MPI_Isend",
            MPI_Isend(
                bytes.baseAddress, messageCount(bytes.count), lockstep_byte(),
                Int32(destination), Int32(tag), communicator.handle, &request))
        handles.append(request)
        messages.append(Message(owner: owner, expectedBytes: nil, label: label))
    }

    /// Begins to receive exactly `bytes.count` (at most 2 GiB - 1) bytes from a rank, by
    /// `MPI_Irecv`.
    ///
    /// `testSome` returns `label` when the message is done. Until then, the memory must not be
    /// accessed, and the set keeps `owner`, which owns the memory, alive.
    package mutating func receive(
        into bytes: UnsafeMutableRawBufferPointer, from source: Int, of communicator: Communicator,
        tag: Int, label: Int, keeping owner: AnyObject
    ) throws(Failure) {
        var request: MPI_Request?
        try check(
            "MPI_Irecv",
            MPI_Irecv(
                bytes.baseAddress, messageCount(bytes.count), lockstep_byte(), Int32(source),
                Int32(tag), communicator.handle, &request))
        handles.append(request)
        messages.append(Message(owner: owner, expectedBytes: bytes.count, label: label))
    }

    /// Lets messages progress and returns the labels of those that are done, by `MPI_Testsome`.
    package mutating func testSome() throws(Failure) -> [Int] {
        guard !handles.isEmpty else { return [] }
        if indices.count < handles.count {
            indices = Array(repeating: 0, count: handles.count)
            statuses = Array(repeating: MPI_Status(), count: handles.count)
        }
        var done: Int32 = 0
        let status = MPI_Testsome(
            Int32(handles.count), &handles, &done, &indices, &statuses)
        if status == MPI_ERR_IN_STATUS {
            for each in statuses.prefix(Int(done)) { try check("MPI_Testsome", each.MPI_ERROR) }
        }
        try check("MPI_Testsome", status)
        guard done > 0 else { return [] }

        var labels: [Int] = []
        for position in 0..<Int(done) {
            let message = messages[Int(indices[position])]
            labels.append(message.label)
            if let expected = message.expectedBytes {
                try checkSize(of: &statuses[position], expected: expected)
            }
        }
        // From the highest index down, so that moving the last entry into the gap affects no other
        // index.
        for index in indices.prefix(Int(done)).sorted(by: >) {
            handles.swapAt(Int(index), handles.count - 1)
            messages.swapAt(Int(index), messages.count - 1)
            handles.removeLast()
            messages.removeLast()
        }
        return labels
    }
}
