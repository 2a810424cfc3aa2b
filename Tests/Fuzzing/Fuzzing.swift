// The entry points that libFuzzer calls. `Tests/Fuzzing/run` compiles this file with `Readers.swift`; the package does
// not.

import Glibc
import Support

private func variable(_ name: String) -> String {
    getenv(name).map { String(cString: $0) } ?? ""
}

private let folder = variable("LOCKSTEP_FUZZING_FOLDER")

nonisolated(unsafe) private var reader: (Input) throws -> Void = { _ in }

@_cdecl("LLVMFuzzerInitialize")
public func initialize(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>>>
) -> CInt {
    let name = variable("LOCKSTEP_FUZZING_READER")
    guard let chosen = readers[name] else { fatalError("there is no reader \"\(name)\"") }
    reader = chosen
    return 0
}

@_cdecl("LLVMFuzzerTestOneInput")
public func test(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    do {
        try reader(
            Input(bytes: UnsafeRawBufferPointer(start: start, count: count), folder: folder))
    } catch let failure as Failure {
        precondition(failure.code != .bug, failure.sentence)
    } catch is JSONProblem {
    } catch { fatalError("\(error)") }
    return 0
}
