import Statistics

/// The values of a run that the fit of a valley uses.
struct ValleyRun: Equatable {
    /// The place of the batch among those that are fitted together.
    let batch: Int
    let seed: UInt64
    let logRate: Double
    let loss: Double
}

/// Valleys fitted to several batches at once, each with a best rate of its own.
///
/// The batches share the valley's form as far as their losses allow, and all seeds of a batch share
/// it, which makes the best rates far more precise than separate fits. The losses of each seed at
/// each batch have an offset of their own. The fit is robust: it down-weights a burst in one run as
/// an outlier (Huber 1964, then Tukey's bisquare).
struct ValleyFit {
    /// The valley of each batch.
    let valleys: [Valley]
    /// The standard deviations of curvature and asymmetry over batches.
    let spread: FormSpread
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
    /// The error of each batch's ln(best rate) that the error of a shared asymmetry causes. These
    /// errors have one cause, so they are signed and fully correlated.
    let asymmetryErrors: [Double]
    /// The error of each batch's ln(best rate) that the errors of its own form cause; 0 if the
    /// batches share the form.
    let formErrors: [Double]
    /// The standard error of each batch's ln(curvature).
    let curvatureErrors: [Double]
    /// The variance of a seed's ln(best rate) that the noise of its runs causes, for each batch.
    let seedErrors: [Double]
    /// The information of each batch's runs about the form of its valley.
    let information: [FormInformation]
    let runs: [ValleyRun]
    /// The weights of the runs in the last fit, from 0 for an outlier to 1.
    let weights: [Double]

    /// Fits valleys.
    ///
    /// Returns nil if the runs do not determine the parameters.
    ///
    /// - Parameters:
    ///   - starts: a guess of ln(best rate) for each batch.
    ///   - spread: how much the batches' forms may differ.
    ///   - isSymmetric: whether the asymmetry is fixed at 0.
    init?(
        _ runs: [ValleyRun], starts: [Double], form: Valley.Form, spread: FormSpread = .none,
        isSymmetric: Bool = false
    ) {
        var fit = RobustValleyFit(
            runs, starts: starts,
            ValleyParameters(
                batches: starts.count, form: form, spread: spread, isSymmetric: isSymmetric))
        guard fit.run() else { return nil }
        self.init(fit)
    }

    /// Fits another form to those runs of a fit that are not outliers. It starts from the
    /// parameters of that fit.
    ///
    /// Returns nil if the runs do not determine the parameters.
    init?(_ other: ValleyFit, as form: Valley.Form) {
        var fit = RobustValleyFit(
            other,
            ValleyParameters(
                batches: other.logRates.count, form: form, spread: other.spread,
                isSymmetric: false))
        guard fit.finish() else { return nil }
        self.init(fit)
    }

    private init(_ fit: RobustValleyFit) {
        (runs, weights, noise) = (fit.runs, fit.weights, fit.noise)
        degreesOfFreedom = fit.degreesOfFreedom
        (valleys, spread) = (fit.valleys, fit.places.spread)
        (asymmetryErrors, formErrors) = (fit.asymmetryErrors, fit.formErrors)
        (curvatureErrors, seedErrors) = (fit.curvatureErrors, fit.seedErrors)
        information = fit.information
        logRates = Array(fit.parameters.prefix(fit.places.batches))
        deviations = fit.cells.byBatch(fit.deviations)
        offsets = fit.cells.byBatch(
            fit.cells.means(fit.levels(fit.parameters), weights: fit.weights))
    }

    /// The least loss of each batch, the mean over seeds.
    var leastLosses: [Double] {
        offsets.map { own in Sample(own.keys.sorted().compactMap { own[$0] }).mean }
    }

    /// Returns the factor by which the valley of a batch fits it best, with its standard error.
    func depth(ofBatch batch: Int) -> (value: Double, error: Double) {
        let places = runs.indices.filter { runs[$0].batch == batch }
        let own = places.map { runs[$0] }
        let weights = places.map { self.weights[$0] }
        let cells = ValleyCells(own, batches: logRates.count)
        let shape = cells.centered(
            own.map { run in
                valleys[batch].loss(
                    at: run.logRate - logRates[batch] - (deviations[batch][run.seed] ?? 0))
            }, weights: weights)
        let losses = cells.centered(own.map(\.loss), weights: weights)
        let product = cells.products(shape, losses, weights: weights).reduce(0, +)
        let square = cells.products(shape, shape, weights: weights).reduce(0, +)
        return square > 0 ? (product / square, noise / square.squareRoot()) : (1, .infinity)
    }
}
