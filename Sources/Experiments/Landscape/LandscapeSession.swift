import Compute
import MPI
import Model
import Recipes
import Support
import Training

/// A session that measures the loss on planes through a run's newest checkpoint, on all ranks.
package struct LandscapeSession {
    /// The choice of the plane.
    package enum Directions: String, Sendable, CaseIterable {
        /// Two random directions, in which each filter is as long as the corresponding filter of
        /// the parameters.
        case filter
        /// The two principal directions of the run's checkpoints.
        case pca
    }

    private let runPath: String
    /// The data folder; nil for the run's own.
    private let dataPath: String?
    private let directions: Directions
    /// The number of points along each axis.
    private let grid: Int
    /// The extent of the grid. For `.filter`, it is the distance from the checkpoint, in lengths of
    /// its filters; nil for 1. For `.pca`, it is the margin around the path, as a fraction of the
    /// path's extent; nil for 0.25.
    private let extent: Double?
    /// The number of validation windows at each point.
    private let sequences: Int
    private let seed: UInt64
    /// The number of planes; more than one only for `.filter`.
    private let planes: Int
    private let folder: ResultFolder
    private let job: Job
    private var communicator: Communicator { job.communicator }

    /// Creates a session that maps the loss around a run's newest checkpoint.
    ///
    /// - Parameter outPath: the folder to create; nil for one in the run's folder.
    package init(
        runPath: String, dataPath: String?, directions: Directions, grid: Int, extent: Double?,
        sequences: Int, seed: UInt64, planes: Int, outPath: String?, in job: Job
    ) {
        self.runPath = runPath
        self.dataPath = dataPath
        self.directions = directions
        self.grid = grid
        self.extent = extent
        self.sequences = sequences
        self.seed = seed
        self.planes = planes
        self.job = job
        folder = ResultFolder(
            outPath ?? "\(RunFolder(runPath).path)/landscape-\(directions.rawValue)")
    }

    /// Measures the landscape and writes its folder; returns nil if a signal stopped it.
    /// Collective: every rank must call this.
    package func run() throws(Failure) -> (landscape: Landscape, folder: String)? {
        try communicator.agree { () throws(Failure) in try validate() }
        // Only the first host needs the run's folder.
        let run = try communicator.onFirstRank { () throws(Failure) in
            try RunCheckpoints(run: runPath, newestOnly: false)
        }
        let toml = try communicator.fromFirstRank { () throws(Failure) in run?.recipe.toml ?? "" }
        var recipe = try communicator.agree { () throws(Failure) in
            try Recipe(toml: toml, name: "the run's recipe")
        }
        let data = try RunFolder(runPath).openData(
            at: dataPath, fingerprint: run?.checkpoints.last?.manifest.dataFingerprint ?? "",
            recipe: &recipe, communicator: communicator)
        let vega = try communicator.onFirstRank { () throws(Failure) in try folder.prepare() }
        try communicator.sameOnAllRanks("validation data", data.validationFingerprint)
        guard let landscape = try measure(run, recipe, data) else { return nil }
        try communicator.onFirstRank { () throws(Failure) in
            try folder.write(
                ("landscape.csv", landscape.table), ("landscape.json", landscape.json),
                page: landscape.page, vega: vega)
        }
        return (landscape, folder.path)
    }

    /// Checks the options.
    ///
    /// - Throws: `Failure` (usage) that names the option, its value and the valid range.
    private func validate() throws(Failure) {
        try checkGrid(grid, sequences: sequences)
        try requireOption("--planes", planes, in: 1...Self.mostPlanes, remedy: "try 4")
        guard planes == 1 || directions == .filter else {
            throw .option(
                "--planes", planes, "must be 1 with --directions pca, which gives one plane",
                remedy: "use --directions filter")
        }
        if let extent, !(extent > 0 && extent <= 100) {
            throw .option(
                "--extent", extent, "must be above 0 and at most 100",
                remedy: "try \(directions == .filter ? "1" : "0.25")")
        }
    }

    private static let mostPlanes = 25

    private func announce() {
        job.announce(
            """
            measuring the loss around \(runPath) at \(grid) x \(grid) points of \
            \(Format.counted(planes, "plane")) (\(directions.rawValue)), over \
            \(Format.counted(sequences, "validation sequence")) at most, on \(job.layout)
            """)
    }

    /// A plane, the grid on it, and the run's path.
    private struct ChosenPlane {
        /// The step of the checkpoint at the origin.
        let step: Int
        let plane: ParameterPlane
        let grid: PlaneGrid
        let path: [Landscape.Step]
        let held: Double
        var explained: [Double] = []
    }

    /// Returns the first rank's choice on all ranks; only the first rank has the path. Collective:
    /// every rank must call this.
    private func onAllRanks(
        _ own: ChosenPlane?, parameterCount: Int
    ) throws(Failure) -> ChosenPlane {
        let plane =
            own?.plane
            ?? ParameterPlane(
                origin: Buffer(count: parameterCount), first: Buffer(count: parameterCount),
                second: Buffer(count: parameterCount))
        for parameters in [plane.origin, plane.first, plane.second] {
            try communicator.broadcast(parameters.bytes)
        }
        let step = try communicator.allReduce(Int64(own?.step ?? 0), .maximum)
        let (x, y) = (own?.grid.x ?? 0...0, own?.grid.y ?? 0...0)
        // The path is only on the rank that writes it.
        let all = try communicator.allGather(
            [x.lowerBound, x.upperBound, y.lowerBound, y.upperBound])
        return ChosenPlane(
            step: Int(step), plane: plane,
            grid: PlaneGrid(x: all[0]...all[1], y: all[2]...all[3], size: grid),
            path: own?.path ?? [], held: own?.held ?? 0, explained: own?.explained ?? [])
    }

    /// Chooses a plane of a run.
    ///
    /// - Parameter number: the number of the plane, starting at 0.
    private func choosePlane(_ run: RunCheckpoints, number: Int) throws(Failure) -> ChosenPlane {
        let origin = try run.parameters(of: run.checkpoints.count - 1)
        switch directions {
        case .filter:
            let extent = extent ?? 1
            let directions = (1...2).map {
                FilterDirections.direction(
                    2 * number + $0, seed: seed, at: origin, layout: run.layout)
            }
            let plane = ParameterPlane(
                origin: origin, first: directions[0], second: directions[1])
            let (places, held) = try path(of: run).projected(onto: plane)
            return ChosenPlane(
                step: run.checkpoints[run.checkpoints.count - 1].step, plane: plane,
                grid: PlaneGrid(x: -extent...extent, y: -extent...extent, size: grid),
                path: steps(of: run, at: places), held: held)
        case .pca: return try principalPlane(run, origin)
        }
    }

    private func path(of run: RunCheckpoints) -> ParameterPath {
        ParameterPath(layout: run.layout.arena, count: run.checkpoints.count) {
            (point, tensor, values) throws(Failure) in try run.copy(tensor, of: point, into: values)
        }
    }

    private func steps(
        of run: RunCheckpoints, at places: [(x: Double, y: Double)]
    ) -> [Landscape.Step] {
        zip(run.checkpoints, places).map { Landscape.Step(step: $0.step, x: $1.x, y: $1.y) }
    }

    private func principalPlane(
        _ run: RunCheckpoints, _ origin: Buffer<Float>
    ) throws(Failure) -> ChosenPlane {
        let count = run.checkpoints.count
        let remedy =
            "train with [checkpoint] keep = 0 and a smaller every, such as `--set checkpoint.keep=0 "
            + "--set checkpoint.every=\(max(1, run.recipe.training.steps / 20))`, or use "
            + "--directions filter"
        guard count >= 3 else {
            throw .file(
                .missingInput, runPath,
                "has \(Format.counted(count, "whole checkpoint")), but --directions pca needs at least 3",
                remedy: remedy)
        }
        let path = path(of: run)
        guard
            let principal = PrincipalPlane(
                products: try path.products(from: origin), isCentered: true)
        else {
            throw .file(
                .badData, runPath,
                "has checkpoints that are equal or lie on a line, which spans no plane",
                remedy: remedy)
        }
        let directions = try path.directions(principal.weights, from: origin)
        let plane = ParameterPlane(origin: origin, first: directions[0], second: directions[1])
        return ChosenPlane(
            step: run.checkpoints[count - 1].step, plane: plane,
            grid: PlaneGrid(around: principal.coordinates, margin: extent ?? 0.25, size: grid),
            path: steps(of: run, at: principal.coordinates),
            held: try path.projected(onto: plane).held, explained: principal.explained)
    }

    /// Chooses the planes one after another, because several may not fit into memory, and measures
    /// their losses; returns nil if a signal stopped the measurement.
    ///
    /// - Parameter run: the run's checkpoints; only the first rank needs them.
    private func measure(
        _ run: RunCheckpoints?, _ recipe: Recipe, _ data: TrainingData
    ) throws(Failure) -> Landscape? {
        let precision = recipe.training.precision
        let loss = WindowLoss(
            recipe: recipe, data: data, sequences: sequences, engine: job.makeEngine())
        let line = job.pointsLine("measuring losses", grid * grid, times: planes)
        defer { line.finish() }
        var (measured, step, explained): ([Landscape.Plane], Int, [Double]) = ([], 0, [])
        var originLoss = Double.nan
        for number in 0..<planes {
            let own = try communicator.agree { () throws(Failure) in
                try run.map { (run) throws(Failure) in try choosePlane(run, number: number) }
            }
            let chosen = try onAllRanks(own, parameterCount: loss.layout.arena.count)
            (step, explained) = (chosen.step, chosen.explained)
            if number == 0 {
                announce()
                originLoss = loss(Parameters(chosen.plane.origin, precision: precision))
                try requireFinite(
                    [originLoss],
                    or: RunFolder(runPath).diverged(at: step, result: "a loss"))
            }
            let before = line.done
            let surface = try LossSurface(
                chosen.grid, on: chosen.plane, communicator: communicator,
                progress: { line.update(done: before + $0) },
                loss: { loss(Parameters($0, precision: precision)) })
            guard let surface else { return nil }
            try requireFinite(
                surface.losses,
                or: .about(
                    .badData, "the grid", "has no loss that is a finite number",
                    remedy: "give --extent a smaller value"))
            measured.append(
                Landscape.Plane(
                    surface: surface, path: chosen.path, held: chosen.held,
                    cosine: chosen.plane.cosine))
        }
        return Landscape(
            run: runPath, directions: directions, seed: seed, step: step,
            sequences: loss.sequences, targets: loss.targets, originLoss: originLoss,
            planes: measured, explained: explained)
    }

    /// Checks that at least one loss is finite. Collective; all ranks must pass the same losses.
    ///
    /// - Throws: `failure` if none is finite.
    private func requireFinite(
        _ losses: [Double], or failure: @autoclosure () -> Failure
    ) throws(Failure) {
        guard !losses.contains(where: \.isFinite) else { return }
        try communicator.onFirstRank { () throws(Failure) -> Void in
            throw failure()
        }
    }
}

/// Checks the options that all grids of losses share.
///
/// - Throws: `Failure` (usage) that names the option, its value and the valid range.
func checkGrid(_ grid: Int, sequences: Int) throws(Failure) {
    try requireOption("--grid", grid, in: 3...501, remedy: "try 21")
    try requireOption("--sequences", sequences, in: 1...1_000_000, remedy: "try 64")
}
