import Glibc
import Statistics

/// The valleys of a design: the form of the loss against the rate, which batches share as far as
/// their losses allow, and the best rate of each batch with its errors.
struct SharedValley {
    /// The fits that describe the loss near the best rate, the main one first. The regret's
    /// interval covers all of them.
    let fits: [ValleyFit]
    /// The batches with a best rate, sorted.
    let batches: [Int]
    /// The variance over seeds of a seed's ln(best rate) around that of its batch, pooled over
    /// batches; nil with one seed.
    let seedVariance: Noise?
    /// The error in ln(best rate) of a batch that arises because the losses and the fits differ in
    /// form. It is the same for all seeds.
    let misfit: Double
    /// The part of the variance `misfit` squared that noise may explain, and more runs reduce.
    private let misfitNoise: Double
    /// The error in ln(best rate) that is the same for all batches, so it does not affect
    /// comparisons of batches.
    let shift: Double
    /// The error of ln(curvature) that arises because the losses and the fits differ in form.
    let formMisfit: Double
    /// The error of each batch's ln(best rate) that the error of the asymmetry causes. It is
    /// signed, because one error moves all batches.
    let asymmetryErrors: [Double]
    /// Whether the losses differ from the valley by far more than the seeds differ from one another.
    let fitsPoorly: Bool
    /// The number of rates to which the valley was fitted, summed over batches.
    let rateCount: Int
    private let seedCounts: [Int]

    /// The ratio of variances above which a fit is poor, if it is also significant.
    private static let poorRatio = 3.0
    /// The probability below which a ratio of variances is significant.
    private static let leastProbability = 0.01

    /// The number of standard errors by which a batch's own curvature may be wrong.
    private static let curvatureErrors = 2.0

    /// The significance, in standard errors, from which a batch has a valley at all.
    private static let valleyErrors = 3.0

    /// The number of standard errors from which a difference between windows is significant.
    private static let significance = 2.0

    /// The heights of the alternative windows, relative to that of the window. A result that they
    /// change depends on the choice of the window.
    private static let (narrowWindow, wideWindow) = (0.5, 1.5)

    /// The median of the square of a standard normal variable.
    private static let medianOfSquares = 0.4549

    /// Fits the batches that are bracketed. If no valley fits all of them, the batches that no
    /// valley fits are left out. Batches whose valley is hidden by noise are also left out, and so
    /// are those whose losses contradict the fitted best rate.
    ///
    /// Returns nil if no batch remains.
    init?(_ losses: [BatchLosses], _ windows: [RateWindow], settings: AnalysisSettings) {
        let places = windows.indices.filter { windows[$0].state == .bracketed }
        self.init(places, losses, windows, settings: settings)
        if batches.isEmpty {
            let single = places.filter {
                !SharedValley([$0], losses, windows, settings: settings).batches.isEmpty
            }
            self.init(single, losses, windows, settings: settings)
        }
        while let main = fits.first {
            let deep = batches.indices.filter { place in
                let (value, error) = main.depth(ofBatch: place)
                guard value > Self.valleyErrors * error,
                    let own = losses.first(where: { $0.batch == batches[place] })
                else { return false }
                return own.allows(
                    main.logRates[place], main.valleys[place],
                    leastLoss: main.leastLosses[place], noise: main.noise,
                    seedVariance: seedVariance?.variance ?? 0, tolerance: settings.tolerance)
            }
            if deep.count == batches.count { return }
            let kept = Set(deep.map { batches[$0] })
            self.init(
                places.filter { kept.contains(losses[$0].batch) }, losses, windows,
                settings: settings)
        }
        return nil
    }

    /// Fits the batches at some places. The result has no batches if the fit fails.
    private init(
        _ places: [Int], _ losses: [BatchLosses], _ windows: [RateWindow],
        settings: AnalysisSettings
    ) {
        let own = places.map { losses[$0] }
        let starts = own.map(\.start)
        func runs(_ bounds: [ClosedRange<Double>?]) -> [ValleyRun] {
            zip(own, bounds).enumerated().flatMap { batch, pair in
                pair.0.runs(batch: batch, in: pair.1)
            }
        }
        let wide = runs(places.map { windows[$0].bounds })
        guard !places.isEmpty,
            let main = ValleyFit.fitting(wide, starts: starts)
        else {
            (fits, batches, seedCounts) = ([], [], [])
            (seedVariance, misfit, shift, asymmetryErrors) = (nil, 0, 0, [])
            (misfitNoise, formMisfit) = (0, 0)
            (fitsPoorly, rateCount) = (false, 0)
            return
        }
        let sided = ValleyFit(main, as: .twoSided)
        // Other windows and forms show how much the best rates depend on their choice.
        func bounds(_ factor: Double) -> [ClosedRange<Double>?] {
            var settings = settings
            settings.window *= factor
            return own.map { RateWindow($0, settings).bounds }
        }
        func alternative(_ runs: [ValleyRun], isSymmetric: Bool = false) -> ValleyFit? {
            ValleyFit(
                runs, starts: main.logRates, form: .linex, spread: main.spread,
                isSymmetric: isSymmetric)
        }
        let narrow = runs(bounds(Self.narrowWindow))
        let narrowFit = alternative(narrow)
        let alternatives =
            [
                sided, narrowFit, alternative(runs(bounds(Self.wideWindow))),
                alternative(narrow, isSymmetric: true),
            ].compactMap(\.self)
        fits = [main] + (sided.map { [$0] } ?? [])
        batches = own.map(\.batch)
        rateCount = places.reduce(0) { $0 + losses[$1].rates(in: windows[$1].bounds).count }
        let noise = Self.noise(own, places.map { windows[$0].bounds })
        fitsPoorly = Self.fitsPoorly(main, noise)
        (misfit, misfitNoise, shift) = Self.misfit(main, alternatives)
        formMisfit = Self.formMisfit(main, narrowFit)
        asymmetryErrors = main.asymmetryErrors
        seedVariance = Self.pooledVariance(main.deviations)
        seedCounts = main.deviations.map(\.count)
    }

    /// Returns the noise of a single run, which no form of the valley affects, pooled over batches;
    /// nil if no batch shows it.
    private static func noise(
        _ losses: [BatchLosses], _ bounds: [ClosedRange<Double>?]
    ) -> Noise? {
        let own = zip(losses, bounds).compactMap { losses, bounds in
            bounds.flatMap { losses.noise(from: $0.lowerBound, to: $0.upperBound) }
        }
        let freedom = own.reduce(0) { $0 + $1.degreesOfFreedom }
        guard freedom > 0 else { return nil }
        let sum = own.reduce(0) { $0 + $1.variance * Double($1.degreesOfFreedom) }
        return Noise(variance: sum / Double(freedom), degreesOfFreedom: freedom)
    }

    private static func fitsPoorly(_ fit: ValleyFit, _ noise: Noise?) -> Bool {
        // Losses without noise differ from any fit by rounding errors.
        guard let noise, noise.variance > 0, fit.noise > RobustValleyFit.exactNoise
        else { return false }
        let ratio = fit.noise * fit.noise / noise.variance
        return ratio > poorRatio
            && VarianceRatio.upperTail(
                ratio, numerator: fit.degreesOfFreedom, denominator: noise.degreesOfFreedom)
                < leastProbability
    }

    /// Returns the root mean square, over alternatives and batches, of the differences of their
    /// best rates from those of the main fit. The shift that all batches share is returned
    /// separately.
    ///
    /// An alternative uses the same runs less efficiently, so noise alone makes its best rates
    /// differ. The variance of this difference is the difference of the variances (Hausman 1978),
    /// and is subtracted. A rest that is no greater than this variance may itself be noise.
    private static func misfit(
        _ main: ValleyFit, _ alternatives: [ValleyFit]
    ) -> (misfit: Double, noise: Double, shift: Double) {
        guard !alternatives.isEmpty else { return (0, 0, 0) }
        let own = pooledVariance(main.deviations)?.variance ?? 0
        let seeds = Sample(main.deviations.map { Double($0.count) }).mean
        var (squares, noises, shifts) = ([Double](), [Double](), [Double]())
        for fit in alternatives {
            let differences = zip(fit.logRates, main.logRates).map { $0 - $1 }
            // With forms of their own, one batch whose best rate an alternative misses moves only
            // itself.
            let shift = main.spread == .none ? Sample(differences).mean : median(differences)
            shifts.append(shift * shift)
            let noise = max(0, (pooledVariance(fit.deviations)?.variance ?? 0) - own) / seeds
            let rest = differences.map { ($0 - shift) * ($0 - shift) }
            // One batch whose best rate an alternative misses says nothing about the others.
            let typical = min(Sample(rest).mean, median(rest) / Self.medianOfSquares)
            squares.append(max(0, typical - noise))
            noises.append(noise)
        }
        // A wrong form moves all best rates alike if they share it, and otherwise each by itself.
        let square = main.spread == .none ? Sample(squares).mean : squares.max() ?? 0
        return (
            square.squareRoot(), min(square, Sample(noises).mean),
            Sample(shifts).mean.squareRoot()
        )
    }

    /// Returns how much ln(curvature) depends on the window if noise does not explain it, and
    /// otherwise 0.
    private static func formMisfit(_ main: ValleyFit, _ narrow: ValleyFit?) -> Double {
        guard let narrow else { return 0 }
        func mean(_ fit: ValleyFit) -> Double { Sample(fit.valleys.map { log($0.curvature) }).mean }
        func variance(_ fit: ValleyFit) -> Double {
            let squares = fit.curvatureErrors.map { $0 * $0 }
            return Sample(squares).mean / (fit.spread.curvature > 0 ? Double(squares.count) : 1)
        }
        let difference = mean(narrow) - mean(main)
        let noise = max(0, variance(narrow) - variance(main))
        let square = difference * difference
        return square > significance * significance * noise ? (square - noise).squareRoot() : 0
    }

    private static func pooledVariance(_ deviations: [[UInt64: Double]]) -> Noise? {
        var sum = 0.0
        var degreesOfFreedom = 0
        for own in deviations where own.count >= 2 {
            let sample = Sample(own.keys.sorted().compactMap { own[$0] })
            sum += (sample.variance ?? 0) * Double(own.count - 1)
            degreesOfFreedom += own.count - 1
        }
        return degreesOfFreedom == 0
            ? nil
            : Noise(
                variance: sum / Double(degreesOfFreedom), degreesOfFreedom: degreesOfFreedom)
    }

    /// Returns the place of a batch among those with a best rate.
    func place(of batch: Int) -> Int? { batches.firstIndex(of: batch) }

    /// Returns the variance of a seed's ln(best rate) around that of its batch, or nil with one
    /// seed.
    ///
    /// The seeds' best rates have the same variance at all batches, and errors that are smaller
    /// where the valley is deeper if the depths differ.
    func seedNoise(_ place: Int) -> Noise? {
        guard fits[0].spread.curvature > 0 else { return seedVariance }
        return seedVariance.map { pooled in
            let errors = fits[0].seedErrors
            let own = pooled.variance + errors[place] - Sample(errors).mean
            return Noise(
                variance: max(own, min(pooled.variance, errors[place])),
                degreesOfFreedom: pooled.degreesOfFreedom)
        }
    }

    /// Returns the variance of ln(best rate) of a batch, or nil with one seed.
    func variance(_ place: Int) -> Double? {
        guard let noise = seedNoise(place), seedCounts[place] > 0 else { return nil }
        return noise.variance / Double(seedCounts[place]) + commonVariance(place)
    }

    /// Returns the part of the variance of a batch's ln(best rate) that more seeds with the same
    /// rates do not reduce.
    ///
    /// - Parameter formRatio: the factor by which more runs reduce the variances that noise in the
    ///   valley's form causes.
    func commonVariance(_ place: Int, formRatio: Double = 1) -> Double {
        let form = fits[0].formErrors[place]
        return misfit * misfit - misfitNoise + formRatio * (misfitNoise + form * form)
    }

    /// Returns whether the form of a batch's valley contributes more to the error of its best rate
    /// than the differences between its seeds do.
    func isFormUnknown(at batch: Int) -> Bool {
        guard let place = place(of: batch), let variance = variance(place) else { return false }
        return commonVariance(place) > variance / 2
    }

    /// Returns the loss above the best one at a distance in ln(rate) from the best rate, and the
    /// least and the greatest one that the fits allow.
    func excess(_ place: Int, at z: Double) -> (value: Double, range: ClosedRange<Double>) {
        let losses = fits.map { $0.valleys[place].loss(at: z) }
        // The error of a shared curvature is small.
        let noise =
            fits[0].spread.curvature > 0
            ? Self.curvatureErrors * fits[0].curvatureErrors[place] : 0
        let error = exp((noise * noise + formMisfit * formMisfit).squareRoot())
        return (losses[0], (losses.min() ?? 0) / error...(losses.max() ?? 0) * error)
    }
}

extension BatchLosses {
    /// The greatest distance of a valley below a loss, relative to a difference that is clear. It is
    /// far below if it was fitted to a few runs and the others were treated as outliers.
    private static let greatestGap = 3.0

    /// Returns whether the typical losses allow a best rate, given in ln(rate).
    ///
    /// They contradict it if it lies outside the rates, if both rates next to it are clearly worse
    /// than the best measured one, or if the valley lies far below the loss at one of them. A
    /// valley that does not fit a batch may give such a rate.
    fileprivate func allows(
        _ bestRate: Double, _ valley: Valley, leastLoss: Double, noise: Double,
        seedVariance: Double, tolerance: Double
    ) -> Bool {
        let finite = entries.filter(\.loss.isFinite)
        guard let least = finite.min(by: { $0.loss < $1.loss }),
            let above = finite.firstIndex(where: { $0.logRate >= bestRate }), above > 0
        else { return false }
        let neighbors = [finite[above - 1], finite[above]].map { neighbor in
            // Where the valley is steep, the seeds' different best rates act as noise.
            let slope = [neighbor, least].map { abs(valley.slope(at: $0.logRate - bestRate)) }.max()
            let deviation = (noise * noise + pow(slope ?? 0, 2) * seedVariance).squareRoot()
            let error = Self.error(neighbor, least, noise: deviation)
            return (
                excess: neighbor.loss - least.loss,
                gap: neighbor.loss - leastLoss - valley.loss(at: neighbor.logRate - bestRate),
                bound: max(tolerance, Self.clearDifference * error)
            )
        }
        return neighbors.contains { $0.excess <= $0.bound }
            && neighbors.allSatisfy { $0.gap <= Self.greatestGap * $0.bound }
    }

    /// A guess of ln(best rate): the vertex of the parabola through the least typical loss and its
    /// neighbors, or the rate of the least one.
    fileprivate var start: Double {
        let finite = entries.filter(\.loss.isFinite)
        guard let least = finite.indices.min(by: { finite[$0].loss < finite[$1].loss }) else {
            return 0
        }
        let near = finite[max(0, least - 1)...min(finite.count - 1, least + 1)]
        let vertex = Parabola(x: near.map(\.logRate), y: near.map(\.loss))?.vertex
        return vertex.map {
            min(max($0, near[near.startIndex].logRate), near[near.endIndex - 1].logRate)
        }
            ?? finite[least].logRate
    }

    /// Returns the rates between two ln(rate) that diverge for no seed.
    fileprivate func rates(in bounds: ClosedRange<Double>?) -> [Double] {
        guard let bounds else { return [] }
        return entries.filter { $0.loss.isFinite && bounds.contains($0.logRate) }.map(\.logRate)
    }

    /// Returns the finite losses between two ln(rate), for a fit.
    fileprivate func runs(batch: Int, in bounds: ClosedRange<Double>?) -> [ValleyRun] {
        let rates = rates(in: bounds)
        return seeds.flatMap { seed in
            rates.compactMap { rate in
                seed.loss(at: rate).map {
                    ValleyRun(batch: batch, seed: seed.seed, logRate: rate, loss: $0)
                }
            }
        }
    }
}
