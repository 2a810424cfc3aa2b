import Glibc

extension RobustValleyFit {
    /// Returns the curvature of each batch's best-fitting parabola whose minimum is at the start. A
    /// batch without a positive curvature gets that of all batches.
    static func startCurvatures(
        _ runs: [ValleyRun], _ starts: [Double], _ cells: ValleyCells, isShared: Bool
    ) -> [Double] {
        let ones = [Double](repeating: 1, count: runs.count)
        let squares = cells.centered(
            runs.map { pow($0.logRate - starts[$0.batch], 2) }, weights: ones)
        let losses = cells.centered(runs.map(\.loss), weights: ones)
        var products = [Double](repeating: 0, count: starts.count)
        var norms = products
        for (place, run) in runs.enumerated() {
            products[run.batch] += squares[place] * losses[place]
            norms[run.batch] += squares[place] * squares[place]
        }
        let norm = norms.reduce(0, +)
        let shared = max(1e-6, norm > 0 ? products.reduce(0, +) / norm : 0)
        return zip(products, norms).map { !isShared && $0 > 0 && $1 > 0 ? $0 / $1 : shared }
    }
}
