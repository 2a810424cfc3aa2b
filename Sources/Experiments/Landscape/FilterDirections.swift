import Compute
import Model

/// Random directions whose filters have the same lengths as those of the parameters (Li et al.
/// 2018, 1712.09913, section 4): a step of 1 along them changes every filter by its own length.
///
/// A filter is the weights of one neuron: a column of a projection, whose weight is (inputs,
/// outputs) here, or a row of an embedding, which is the vector of one token or position. Biases
/// and norms have no filters, and their part of a direction is zero, as in the paper.
package enum FilterDirections {
    /// The axis of a matrix that numbers its filters.
    package enum FilterAxis: Sendable { case rows, columns }

    /// Returns a direction at some parameters. Each element is a function of the seed, the
    /// direction's number, the tensor's name and the element's index in the tensor.
    package static func direction(
        _ number: Int, seed: UInt64, at parameters: Buffer<Float>, layout: GPTLayout
    ) -> Buffer<Float> {
        let direction = Buffer<Float>(count: parameters.count)
        let random = CounterRandom(seed: seed, stream: .landscape)
        let embeddings = [layout.tokenEmbedding, layout.positionEmbedding, layout.head].map {
            $0?.name
        }
        for tensor in layout.arena.tensors where tensor.shape.count == 2 {
            let values = direction.base + tensor.offset
            fillNormal(
                values, count: tensor.count, standardDeviation: 1, random,
                placeNumber(of: "direction \(number) of \(tensor.name)"))
            normalize(
                values, like: parameters.base + tensor.offset, rows: tensor.shape[0],
                columns: tensor.shape[1],
                filters: embeddings.contains(tensor.name) ? .rows : .columns)
        }
        return direction
    }

    /// Scales each filter of a direction (rows, columns) to the length of the parameters' filter.
    package static func normalize(
        _ direction: UnsafeMutablePointer<Float>, like parameters: UnsafePointer<Float>,
        rows: Int, columns: Int, filters: FilterAxis
    ) {
        let count = filters == .rows ? rows : columns
        var own = [Double](repeating: 0, count: count)
        var wanted = [Double](repeating: 0, count: count)
        for row in 0..<rows {
            for column in 0..<columns {
                let filter = filters == .rows ? row : column
                let (d, p) = (direction[row * columns + column], parameters[row * columns + column])
                own[filter] += Double(d) * Double(d)
                wanted[filter] += Double(p) * Double(p)
            }
        }
        let scales = zip(own, wanted).map { Float($0 > 0 ? ($1 / $0).squareRoot() : 0) }
        for row in 0..<rows {
            for column in 0..<columns {
                direction[row * columns + column] *= scales[filters == .rows ? row : column]
            }
        }
    }
}
