import Glibc
import Statistics

/// The values of a run that the fit of a valley uses.
struct ValleyRun: Equatable {
    /// The place of the batch among those that are fitted together.
    let batch: Int
    let seed: UInt64
    let logRate: Double
    let loss: Double
}

/// One valley fitted to several batches at once, each with a best rate of its own.
///
/// All batches and seeds share the form, which makes the best rates far more precise than separate
/// fits. The losses of each seed at each batch have an offset of their own. The fit is robust: it
/// down-weights a burst in one run as an outlier (Huber 1964, then Tukey's bisquare).
struct ValleyFit {
    let valley: Valley
    /// ln(best rate) of each batch.
    let logRates: [Double]
    /// The least loss of each seed, for each batch.
    let offsets: [[UInt64: Double]]
    /// The deviation of each seed's ln(best rate) from the batch's, for each batch.
    let deviations: [[UInt64: Double]]
    /// The standard deviation of a run's loss around the fit, without the outliers.
    let noise: Double
    /// The degrees of freedom of `noise`.
    let degreesOfFreedom: Int
    /// The error of each batch's ln(best rate) that the error of the asymmetry causes. These errors
    /// have one cause, so they are signed and fully correlated.
    let asymmetryErrors: [Double]
    let runs: [ValleyRun]
    /// The weights of the runs in the last fit, from 0 for an outlier to 1.
    let weights: [Double]

    /// Fits a valley.
    ///
    /// Returns nil if the runs do not determine the parameters.
    ///
    /// - Parameters:
    ///   - starts: a guess of ln(best rate) for each batch.
    ///   - isSymmetric: whether the asymmetry is fixed at 0.
    init?(
        _ runs: [ValleyRun], starts: [Double], form: Valley.Form, isSymmetric: Bool = false
    ) {
        let cells = Cells(runs, batches: starts.count)
        let curvature = Self.startCurvature(runs, starts, cells)
        var fit = RobustFit(
            runs: runs, cells: cells, form: form, isSymmetric: isSymmetric, starts: starts,
            curvature: curvature)
        guard fit.run() else { return nil }
        self.init(fit)
    }

    /// Fits another form to those runs of a fit that are not outliers. It starts from the
    /// parameters of that fit.
    ///
    /// Returns nil if the runs do not determine the parameters.
    init?(_ other: ValleyFit, as form: Valley.Form) {
        let cells = Cells(other.runs, batches: other.logRates.count)
        var fit = RobustFit(other, cells: cells, form: form)
        guard fit.finish() else { return nil }
        self.init(fit)
    }

    private init(_ fit: RobustFit) {
        (runs, weights, noise) = (fit.runs, fit.weights, fit.noise)
        degreesOfFreedom = fit.degreesOfFreedom
        asymmetryErrors = fit.asymmetryErrors
        valley = fit.valley(fit.parameters)
        logRates = Array(fit.parameters.prefix(fit.batches))
        deviations = fit.cells.byBatch(fit.deviations)
        offsets = fit.cells.byBatch(
            fit.cells.means(fit.levels(fit.parameters), weights: fit.weights))
    }

    /// The least loss of each batch, the mean over seeds.
    var leastLosses: [Double] {
        offsets.map { own in Sample(own.keys.sorted().compactMap { own[$0] }).mean }
    }

    /// Returns the curvature of the parabola that fits best if the best rates are the starts.
    private static func startCurvature(
        _ runs: [ValleyRun], _ starts: [Double], _ cells: Cells
    ) -> Double {
        let ones = [Double](repeating: 1, count: runs.count)
        let squares = cells.centered(
            runs.map { pow($0.logRate - starts[$0.batch], 2) }, weights: ones)
        let losses = cells.centered(runs.map(\.loss), weights: ones)
        let product = zip(squares, losses).reduce(0) { $0 + $1.0 * $1.1 }
        let square = squares.reduce(0) { $0 + $1 * $1 }
        return max(1e-6, square > 0 ? product / square : 0)
    }
}

/// The state of a robust fit of a valley.
///
/// Fits of the common parameters alternate with those of the seeds' own best rates. The first fits
/// have Huber's weights and no best rates of seeds, so that their minimum does not depend on the
/// start. Tukey's bisquare then finds the outliers, among them bursts. The last fits are of least
/// squares without the outliers.
private struct RobustFit {
    let runs: [ValleyRun]
    let cells: Cells
    private let form: Valley.Form
    private let isSymmetric: Bool
    let batches: Int
    /// The parameters: ln(best rate) of each batch, ln(curvature) and, unless it is fixed at 0, the
    /// asymmetry plus 1. The fit takes finite differences in proportion to a parameter, so none may
    /// be near 0.
    private(set) var parameters: [Double]
    /// The deviation of each cell's ln(best rate) from its batch's.
    private(set) var deviations: [Double]
    private(set) var weights: [Double]
    private(set) var noise = 0.0
    private(set) var degreesOfFreedom = 1
    private var common: LeastSquaresFit?

    /// The residual in units of the noise from which Huber's weights fall.
    private static let huberBound = 1.0
    /// The residual in units of the noise from which the bisquare is 0; at 4.7 it has 95 % of the
    /// efficiency of least squares if there are no outliers.
    private static let bisquareBound = 4.7
    /// The weight of the bisquare below which a run is an outlier: 3.3 standard deviations.
    private static let leastWeight = 0.02
    private static let huberFits = 4
    private static let searches = 3
    private static let bisquareFits = 12
    private static let lastFits = 8
    /// The greatest move of a seed's best rate in one fit, in ln(rate).
    private static let greatestMove = 0.5
    /// The range of the search for a seed's best rate around its batch's, in ln(rate).
    private static let searchRange = 1.5
    /// The noise below which losses are exact, in nats.
    private static let exactNoise = 1e-7

    init(
        runs: [ValleyRun], cells: Cells, form: Valley.Form, isSymmetric: Bool, starts: [Double],
        curvature: Double
    ) {
        (self.runs, self.cells, self.form, self.isSymmetric) = (runs, cells, form, isSymmetric)
        batches = starts.count
        parameters = starts + [log(curvature)] + (isSymmetric ? [] : [1])
        deviations = [Double](repeating: 0, count: cells.count)
        weights = [Double](repeating: 1, count: runs.count)
    }

    /// Prepares the last fits of another form, starting from the state of a fit.
    init(_ fit: ValleyFit, cells: Cells, form: Valley.Form) {
        (runs, weights, noise, batches) = (fit.runs, fit.weights, fit.noise, fit.logRates.count)
        (self.cells, self.form, isSymmetric) = (cells, form, false)
        parameters =
            fit.logRates + [log(fit.valley.curvature), 1 + fit.valley.asymmetry / 2]
        deviations = cells.names.map { fit.deviations[$0.batch][$0.seed] ?? 0 }
    }

    func valley(_ parameters: [Double]) -> Valley {
        Valley(
            form: form, curvature: exp(parameters[batches]),
            asymmetry: isSymmetric ? 0 : parameters[batches + 1] - 1)
    }

    /// Runs all fits, and returns false if the runs do not determine the parameters.
    mutating func run() -> Bool {
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
        let free = count - Double(2 * cells.count + parameters.count - batches)
        degreesOfFreedom = max(1, Int(free))
        noise = (squares / max(1, free)).squareRoot()
        return true
    }

    /// The errors for `ValleyFit.asymmetryErrors`.
    var asymmetryErrors: [Double] {
        let variance = Noise(variance: noise * noise, degreesOfFreedom: 1)
        guard !isSymmetric, let covariance = common?.covariance(variance),
            let own = covariance.last?.last, own > 0
        else { return [Double](repeating: 0, count: batches) }
        return covariance.prefix(batches).map { $0[batches + 1] / own.squareRoot() }
    }

    /// Returns the loss of each run minus that of the valley. The difference is the least loss of
    /// the run's cell plus noise.
    func levels(_ parameters: [Double]) -> [Double] {
        let valley = valley(parameters)
        return runs.indices.map {
            runs[$0].loss - valley.loss(at: distance(ofRun: $0, parameters))
        }
    }

    private func distance(ofRun run: Int, _ parameters: [Double]) -> Double {
        runs[run].logRate - parameters[runs[run].batch] - deviations[cells.places[run]]
    }

    private func residuals(_ parameters: [Double]) -> [Double] {
        cells.centered(levels(parameters), weights: weights)
    }

    private mutating func fitCommonParameters() -> Bool {
        let roots = weights.map { $0.squareRoot() }
        let best = nonlinearLeastSquares(
            start: parameters, count: runs.count,
            residuals: { zip(roots, residuals($0)).map { $0 * $1 } })
        guard let best else { return false }
        parameters = best.parameters
        common = best
        return true
    }

    private static func bisquareWeight(_ residual: Double) -> Double {
        let part = residual / bisquareBound
        return part < 1 ? (1 - part * part) * (1 - part * part) : 0
    }

    /// Searches a range around each batch's best rate for the best rate of each seed. A local move
    /// would miss it if all losses of a seed are outliers at its batch's best rate.
    private mutating func searchSeeds() {
        let valley = valley(parameters)
        let usual = 1.4826 * median(deviations.map(abs))
        let candidates = stride(from: -Self.searchRange, through: Self.searchRange, by: 0.1)
        for (cell, members) in cells.members.enumerated() {
            let best = candidates.map { deviation -> (deviation: Double, cost: Double) in
                let levels = members.map { run in
                    let center = parameters[runs[run].batch] + deviation
                    return runs[run].loss - valley.loss(at: runs[run].logRate - center)
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
        let valley = valley(parameters)
        let slopes = cells.centered(
            runs.indices.map { -valley.slope(at: distance(ofRun: $0, parameters)) },
            weights: weights)
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
    }

    private mutating func reweigh(_ weight: (_ residual: Double) -> Double) {
        let scale = max(noise, 1e-300)
        weights = residuals(parameters).map { max(weight(abs($0) / scale), 1e-9) }
    }
}

/// The cells of runs. A cell consists of the runs of one batch and seed, which share an offset and
/// a best rate.
private struct Cells {
    /// The cell of each run.
    let places: [Int]
    /// The batch and the seed of each cell.
    let names: [(batch: Int, seed: UInt64)]
    /// The runs of each cell.
    let members: [[Int]]
    private let batches: Int

    var count: Int { names.count }

    init(_ runs: [ValleyRun], batches: Int) {
        var places: [Int] = []
        var names: [(batch: Int, seed: UInt64)] = []
        for run in runs {
            if let place = names.firstIndex(where: { $0.batch == run.batch && $0.seed == run.seed })
            {
                places.append(place)
            } else {
                places.append(names.count)
                names.append((run.batch, run.seed))
            }
        }
        (self.places, self.names, self.batches) = (places, names, batches)
        var members = [[Int]](repeating: [], count: names.count)
        for (run, place) in places.enumerated() { members[place].append(run) }
        self.members = members
    }

    /// Returns each cell's weighted mean.
    func means(_ values: [Double], weights: [Double]) -> [Double] {
        var sums = [Double](repeating: 0, count: count)
        var totals = sums
        for (index, place) in places.enumerated() {
            sums[place] += weights[index] * values[index]
            totals[place] += weights[index]
        }
        return zip(sums, totals).map { $0 / $1 }
    }

    /// Returns the values minus the weighted mean of their cell.
    func centered(_ values: [Double], weights: [Double]) -> [Double] {
        let means = means(values, weights: weights)
        return zip(values, places).map { $0 - means[$1] }
    }

    /// Returns each batch's mean over the values of its cells.
    func batchMeans(ofCells values: [Double]) -> [Double] {
        var sums = [Double](repeating: 0, count: batches)
        var counts = sums
        for (name, value) in zip(names, values) {
            sums[name.batch] += value
            counts[name.batch] += 1
        }
        return zip(sums, counts).map { $0 / max(1, $1) }
    }

    /// Returns the cells' values by batch and seed.
    func byBatch(_ values: [Double]) -> [[UInt64: Double]] {
        var result = [[UInt64: Double]](repeating: [:], count: batches)
        for (name, value) in zip(names, values) { result[name.batch][name.seed] = value }
        return result
    }

    /// Returns, for each cell, the deviation of its ln(best rate) from the batch's that explains
    /// its residuals best.
    ///
    /// - Parameters:
    ///   - current: the deviations with which the residuals are computed.
    ///   - ridge: the ratio of the residuals' variance to that of the deviations; 0 for no
    ///     shrinkage.
    func deviations(
        from current: [Double], slopes: [Double], residuals: [Double], weights: [Double],
        ridge: Double
    ) -> [Double] {
        var products = [Double](repeating: 0, count: count)
        var squares = products
        for (index, place) in places.enumerated() {
            products[place] += weights[index] * slopes[index] * residuals[index]
            squares[place] += weights[index] * slopes[index] * slopes[index]
        }
        // A cell that consists of outliers hardly determines its deviation.
        let least = 0.1 * median(squares)
        return current.indices.map { cell in
            let square = max(squares[cell], least) + ridge
            return square == 0
                ? 0 : (products[cell] + squares[cell] * current[cell]) / square
        }
    }
}

extension ValleyFit {
    /// Returns the factor by which the valley fits one batch best, with its standard error.
    func curvature(ofBatch batch: Int) -> (value: Double, error: Double) {
        let places = runs.indices.filter { runs[$0].batch == batch }
        let own = places.map { runs[$0] }
        let weights = places.map { self.weights[$0] }
        let cells = Cells(own, batches: logRates.count)
        let shape = cells.centered(
            own.map { run in
                valley.loss(
                    at: run.logRate - logRates[batch] - (deviations[batch][run.seed] ?? 0))
            }, weights: weights)
        let losses = cells.centered(own.map(\.loss), weights: weights)
        var (product, square) = (0.0, 0.0)
        for (index, weight) in weights.enumerated() {
            product += weight * shape[index] * losses[index]
            square += weight * shape[index] * shape[index]
        }
        return square > 0 ? (product / square, noise / square.squareRoot()) : (1, .infinity)
    }
}
