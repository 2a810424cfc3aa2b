import COpenMPI
import Support

extension Communicator {
    /// Sends bytes to a rank and returns once they may be changed, by `MPI_Send`.
    public func send(
        _ bytes: UnsafeRawBufferPointer, to destination: Int, tag: Int = 0
    ) throws(Failure) {
        for offset in stride(from: 0, to: max(1, bytes.count), by: Self.largestPiece) {
            let count = min(Self.largestPiece, bytes.count - offset)
            let piece = bytes.baseAddress.map { $0 + offset }
            try checkWaiting(
                "MPI_Send",
                MPI_Send(
                    piece, Int32(count), lockstep_byte(), Int32(destination), Int32(tag), handle))
        }
    }

    /// Sends an array of values to a rank, by `MPI_Send`.
    public func send<Element: BitwiseCopyable>(
        _ values: [Element], to destination: Int, tag: Int = 0
    ) throws(Failure) {
        try values.withUnsafeBufferPointer { (values) throws(Failure) in
            try send(UnsafeRawBufferPointer(values), to: destination, tag: tag)
        }
    }

    /// Returns an array of `count` values that a rank has sent, by `MPI_Recv`.
    ///
    /// - Parameter blank: any value, which fills the array until the message arrives.
    /// - Throws: `Failure` (bug) if the message has a different size.
    public func receive<Element: BitwiseCopyable>(
        _ count: Int, of blank: Element, from source: Int, tag: Int = 0
    ) throws(Failure) -> [Element] {
        var values = [Element](repeating: blank, count: count)
        try values.withUnsafeMutableBufferPointer { (values) throws(Failure) in
            try receive(into: UnsafeMutableRawBufferPointer(values), from: source, tag: tag)
        }
        return values
    }

    /// Fills the bytes with the message of a rank, by `MPI_Recv`.
    ///
    /// - Throws: `Failure` (bug) if the message has a different size.
    public func receive(
        into bytes: UnsafeMutableRawBufferPointer, from source: Int, tag: Int = 0
    ) throws(Failure) {
        for offset in stride(from: 0, to: max(1, bytes.count), by: Self.largestPiece) {
            let count = min(Self.largestPiece, bytes.count - offset)
            let piece = bytes.baseAddress.map { $0 + offset }
            var status = MPI_Status()
            try checkWaiting(
                "MPI_Recv",
                MPI_Recv(
                    piece, Int32(count), lockstep_byte(), Int32(source), Int32(tag), handle,
                    &status))
            try checkSize(of: &status, expected: count)
        }
    }
}

/// Throws if a message is shorter than expected; MPI itself rejects longer ones.
func checkSize(of status: inout MPI_Status, expected: Int) throws(Failure) {
    var received: Int32 = 0
    try check("MPI_Get_count", MPI_Get_count(&status, lockstep_byte(), &received))
    guard received == expected else {
        throw .about(
            .bug, "rank \(status.MPI_SOURCE)",
            "sent \(received) bytes instead of the expected \(expected)",
            remedy: "check that all ranks run the same build, or report this defect")
    }
}
