import Glibc
import Statistics

/// The state of a robust fit of valleys.
///
/// Fits of the common parameters alternate with those of the seeds' own best rates. The first fits
/// have Huber's weights and no best rates of seeds, so that their minimum does not depend on the
/// start. Tukey's bisquare then finds the outliers, among them bursts. The last fits are of least
/// squares without the outliers.
struct RobustValleyFit {
    let runs: [ValleyRun]
    let cells: ValleyCells
    let places: ValleyParameters
    private(set) var parameters: [Double]
    /// The deviation of each cell's ln(best rate) from its batch's.
    private(set) var deviations: [Double]
    private(set) var weights: [Double]
    private(set) var noise = 0.0
    /// Whether outliers have left fewer than half of the degrees of freedom in some iteration.
    ///
    /// Two runs determine the offset and the best rate of a cell. If most cells have few runs, the
    /// runs that are not outliers then fit exactly, and the median residual is far below the noise.
    private var hasBrokenDown = false
    private(set) var degreesOfFreedom = 1
    private var common: LeastSquaresFit?

    private var batches: Int { places.batches }

    /// The residual in units of the noise from which Huber's weights fall.
    private static let huberBound = 1.0
    /// The residual in units of the noise from which the bisquare is 0; at 4.7 it has 95 % of the
    /// efficiency of least squares if there are no outliers.
    private static let bisquareBound = 4.7
    /// The weight of the bisquare below which a run is an outlier: 3.3 standard deviations.
    private static let leastWeight = 0.02
    /// The least ratio of the noise to the median cell's if the fit has broken down. It is not 1,
    /// because bursts may have doubled the median cell's noise.
    private static let leastNoiseRatio = 0.5
    private static let huberFits = 4
    private static let searches = 3
    private static let bisquareFits = 12
    private static let lastFits = 8
    /// The greatest move of a seed's best rate in one fit, in ln(rate).
    private static let greatestMove = 0.5
    /// The range of the search for a seed's best rate around its batch's, in ln(rate).
    private static let searchRange = 1.5
    /// The least distance between the best rates that a search tries, in ln(rate).
    private static let leastStep = 0.005
    /// The noise below which losses are exact, in nats.
    static let exactNoise = 1e-7

    /// Starts a fit from a guess of ln(best rate) for each batch.
    init(_ runs: [ValleyRun], starts: [Double], _ places: ValleyParameters) {
        (self.runs, self.places) = (runs, places)
        cells = ValleyCells(runs, batches: starts.count)
        let valleys = Self.startCurvatures(
            runs, starts, cells, isShared: places.spread.curvature == 0
        ).map { Valley(form: places.form, curvature: $0, asymmetry: 0) }
        parameters = places.values(logRates: starts, valleys: valleys)
        deviations = [Double](repeating: 0, count: cells.count)
        weights = [Double](repeating: 1, count: runs.count)
    }

    /// Prepares the last fits of another form, starting from the state of a fit.
    init(_ fit: ValleyFit, _ places: ValleyParameters) {
        (runs, weights, noise) = (fit.runs, fit.weights, fit.noise)
        self.places = places
        cells = ValleyCells(fit.runs, batches: fit.logRates.count)
        parameters = places.values(
            logRates: fit.logRates,
            valleys: fit.valleys.map {
                Valley(
                    form: places.form, curvature: $0.curvature, asymmetry: $0.asymmetry / 2)
            })
        deviations = cells.names.map { fit.deviations[$0.batch][$0.seed] ?? 0 }
    }

    /// Returns the valley of each batch.
    var valleys: [Valley] { (0..<batches).map { places.valley($0, parameters) } }

    /// Runs all fits, and returns false if the runs do not determine the parameters.
    mutating func run() -> Bool {
        estimateNoise(parametersPerCell: 1)
        for _ in 0..<Self.huberFits {
            guard fitCommonParameters() else { return false }
            estimateNoise(parametersPerCell: 1)
            if noise < Self.exactNoise { break }
            reweigh { min(1, Self.huberBound / max($0, 1e-300)) }
        }
        for _ in 0..<Self.searches where noise >= Self.exactNoise {
            searchSeeds()
            estimateNoise(parametersPerCell: 2)
            reweigh(Self.bisquareWeight)
            guard fitCommonParameters() else { return false }
        }
        for _ in 0..<Self.bisquareFits where noise >= Self.exactNoise {
            let before = weights
            guard fitCommonParameters() else { return false }
            let move = moveSeeds(isShrunk: true)
            estimateNoise(parametersPerCell: 2)
            reweigh(Self.bisquareWeight)
            let change = zip(before, weights).map { abs($0 - $1) }.max() ?? 0
            if change < 1e-3, move < 1e-4 { break }
        }
        weights = weights.map { noise < Self.exactNoise || $0 >= Self.leastWeight ? 1 : 1e-9 }
        return finish()
    }

    /// Runs the last fits, which are of least squares without the outliers. Returns false if the
    /// runs do not determine the parameters.
    mutating func finish() -> Bool {
        for _ in 0..<Self.lastFits {
            guard fitCommonParameters() else { return false }
            if moveSeeds(isShrunk: false) < 1e-7 { break }
        }
        let squares = zip(weights, residuals(parameters)).reduce(0) { $0 + $1.0 * $1.1 * $1.1 }
        let count = weights.reduce(0, +)
        let form = places.effectiveCount(covariance) - Double(batches)
        let free = (count - Double(2 * cells.count) - form).rounded()
        degreesOfFreedom = max(1, Int(free))
        noise = (squares / max(1, free)).squareRoot()
        return true
    }

    /// The covariance of the common parameters if the seeds' deviations are known.
    private var covariance: [[Double]] {
        common?.covariance(Noise(variance: noise * noise, degreesOfFreedom: 1))
            ?? parameters.map { _ in parameters.map { _ in 0 } }
    }

    /// The errors for `ValleyFit.asymmetryErrors`.
    var asymmetryErrors: [Double] {
        guard places.sharesAsymmetry, let place = places.asymmetry(0) else {
            return [Double](repeating: 0, count: batches)
        }
        let covariance = covariance
        let own = covariance[place][place]
        return covariance.prefix(batches).map { own > 0 ? $0[place] / own.squareRoot() : 0 }
    }

    /// The errors for `ValleyFit.formErrors`.
    var formErrors: [Double] {
        guard places.spread != .none else { return [Double](repeating: 0, count: batches) }
        let (covariance, shared) = (covariance, asymmetryErrors)
        // The error if the form is known is that of the seeds, which is counted elsewhere.
        var squares = [Double](repeating: 0, count: batches)
        for (name, square) in zip(cells.names, slopeSquares) { squares[name.batch] += square }
        return (0..<batches).map { batch in
            let known = squares[batch] > 0 ? noise * noise / squares[batch] : 0
            let rest = covariance[batch][batch] - shared[batch] * shared[batch] - known
            return max(0, rest).squareRoot()
        }
    }

    /// The standard error of each batch's ln(curvature).
    var curvatureErrors: [Double] {
        let covariance = covariance
        return (0..<batches).map { batch in
            let place = places.curvature(batch)
            return max(0, covariance[place][place]).squareRoot()
        }
    }

    /// The variance of a seed's ln(best rate) that the noise of its runs causes, by batch.
    var seedErrors: [Double] {
        cells.batchMeans(
            ofCells: ValleyCells.bounded(slopeSquares).map { $0 > 0 ? noise * noise / $0 : 0 })
    }

    /// The information that the runs of each batch give on its ln(curvature) and asymmetry.
    ///
    /// The offsets and the best rates of the seeds are unknown.
    var information: [FormInformation] {
        let slopes = centeredSlopes(parameters)
        let scales = centered { $0.loss(at: $1) }
        let skews = centered { $0.asymmetryDerivative(at: $1) }
        func products(_ first: [Double], _ second: [Double]) -> [Double] {
            cells.products(first, second, weights: weights)
        }
        let (own, scale, skew) = (
            products(slopes, slopes), products(slopes, scales), products(slopes, skews)
        )
        let (scale2, skew2, both) = (
            products(scales, scales), products(skews, skews), products(scales, skews)
        )
        var result = [FormInformation](repeating: .init(), count: batches)
        let variance = pow(max(noise, Self.exactNoise), 2)
        for (cell, name) in cells.names.enumerated() where own[cell] > 0 {
            let (a, b) = (scale[cell] / own[cell], skew[cell] / own[cell])
            result[name.batch].curvature += (scale2[cell] - a * scale[cell]) / variance
            result[name.batch].asymmetry += (skew2[cell] - b * skew[cell]) / variance
            result[name.batch].product += (both[cell] - a * skew[cell]) / variance
        }
        return result
    }

    /// The sum over the runs of each cell of the squared slopes of the valley.
    private var slopeSquares: [Double] {
        let slopes = centeredSlopes(parameters)
        return cells.products(slopes, slopes, weights: weights)
    }

    /// Returns the loss of each run minus that of the valley. The difference is the least loss of
    /// the run's cell plus noise.
    func levels(_ parameters: [Double]) -> [Double] {
        let valleys = (0..<batches).map { places.valley($0, parameters) }
        return runs.indices.map {
            runs[$0].loss - valleys[runs[$0].batch].loss(at: distance(ofRun: $0, parameters))
        }
    }

    private func distance(ofRun run: Int, _ parameters: [Double]) -> Double {
        runs[run].logRate - parameters[runs[run].batch] - deviations[cells.places[run]]
    }

    private func residuals(_ parameters: [Double]) -> [Double] {
        cells.centered(levels(parameters), weights: weights)
    }

    /// Returns a function of the valley and the distance of each run, minus the mean over its cell.
    private func centered(
        _ parameters: [Double]? = nil, _ value: (Valley, Double) -> Double
    ) -> [Double] {
        let parameters = parameters ?? self.parameters
        let valleys = (0..<batches).map { places.valley($0, parameters) }
        return cells.centered(
            runs.indices.map {
                value(valleys[runs[$0].batch], distance(ofRun: $0, parameters))
            }, weights: weights)
    }

    /// Returns the derivatives of the residuals by the best rates of the batches or the seeds.
    private func centeredSlopes(_ parameters: [Double]) -> [Double] {
        centered(parameters) { $0.slope(at: $1) }
    }

    private mutating func fitCommonParameters() -> Bool {
        let state = self
        let roots = weights.map { $0.squareRoot() }
        let noise = max(self.noise, Self.exactNoise)
        let best = nonlinearLeastSquares(
            start: parameters, count: runs.count + places.shrinkageCount,
            residuals: { parameters in
                zip(roots, state.residuals(parameters)).map { $0 * $1 }
                    + state.places.shrinkage(parameters, noise: noise)
            },
            derivatives: { state.derivatives($0, roots: roots, noise: noise) })
        guard let best else { return false }
        parameters = best.parameters
        common = best
        return true
    }

    /// Returns the derivatives of the weighted residuals and of those that shrink the forms toward
    /// their mean, those by the first parameter first.
    private func derivatives(_ parameters: [Double], roots: [Double], noise: Double) -> [Double] {
        let rows = runs.count + places.shrinkageCount
        var result = [Double](repeating: 0, count: rows * parameters.count)
        let slopes = centeredSlopes(parameters)
        let scales = centered(parameters) { $0.loss(at: $1) }
        let skews =
            places.isSymmetric
            ? [] : centered(parameters) { $0.asymmetryDerivative(at: $1) }
        for (row, run) in runs.enumerated() {
            result[run.batch * rows + row] = roots[row] * slopes[row]
            result[places.curvature(run.batch) * rows + row] = -roots[row] * scales[row]
            if let place = places.asymmetry(run.batch) {
                result[place * rows + row] = -roots[row] * skews[row]
            }
        }
        for residual in 0..<places.shrinkageCount {
            for place in parameters.indices {
                result[place * rows + runs.count + residual] = places.shrinkageDerivative(
                    residual, by: place, noise: noise)
            }
        }
        return result
    }

    private static func bisquareWeight(_ residual: Double) -> Double {
        let part = residual / bisquareBound
        return part < 1 ? (1 - part * part) * (1 - part * part) : 0
    }

    /// Searches a range around each batch's best rate for the best rate of each seed. A local move
    /// would miss it if all losses of a seed are outliers at its batch's best rate.
    private mutating func searchSeeds() {
        let valleys = self.valleys
        let usual = 1.4826 * median(deviations.map(abs))
        for (cell, members) in cells.members.enumerated() {
            // A loss changes by about the noise between candidates, or all would look like outliers.
            let curvature = valleys[cells.names[cell].batch].curvature
            let step = min(0.1, max(Self.leastStep, noise / curvature))
            let candidates = stride(from: -Self.searchRange, through: Self.searchRange, by: step)
            let best = candidates.map { deviation -> (deviation: Double, cost: Double) in
                let levels = members.map { run in
                    let batch = runs[run].batch
                    let center = parameters[batch] + deviation
                    return runs[run].loss - valleys[batch].loss(at: runs[run].logRate - center)
                }
                let level = median(levels)
                let prior = usual > 0 ? deviation * deviation / (2 * usual * usual) : 0
                let cost = levels.reduce(prior) {
                    $0 + Self.bisquareCost(($1 - level) / noise)
                }
                return (deviation, cost)
            }.min { $0.cost < $1.cost }
            deviations[cell] = best?.deviation ?? 0
        }
        centerDeviations()
    }

    /// Returns the cost whose derivative is the residual times its weight.
    private static func bisquareCost(_ residual: Double) -> Double {
        let part = min(1, abs(residual) / bisquareBound)
        let rest = 1 - part * part
        return bisquareBound * bisquareBound / 6 * (1 - rest * rest * rest)
    }

    /// Makes the mean deviation of each batch 0 by moving the batch's best rate.
    private mutating func centerDeviations() {
        let means = cells.batchMeans(ofCells: deviations)
        for batch in 0..<batches { parameters[batch] += means[batch] }
        for cell in deviations.indices { deviations[cell] -= means[cells.names[cell].batch] }
    }

    /// Moves each seed's best rate to where it explains the residuals best, and each batch's to the
    /// mean of its seeds. Returns the greatest move.
    ///
    /// - Parameter isShrunk: whether seeds' best rates are shrunk toward that of their batch,
    ///   according to their usual spread, so that a burst cannot pass for another best rate.
    private mutating func moveSeeds(isShrunk: Bool) -> Double {
        let slopes = centeredSlopes(parameters).map { -$0 }
        let left = residuals(parameters)
        func best(ridge: Double) -> [Double] {
            cells.deviations(
                from: deviations, slopes: slopes, residuals: left, weights: weights, ridge: ridge)
        }
        var targets = best(ridge: 0)
        if isShrunk {
            let usual = max(1.4826 * median(targets.map(abs)), 1e-9)
            targets = best(ridge: noise * noise / (usual * usual))
        }
        let moves = zip(targets, deviations).map {
            max(-Self.greatestMove, min(Self.greatestMove, $0 - $1))
        }
        for (cell, move) in moves.enumerated() { deviations[cell] += move }
        centerDeviations()
        return moves.map(abs).max() ?? 0
    }

    /// Estimates the noise from the median residual, which outliers do not move.
    ///
    /// - Parameter parametersPerCell: the number of fitted parameters of each cell. Like the common
    ///   parameters, they make residuals smaller than the noise.
    private mutating func estimateNoise(parametersPerCell: Int) {
        let common = parameters.count - (parametersPerCell == 2 ? batches : 0)
        let free = Double(max(1, runs.count - parametersPerCell * cells.count - common))
        noise =
            1.4826 * median(residuals(parameters).map(abs))
            * (Double(runs.count) / free).squareRoot()
        guard parametersPerCell == 2 else { return }
        let left = free - weights.reduce(0) { $0 + 1 - $1 }
        hasBrokenDown = hasBrokenDown || left < free / 2
        if hasBrokenDown { noise = max(noise, Self.leastNoiseRatio * typicalCellNoise) }
    }

    /// The noise of a run as estimated from the median cell, with every run at full weight.
    private var typicalCellNoise: Double {
        let ones = [Double](repeating: 1, count: runs.count)
        let valleys = self.valleys
        let slopes = runs.indices.map {
            valleys[runs[$0].batch].slope(at: distance(ofRun: $0, parameters))
        }
        let all = cells.centered(levels(parameters), weights: ones)
        // A residual that all seeds of a batch share at a rate is a misfit, not noise.
        let own = cells.withoutMeansOfRates(all, runs)
        return min(
            cells.typicalNoise(all, slopes: slopes), cells.typicalNoise(own, slopes: slopes))
    }

    private mutating func reweigh(_ weight: (_ residual: Double) -> Double) {
        let scale = max(noise, 1e-300)
        weights = residuals(parameters).map { max(weight(abs($0) / scale), 1e-9) }
    }
}
