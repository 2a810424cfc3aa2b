import Compute
import Foundation

/// Tensors by name, as the golden files hold them.
package typealias NamedValues = [String: [Float]]

extension ArenaLayout {
    /// An arena with these tensors' values, zero in the gaps.
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

/// The distance of two tensors over the norm of the second.
package func relativeDistance(_ values: some Sequence<Float>, _ reference: [Float]) -> Double {
    var distance = 0.0
    var norm = 0.0
    for (value, expected) in zip(values, reference) {
        distance += (Double(value) - Double(expected)) * (Double(value) - Double(expected))
        norm += Double(expected) * Double(expected)
    }
    return distance == 0 ? 0 : (distance / norm).squareRoot()
}
