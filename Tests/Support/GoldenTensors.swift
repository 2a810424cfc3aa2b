import Compute
import Foundation

/// The tensors of a golden file by name.
package typealias NamedValues = [String: [Float]]

extension ArenaLayout {
    /// Returns an arena with these tensors' values and zero in the gaps.
    package func arena(_ values: NamedValues) -> Buffer<Float> {
        let buffer = Buffer<Float>(count: count)
        for tensor in tensors {
            for (index, value) in (values[tensor.name] ?? []).enumerated() {
                buffer.elements[tensor.offset + index] = value
            }
        }
        return buffer
    }

    /// Whether every element that belongs to no tensor is zero.
    package func gapsAreZero(in buffer: Buffer<Float>) -> Bool {
        let owned = Set(tensors.flatMap { Array($0.range) })
        return (0..<count).allSatisfy { owned.contains($0) || buffer.elements[$0] == 0 }
    }
}

/// Returns the distance of two tensors divided by the norm of the second one.
package func relativeDistance(_ values: some Sequence<Float>, _ reference: [Float]) -> Double {
    var distance = 0.0
    var norm = 0.0
    for (value, expected) in zip(values, reference) {
        distance += (Double(value) - Double(expected)) * (Double(value) - Double(expected))
        norm += Double(expected) * Double(expected)
    }
    return distance == 0 ? 0 : (distance / norm).squareRoot()
}
