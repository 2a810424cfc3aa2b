import Compute
import MPI
import Support
import Telemetry
import Training

/// The losses at the points of a grid on a plane.
package struct LossSurface: Sendable {
    package let grid: PlaneGrid
    /// The losses by the numbers of the points; some may not be finite.
    package let losses: [Double]

    /// Measures the losses; returns nil if a signal asked a rank to stop. Collective: every rank
    /// must call this.
    ///
    /// Each point is measured by a single rank with its own copy of the parameters, so the values
    /// are the same on any number of ranks.
    ///
    /// - Parameters:
    ///   - progress: receives the number of points that this rank has measured.
    ///   - loss: returns the loss of the parameters in a buffer, which is reused for each point.
    init?(
        _ grid: PlaneGrid, on plane: ParameterPlane, communicator: Communicator,
        progress: (Int) -> Void, loss: @escaping (Buffer<Float>) -> Double
    ) throws(Failure) {
        let losses = try measurePoints(
            grid.count, communicator: communicator, progress: progress,
            piece: Self.pointLoss(of: grid, on: plane, loss: loss))
        guard let losses else { return nil }
        self.init(grid: grid, losses: losses)
    }

    /// Creates a surface from the losses at all points of a grid, in the order of the points.
    package init(grid: PlaneGrid, losses: [Double]) {
        precondition(losses.count == grid.count, "every point of the grid must have a loss")
        self.grid = grid
        self.losses = losses
    }

    /// Returns a function that computes the loss at a point from the point's number. It allocates
    /// one buffer, which it reuses for each point.
    package static func pointLoss(
        of grid: PlaneGrid, on plane: ParameterPlane, loss: @escaping (Buffer<Float>) -> Double
    ) -> (Int) -> Double {
        let parameters = Buffer<Float>(count: plane.origin.count)
        return { index in
            let (x, y) = grid.place(index)
            plane.copy(x: x, y: y, into: parameters)
            return loss(parameters)
        }
    }

    /// The least finite loss and its position; nil if none is finite.
    package var least: (loss: Double, x: Double, y: Double)? {
        let finite = losses.indices.filter { losses[$0].isFinite }
        guard let index = finite.min(by: { losses[$0] < losses[$1] }) else { return nil }
        let (x, y) = grid.place(index)
        return (losses[index], x, y)
    }
}

extension Job {
    /// Returns a progress line for points that all ranks share, such as those of several surfaces.
    func pointsLine(_ title: String, _ count: Int, times: Int = 1) -> ProgressLine {
        let shares = WorkShares(count: count, size: communicator.size)
        return progressLine(
            title, total: times * shares.pieces(ofRank: communicator.rank).count,
            unit: .things("points of each rank", showsRate: false))
    }
}

/// Divides numbered pieces of work among ranks and gathers their results on all of them.
/// Collective: every rank must call this.
///
/// - Parameter progress: receives the number of pieces that this rank has measured.
/// - Returns: the results in order; nil if a signal asked a rank to stop.
func measurePoints(
    _ count: Int, communicator: Communicator, progress: (Int) -> Void = { _ in },
    piece: (Int) -> Double
) throws(Failure) -> [Double]? {
    let shares = WorkShares(count: count, size: communicator.size)
    var own = [Double](repeating: 0, count: shares.slots)
    for (slot, index) in shares.pieces(ofRank: communicator.rank).enumerated() {
        if StopSignals.stopRequested { break }
        own[slot] = piece(index)
        progress(slot + 1)
    }
    if try communicator.isTrueOnAnyRank(StopSignals.stopRequested) { return nil }
    return shares.assemble(communicator.size == 1 ? own : try communicator.allGather(own))
}
