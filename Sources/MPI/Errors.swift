import COpenMPI
import Support

/// Throws a `Failure` with the library's own text if an MPI call failed.
///
/// - Throws: `Failure` (bug) for errors that only wrong arguments cause, and `Failure` (input or
///   output) for all others.
func check(_ call: StaticString, _ status: Int32) throws(Failure) {
    guard status != MPI_SUCCESS else { return }
    let text = errorText(status)
    if isProgrammersMistake(status) { throw .defect("\(call) failed with \(text)") }
    throw .about(
        .inputOutput, "\(call)", "failed with \(text)",
        remedy: "check that the hosts and the network between them are up, then resume from the "
            + "last checkpoint")
}

/// Makes an MPI call that waits for other ranks, and checks it as `check` does.
@inline(__always)
func checkWaiting(_ call: StaticString, _ status: @autoclosure () -> Int32) throws(Failure) {
    try check(call, RankActivity.during(.waiting) { status() })
}

/// Returns MPI's text for an error code.
private func errorText(_ status: Int32) -> String {
    var text = [CChar](repeating: 0, count: Int(MPI_MAX_ERROR_STRING))
    var length: Int32 = 0
    guard MPI_Error_string(status, &text, &length) == MPI_SUCCESS else {
        return "error code \(status)"
    }
    return "“\(string(from: text, length: length))”"
}

private func isProgrammersMistake(_ status: Int32) -> Bool {
    var errorClass: Int32 = 0
    guard MPI_Error_class(status, &errorClass) == MPI_SUCCESS else { return false }
    return [
        MPI_ERR_BUFFER, MPI_ERR_COUNT, MPI_ERR_TYPE, MPI_ERR_TAG, MPI_ERR_COMM, MPI_ERR_RANK,
        MPI_ERR_REQUEST, MPI_ERR_ROOT, MPI_ERR_GROUP, MPI_ERR_OP, MPI_ERR_ARG, MPI_ERR_TRUNCATE,
    ].contains(errorClass)
}

/// Returns the string in a buffer that a C function filled, up to a zero byte if there is one.
func string(from text: [CChar], length: Int32) -> String {
    let bytes = text.prefix(Int(length)).prefix { $0 != 0 }
    return String(decoding: bytes.map(UInt8.init(bitPattern:)), as: UTF8.self)
}
