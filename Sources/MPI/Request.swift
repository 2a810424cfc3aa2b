import COpenMPI
import Support

/// A message under way, which keeps the owner of its memory alive until the message is done.
///
/// Add it to a `RequestSet`. A request that is dropped unfinished leaks its owner on purpose,
/// because MPI may still be reading or writing that memory.
package struct Request: ~Copyable {
    private var handle: MPI_Request?
    private let owner: AnyObject
    private let expectedBytes: Int?

    init(handle: MPI_Request?, owner: AnyObject, expectedBytes: Int?) {
        self.handle = handle
        self.owner = owner
        self.expectedBytes = expectedBytes
    }

    deinit {
        if handle != lockstep_request_null() { _ = Unmanaged.passRetained(owner) }
    }

    /// Hands the message to a set.
    fileprivate consuming func release() -> RequestSet.Entry {
        let entry = RequestSet.Entry(owner: owner, expectedBytes: expectedBytes, handle: handle)
        handle = lockstep_request_null()
        return entry
    }
}

/// Messages under way, any of which may be done first; each carries a number that identifies it.
package struct RequestSet: ~Copyable {
    fileprivate struct Entry {
        let owner: AnyObject
        let expectedBytes: Int?
        let handle: MPI_Request?
    }

    private var handles: [MPI_Request?] = []
    private var entries: [Entry] = []
    private var labels: [Int] = []
    private var indices: [Int32] = []
    private var statuses: [MPI_Status] = []

    package init() {}

    deinit {
        for entry in entries { _ = Unmanaged.passRetained(entry.owner) }
    }

    /// The number of messages that are not yet done.
    package var count: Int { handles.count }

    /// Adds a message; `testSome` returns `label` when the message is done.
    package mutating func add(_ request: consuming Request, label: Int) {
        let entry = request.release()
        handles.append(entry.handle)
        entries.append(entry)
        labels.append(label)
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

        var doneLabels: [Int] = []
        for position in 0..<Int(done) {
            let index = Int(indices[position])
            doneLabels.append(labels[index])
            if let expected = entries[index].expectedBytes {
                try checkSize(of: &statuses[position], expected: expected)
            }
        }
        // From the highest index down, so that moving the last entry into the gap affects no other
        // index.
        for index in indices.prefix(Int(done)).sorted(by: >) { remove(Int(index)) }
        return doneLabels
    }

    private mutating func remove(_ index: Int) {
        handles.swapAt(index, handles.count - 1)
        entries.swapAt(index, entries.count - 1)
        labels.swapAt(index, labels.count - 1)
        handles.removeLast()
        entries.removeLast()
        labels.removeLast()
    }
}
