import Compute
import MPI
import Model
import Recipes
import Report
import Support
import Telemetry
import Training

/// A session that measures the loss on a plane through a run's newest checkpoint, on all ranks.
package struct LandscapeSession {
    private let request: LandscapeRequest
    private let job: Job
    private let communicator: Communicator
    private let folder: ResultFolder

    package init(_ request: LandscapeRequest, in job: Job) {
        self.request = request
        self.job = job
        communicator = job.communicator
        folder = ResultFolder(
            request.outPath
                ?? "\(RunFolder(request.runPath).path)/landscape-\(request.directions.rawValue)")
    }

    /// Measures the landscape and writes its folder; returns nil if a signal stopped it.
    /// Collective.
    package func run() throws(Failure) -> (landscape: Landscape, folder: String)? {
        try communicator.agree { () throws(Failure) in try request.validate() }
        // Only the first host needs the run's folder.
        let run = try communicator.onFirstRank { () throws(Failure) in
            try RunCheckpoints(run: request.runPath, newestOnly: request.directions == .filter)
        }
        let toml = try communicator.fromFirstRank { () throws(Failure) in run?.recipe.toml ?? "" }
        var recipe = try communicator.agree { () throws(Failure) in
            try Recipe(toml: toml, name: "the run's recipe")
        }
        let data = try RunFolder(request.runPath).openData(
            at: request.dataPath,
            fingerprint: run?.checkpoints.last?.manifest.dataFingerprint ?? "", recipe: &recipe,
            communicator: communicator)
        // If the output cannot be written, the command must fail before the work and not after it.
        let vega = try communicator.onFirstRank { () throws(Failure) in
            try folder.requireFree()
            return try VegaLibrary.script()
        }
        try communicator.sameOnAllRanks("validation data", data.validationFingerprint)
        let own = try communicator.onFirstRank { () throws(Failure) -> ChosenPlane? in
            guard let run else { return nil }
            return try choosePlane(run)
        }
        let chosen = try onAllRanks(own ?? nil, parameterCount: GPTLayout(recipe.model).arena.count)
        announce()
        guard let landscape = try measure(recipe, data, chosen) else { return nil }
        try communicator.onFirstRank { () throws(Failure) in
            try folder.write([
                ("landscape.csv", landscape.table), ("landscape.json", landscape.json.text + "\n"),
                ("report.html", landscape.page.html(vega: vega ?? "")),
            ])
        }
        return (landscape, folder.path)
    }

    private func announce() {
        job.announce(
            """
            measuring the loss around \(request.runPath) at \(request.grid) x \(request.grid) points of a \
            plane (\(request.directions.rawValue)), over \
            \(Format.counted(request.sequences, "validation sequence")) at most, on \(job.layout)
            """)
    }

    /// A plane, the grid on it, and the run's path.
    private struct ChosenPlane {
        /// The step of the checkpoint at the origin.
        let step: Int
        let plane: ParameterPlane
        let grid: PlaneGrid
        let path: [Landscape.Step]
        let explained: [Double]
    }

    /// Returns the first rank's choice on all ranks; only the first rank has the path. Collective.
    private func onAllRanks(_ own: ChosenPlane?, parameterCount: Int) throws(Failure) -> ChosenPlane
    {
        let plane =
            own?.plane
            ?? ParameterPlane(
                origin: Buffer(count: parameterCount), first: Buffer(count: parameterCount),
                second: Buffer(count: parameterCount))
        for parameters in [plane.origin, plane.first, plane.second] {
            try communicator.broadcast(parameters.bytes)
        }
        let step = try communicator.allReduce(Int64(own?.step ?? 0), .maximum)
        var ends = [0.0, 0, 0, 0]
        if let grid = own?.grid {
            ends = [grid.x.lowerBound, grid.x.upperBound, grid.y.lowerBound, grid.y.upperBound]
        }
        let all = try communicator.allGather(ends)
        return ChosenPlane(
            step: Int(step), plane: plane,
            grid: PlaneGrid(x: all[0]...all[1], y: all[2]...all[3], size: request.grid),
            path: own?.path ?? [], explained: own?.explained ?? [])
    }

    private func choosePlane(_ run: RunCheckpoints) throws(Failure) -> ChosenPlane {
        let origin = try run.parameters(of: run.checkpoints.count - 1)
        switch request.directions {
        case .filter:
            let extent = request.extent ?? 1
            let directions = (1...2).map {
                FilterDirections.direction(
                    $0, seed: request.seed, at: origin, layout: run.layout)
            }
            return ChosenPlane(
                step: run.checkpoints[run.checkpoints.count - 1].step,
                plane: ParameterPlane(
                    origin: origin, first: directions[0], second: directions[1]),
                grid: PlaneGrid(x: -extent...extent, y: -extent...extent, size: request.grid),
                path: [], explained: [])
        case .pca: return try principalPlane(run, origin)
        }
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
                .missingInput, request.runPath,
                "has \(Format.counted(count, "whole checkpoint")), but --directions pca needs "
                    + "at least 3",
                remedy: remedy)
        }
        let path = ParameterPath(layout: run.layout.arena, count: count) {
            (point, tensor, values) throws(Failure) in
            try run.copy(tensor, of: point, into: values)
        }
        guard
            let principal = PrincipalPlane(
                products: try path.products(from: origin), isCentered: true)
        else {
            throw .file(
                .badData, request.runPath,
                "has checkpoints that are equal or lie on a line, which spans no plane",
                remedy: remedy)
        }
        let directions = try path.directions(principal.weights, from: origin)
        return ChosenPlane(
            step: run.checkpoints[count - 1].step,
            plane: ParameterPlane(origin: origin, first: directions[0], second: directions[1]),
            grid: PlaneGrid(
                around: principal.coordinates, margin: request.extent ?? 0.25, size: request.grid),
            path: zip(run.checkpoints, principal.coordinates).map {
                Landscape.Step(step: $0.step, x: $1.x, y: $1.y)
            },
            explained: principal.explained)
    }

    private func measure(
        _ recipe: Recipe, _ data: TrainingData, _ chosen: ChosenPlane
    ) throws(Failure) -> Landscape? {
        let precision = recipe.training.precision
        let loss = WindowLoss(
            recipe: recipe, data: data, sequences: request.sequences, engine: job.makeEngine())
        let originLoss = loss(Parameters(chosen.plane.origin, precision: precision))
        try requireFinite(
            [originLoss],
            "The checkpoint of step \(chosen.step) in \(request.runPath) gives a loss that is not a "
                + "number, because the training diverged; "
                + RunFolder(request.runPath).remedy(insteadOf: chosen.step) + ".")
        let progress = gridProgress(chosen.grid, in: job)
        defer { progress.finish() }
        let surface = try LossSurface(
            chosen.grid, on: chosen.plane, communicator: communicator,
            loss: { loss(Parameters($0, precision: precision)) },
            progress: { progress.update(done: $0) })
        if let surface {
            try requireFinite(
                surface.losses,
                "No loss on the grid is a finite number; give --extent a smaller value.")
        }
        return surface.map {
            Landscape(
                run: request.runPath, directions: request.directions, seed: request.seed,
                step: chosen.step, sequences: loss.sequences,
                targets: loss.targets, originLoss: originLoss, surface: $0, path: chosen.path,
                explained: chosen.explained, cosine: chosen.plane.cosine)
        }
    }

    /// Checks that at least one loss is finite. Collective; all ranks must pass the same losses.
    ///
    /// - Throws: `Failure` (bad data) with `sentence` if none is finite.
    private func requireFinite(
        _ losses: [Double], _ sentence: @autoclosure () -> String
    ) throws(Failure) {
        guard !losses.contains(where: \.isFinite) else { return }
        try communicator.onFirstRank { () throws(Failure) -> Void in
            throw Failure(.badData, sentence())
        }
    }
}

/// Returns the progress line for this rank's part of a grid, which rank 0 shows.
func gridProgress(_ grid: PlaneGrid, in job: Job) -> ProgressLine {
    let shares = GridShares(count: grid.count, size: job.communicator.size)
    return job.progressLine(
        "measuring losses", total: shares.pieces(ofRank: job.communicator.rank).count,
        unit: .things("points of each rank", showsRate: false))
}
