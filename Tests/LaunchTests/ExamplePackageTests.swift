import Checkpoints
import Foundation
import Support
import TestSupport
import Testing

/// Tests that another package can use the library products.
@Suite(.serialized) struct ExamplePackageTests {
    private static let package = "\(Launch.root)/Tests/Example"
    /// The build folder of the package, which is kept, so that a second build takes seconds.
    private static let scratch = "\(Launch.root)/.build/example"

    /// Returns a tensor of a file that the example wrote.
    private func values(_ name: String, shape: [Int], in path: String) throws -> [Float] {
        var values = [Float](repeating: .nan, count: shape.reduce(1, *))
        let file = try SafetensorsFile(opening: path)
        try values.withUnsafeMutableBufferPointer { buffer in
            try file.copy(name, shape: shape, into: try #require(buffer.baseAddress))
        }
        return values
    }

    @Test("another package trains on two ranks with the library products")
    func trains() throws {
        let options = ["-c", "release", "--package-path", Self.package]
        let built = try Launch.run(
            "swift", ["build"] + options + ["--scratch-path", Self.scratch], seconds: 900)
        try #require(built.status == 0, "\(built.output.suffix(3000))\(built.errors.suffix(3000))")
        let program = "\(Self.scratch)/release/linear-model"
        let folder = try TemporaryFolder()
        var weights: [[Float]] = []
        for ranks in [1, 2] {
            let path = "\(folder.path)/\(ranks).safetensors"
            let outcome = try Launch.run(
                "\(Launch.root)/launch/mpirun",
                ["--ranks", "\(ranks)", "--oversubscribe", "--", program, path])
            #expect(outcome.status == 0, "\(outcome.errors)")
            #expect(outcome.output.hasPrefix("rate 0.04, loss "), "\(outcome.output)")
            #expect(outcome.output.hasSuffix(" with \(ranks) ranks\n"), "\(outcome.output)")
            let weight = try values("weight", shape: [2, 8], in: path)
            // The planted model: multiples of 1/16.
            for (index, value) in weight.enumerated() {
                let (output, input) = index.quotientAndRemainder(dividingBy: 8)
                let known = Float((7 * output + 5 * input) % 33 - 16) / 16
                #expect(abs(value - known) < 1e-3, "weight \(index): \(value), not \(known)")
            }
            let bias = try values("bias", shape: [2], in: path)
            #expect(abs(bias[0] + 0.25) < 1e-3 && abs(bias[1] - 0.75) < 1e-3, "\(bias)")
            weights.append(weight)
        }
        #expect(zip(weights[0], weights[1]).allSatisfy { abs($0 - $1) < 1e-3 })
        // A failure ends all ranks with its code and one sentence.
        let refused = try Launch.run(
            "\(Launch.root)/launch/mpirun",
            ["--ranks", "3", "--oversubscribe", "--", program, "\(folder.path)/3.safetensors"])
        #expect(refused.status == 64, "\(refused.errors)")
        #expect(refused.errors.contains("3 ranks: do not divide a batch of 64; use 2."))
        #expect(try folder.names() == ["1.safetensors", "2.safetensors"])
    }
}
