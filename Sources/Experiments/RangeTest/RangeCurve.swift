/// The losses of a range test.
package struct RangeCurve: RateTrial {
    /// The losses at one step of a range test.
    package struct Point: Sendable, Equatable {
        package let rate: Double
        /// The loss of the global batch before the step with this rate. Only at the last point of
        /// the curve can it be infinite or not a number.
        package let loss: Double
        package let smoothed: Double
    }

    /// The reason why the curve has ended.
    package enum Ending: String, Sendable {
        /// All steps of the ramp were taken.
        case complete
        /// The smoothed loss exceeded four times its lowest value.
        case diverged
        /// The loss or the gradient was not finite.
        case notFinite = "not finite"
    }

    package let ramp: RateRamp
    package private(set) var points: [Point] = []
    /// The reason why the curve has ended; nil while the test runs.
    package private(set) var ending: Ending?
    private var smoothing: LossSmoothing
    private var best = Double.infinity

    /// The ratio of the smoothed loss to its lowest value above which it has diverged (fastai's).
    package static let divergence = 4.0
    /// The divisor of the ramp's length that gives the first steps to leave out, whose average
    /// covers only a few losses.
    private static let partsAtStart = 10
    /// The fewest points that show a fall.
    private static let fewestPoints = 5
    /// The part of its fall with which the loss marks a rate that learns.
    private static let startingPart = 0.5
    /// The relative error of an average by rounding, which is all that varies in a constant loss.
    private static let roundingError = 1e-12
    /// The median magnitude of a normal number, in standard deviations.
    private static let medianMagnitude = 0.6745
    /// The ratio of the variance of a second difference of independent losses to that of one loss:
    /// 1 + 4 + 1.
    private static let secondDifferenceVariance = 6.0
    /// The fall, in standard deviations, that is not attributed to chance. A fall of four happens
    /// by chance in one of thirty thousand comparisons, which is rare enough for a curve with many
    /// points.
    private static let significantDeviations = 4.0

    /// Creates the curve of a test that has taken no step.
    package init(_ ramp: RateRamp) {
        self.ramp = ramp
        smoothing = LossSmoothing(steps: ramp.steps)
        points.reserveCapacity(ramp.steps)
    }

    /// Creates the curve of given losses; it may end before the last of them.
    package init(_ ramp: RateRamp, losses: [Double]) {
        self.init(ramp)
        for loss in losses where ending == nil { add(loss) }
    }

    package var beta: Double { smoothing.beta }

    /// The rate of the next step; nil at the end.
    package var nextRate: Double? {
        ending == nil ? ramp.rate(ofStep: points.count) : nil
    }

    /// Adds the loss of the step with `nextRate`.
    ///
    /// - Parameter isFinite: whether the step's gradient was finite.
    package mutating func add(_ loss: Double, isFinite: Bool = true) {
        guard let rate = nextRate else { return }
        guard loss.isFinite, isFinite else {
            points.append(Point(rate: rate, loss: loss, smoothed: .nan))
            ending = .notFinite
            return
        }
        let smoothed = smoothing.add(loss)
        points.append(Point(rate: rate, loss: loss, smoothed: smoothed))
        best = min(best, smoothed)
        if smoothed > Self.divergence * best {
            ending = .diverged
        } else if points.count == ramp.steps {
            ending = .complete
        }
    }

    /// The finite points from the second tenth of the ramp on.
    package var considered: ArraySlice<Point> {
        points.prefix { $0.smoothed.isFinite }.dropFirst(ramp.steps / Self.partsAtStart)
    }

    /// The difference between the smoothed loss at the beginning and its least value; nil if there
    /// are too few points.
    package var fall: Double? {
        guard considered.count >= Self.fewestPoints else { return nil }
        return considered.first.map { first in
            first.smoothed - considered.reduce(first.smoothed) { min($0, $1.smoothed) }
        }
    }

    /// The rate at which the smoothed loss has fallen by half of its fall; nil if it does not fall
    /// by more than noise.
    ///
    /// It is only where probes begin: at such a rate the parameters learn, but a ramp is too short
    /// to show which rate is best.
    package var startingRate: Double? {
        guard let fall, let first = considered.first,
            fall > max(leastFall, Self.roundingError * first.smoothed)
        else { return nil }
        let level = first.smoothed - Self.startingPart * fall
        return considered.first { $0.smoothed <= level }?.rate
    }

    /// The standard deviation of a batch's loss around the curve.
    ///
    /// It is computed from second differences, to which a trend adds nothing, and from their
    /// median, so that divergence adds nothing either.
    package var noise: Double {
        let losses = considered.map(\.loss)
        guard losses.count >= 3 else { return 0 }
        let differences = (1..<losses.count - 1).map { place -> Double in
            let neighbors = losses[place - 1] + losses[place + 1]
            return (neighbors - 2 * losses[place]).magnitude
        }.sorted()
        return differences[differences.count / 2]
            / (Self.medianMagnitude * Self.secondDifferenceVariance.squareRoot())
    }

    /// Whether the smoothed loss ends above its start by more than noise.
    package var rises: Bool {
        guard let first = considered.first, let last = considered.last else { return false }
        return last.smoothed - first.smoothed > leastFall
    }

    /// The least fall of the smoothed loss that is not attributed to chance: four standard
    /// deviations of the difference between the first average considered and a late one.
    package var leastFall: Double {
        let variance =
            smoothing.varianceRatio(of: ramp.steps / Self.partsAtStart + 1)
            + smoothing.varianceRatio(of: ramp.steps)
        return Self.significantDeviations * noise * variance.squareRoot()
    }
}
