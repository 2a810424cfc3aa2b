import Compute
import Model

/// Random directions whose filters have the same lengths as those of the parameters (Li et al.
/// 2018, 1712.09913, section 4): a step of 1 along them changes every filter by its own length.
///
/// A filter is the weights of one neuron: a column of a projection whose weight is (inputs,
/// outputs), a row of one whose weight is (outputs, inputs), or a row of an embedding, which is the
/// vector of one token or position. Biases and norms have no filters, and their part of a direction
/// is zero, as in the paper.
package enum FilterDirections {
    /// Returns a direction at some parameters. Each element is a function of the seed, the
    /// direction's number, the tensor's name and the element's index in the tensor.
    package static func direction(
        _ number: Int, seed: UInt64, at parameters: Buffer<Float>, layout: GPTLayout
    ) -> Buffer<Float> {
        let direction = Buffer<Float>(count: parameters.count)
        let random = CounterRandom(seed: seed, stream: .landscape)
        for tensor in layout.arena.tensors where tensor.shape.count == 2 {
            random.fillNormal(
                direction.vector(tensor), standardDeviation: 1,
                tensor: placeNumber(of: "direction \(number) of \(tensor.name)"))
            direction.matrix(tensor).scaleFilters(
                layout.hasNeuronsAsRows(tensor) ? .rows : .columns,
                toLengthsOf: parameters.matrix(tensor))
        }
        return direction
    }
}
