import Foundation
import Support
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests that a change of the program does not change bits.
    @Suite struct GoldenRunTests {
        /// The digests were recorded with version 0.1.0. An intended change of bits requires new
        /// digests and an entry in the changelog.
        @Test(
            "a run in fp32 gives the bytes that version 0.1.0 gave", arguments: [0, 3])
        func bytesOfARun(ranks: Int) throws {
            let bench = try Workbench()
            try bench.train(ranks: ranks)
            for (name, digest) in [
                ("model", "d60ddb5dec54e3b7d71e24d01090c2fe1459cc64adedb372d71336e956ee3264"),
                ("optimizer", "fe4291bdfeea1ea89b7bf41562402984fe6690db0847958064a8d4b0bd4211a8"),
            ] {
                let bytes = try bench.bytes(of: "\(Workbench.checkpoint(6))/\(name).safetensors")
                #expect(bytes.withUnsafeBytes { SHA256.hash($0) } == digest, "\(name)")
            }
        }
    }
}
