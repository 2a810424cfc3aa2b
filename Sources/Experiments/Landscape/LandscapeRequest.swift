import Support

/// The options of `lockstep landscape`.
package struct LandscapeRequest: Sendable {
    /// The choice of the plane.
    package enum Directions: String, Sendable, CaseIterable {
        /// Two random directions, in which each filter is as long as the corresponding filter of
        /// the parameters.
        case filter
        /// The two principal directions of the run's checkpoints.
        case pca
    }

    package var runPath: String
    /// The data folder; nil for the run's own.
    package var dataPath: String?
    package var directions: Directions
    /// The number of points along each axis.
    package var grid: Int
    /// The extent of the grid. For `.filter`, it is the distance from the checkpoint, in lengths of
    /// its filters; nil for 1. For `.pca`, it is the margin around the path, as a fraction of the
    /// path's extent; nil for 0.25.
    package var extent: Double?
    /// The number of validation windows at each point.
    package var sequences: Int
    package var seed: UInt64
    /// The folder to create; nil for one in the run's folder.
    package var outPath: String?

    package init(
        runPath: String, dataPath: String?, directions: Directions, grid: Int, extent: Double?,
        sequences: Int, seed: UInt64, outPath: String?
    ) {
        self.runPath = runPath
        self.dataPath = dataPath
        self.directions = directions
        self.grid = grid
        self.extent = extent
        self.sequences = sequences
        self.seed = seed
        self.outPath = outPath
    }

    /// Checks the options.
    ///
    /// - Throws: `Failure` (usage) that names the option, its value and the valid range.
    package func validate() throws(Failure) {
        try checkGrid(grid, sequences: sequences)
        if let extent, !(extent > 0 && extent <= 100) {
            throw Failure(
                .usage,
                "--extent \(extent): must be above 0 and at most 100; try "
                    + "\(directions == .filter ? "1" : "0.25").")
        }
    }
}

/// Checks the options that all grids of losses share.
///
/// - Throws: `Failure` (usage) that names the option, its value and the valid range.
func checkGrid(_ grid: Int, sequences: Int) throws(Failure) {
    guard (3...501).contains(grid) else {
        throw Failure(
            .usage, "--grid \(grid): must be from 3 to 501 points along each axis; try 21.")
    }
    guard (1...1_000_000).contains(sequences) else {
        throw Failure(
            .usage, "--sequences \(sequences): must be from 1 to 1000000; try 64.")
    }
}
