import Collectives
import Compute
import Testing

/// Tests of the division of matrices among the ranks that work on them.
@Suite struct MatrixExchangeTests {
    private func matrices(_ shapes: [(rows: Int, columns: Int)], parts: Int = 1) -> [LayerMatrix] {
        shapes.enumerated().map { index, shape in
            LayerMatrix(
                NamedTensor(
                    name: "\(index)", shape: [shape.rows, parts * shape.columns], offset: 0),
                parts: parts)
        }
    }

    @Test("the matrices with the most work come first, each to the rank with the least so far")
    func workers() {
        // The work is the product of both sizes and the smaller of them: 8, 1000, 64, 8, 640.
        let matrices = self.matrices([(2, 2), (10, 10), (4, 4), (2, 2), (8, 10)])
        #expect(MatrixExchange.workers(for: matrices, ranks: 1) == [0, 0, 0, 0, 0])
        #expect(MatrixExchange.workers(for: matrices, ranks: 2) == [1, 0, 1, 1, 1])
        #expect(MatrixExchange.workers(for: matrices, ranks: 3) == [2, 0, 2, 2, 1])
        #expect(MatrixExchange.workers(for: matrices, ranks: 7) == [3, 0, 2, 4, 1])
        #expect(MatrixExchange.workers(for: [], ranks: 3).isEmpty)
    }

    @Test("weights that share a tensor are orthogonalized one by one")
    func parts() {
        // Three weights of 8 x 4 take 3 * 128, less than one of 8 x 8, which takes 512.
        let both = matrices([(8, 4)], parts: 3) + matrices([(8, 8)])
        #expect(MatrixExchange.workers(for: both, ranks: 2) == [1, 0])
    }

    @Test("no rank has more work than another by more than one matrix", arguments: 1...9)
    func balance(ranks: Int) {
        let shapes = (0..<24).map { (rows: 16 + $0 * 7 % 11, columns: 16 + $0 * 5 % 13) }
        let matrices = self.matrices(shapes)
        let work = shapes.map { $0.rows * $0.columns * min($0.rows, $0.columns) }
        let workers = MatrixExchange.workers(for: matrices, ranks: ranks)
        var loads = [Int](repeating: 0, count: ranks)
        for (worker, work) in zip(workers, work) { loads[worker] += work }
        #expect((loads.max() ?? 0) - (loads.min() ?? 0) <= (work.max() ?? 0))
    }
}
