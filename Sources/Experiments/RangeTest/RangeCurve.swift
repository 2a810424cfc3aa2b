/// The losses of a range test.
package struct RangeCurve: Sendable {
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
    /// The divisors of the ramp's length that give the steps to leave out: the first steps, whose
    /// average covers only a few losses, and the last steps, in which the loss diverges. fastai's
    /// `lr_find` leaves out the same steps.
    private static let (partsAtStart, partsAtEnd) = (10, 20)
    /// The median magnitude of a normal number, in standard deviations.
    private static let medianMagnitude = 0.6745
    /// The ratio of the variance of a second difference of independent losses to that of one loss:
    /// 1 + 4 + 1.
    private static let secondDifferenceVariance = 6.0
    /// The fall, in standard deviations, that is not attributed to chance. A fall of four happens
    /// by chance in one of thirty thousand comparisons, which is rare enough for a curve with many
    /// points.
    private static let significantDeviations = 4.0

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

    /// The points on which suggestions are based: all but the first tenth and the last twentieth.
    package var considered: ArraySlice<Point> {
        let finite = points.prefix { $0.smoothed.isFinite }
        return finite.dropFirst(ramp.steps / Self.partsAtStart)
            .dropLast(ramp.steps / Self.partsAtEnd)
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
