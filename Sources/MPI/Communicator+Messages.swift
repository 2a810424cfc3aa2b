import COpenMPI
import Support

extension Communicator {
    /// Sends bytes to a rank and returns once they may be changed, by `MPI_Send`.
    package func send(
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

    /// Fills the bytes with the message of a rank, by `MPI_Recv`.
    ///
    /// - Throws: `Failure` (bug) if the message has a different size.
    package func receive(
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
        throw Failure(
            .bug,
            "Rank \(status.MPI_SOURCE) sent \(received) bytes instead of the expected \(expected); "
                + "check that all ranks run the same build, or report this defect.")
    }
}
