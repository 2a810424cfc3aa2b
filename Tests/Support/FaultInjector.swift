import Foundation
import Testing

/// The library of Tests/FaultInjector, which lets the processes that preload it meet faults.
package final class FaultInjector {
    // LD_PRELOAD cannot contain a path with a space.
    private let folder: TemporaryFolder

    package init() throws {
        folder = try TemporaryFolder(hasSpace: false)
        try folder.write("clock", Array(repeating: UInt8(0), count: 16))
        let compiled = try Launch.run(
            "clang",
            [
                "-shared", "-fPIC", "-O1", "-o", "\(folder.path)/injector.so",
                "\(Launch.root)/Tests/FaultInjector/injector.c",
            ])
        try #require(compiled.status == 0, "\(compiled.errors)")
    }

    /// The words that start a command that preloads the library.
    package var prefix: [String] {
        ["env", "LD_PRELOAD=\(folder.path)/injector.so", "LOCKSTEP_FAULTS=\(folder.path)"]
    }

    /// Requests a fault, once or every time.
    package func request(_ fault: String, always: Bool = false) throws {
        if always {
            try FileManager.default.createDirectory(
                atPath: "\(folder.path)/\(fault)", withIntermediateDirectories: false)
        } else {
            try folder.write(fault, "")
        }
    }

    /// Whether a requested fault is still pending.
    package func isPending(_ fault: String) -> Bool {
        FileManager.default.fileExists(atPath: "\(folder.path)/\(fault)")
    }

    /// Lets the wall clock jump.
    package func setClock(aheadBySeconds seconds: Int64) throws {
        let file = try FileHandle(forWritingTo: URL(filePath: "\(folder.path)/clock"))
        try withUnsafeBytes(of: seconds * 1_000_000_000) { try file.write(contentsOf: Data($0)) }
        try file.close()
    }
}
