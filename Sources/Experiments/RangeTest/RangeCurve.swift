/// The losses of a range test.
package struct RangeCurve: Sendable {
    package struct Point: Sendable, Equatable {
        package let rate: Double
        /// Of the global batch, before the step with this rate; not finite at the end of a curve
        /// that ended so.
        package let loss: Double
        package let smoothed: Double
    }

    /// Why there are no more points.
    package enum Ending: String, Sendable {
        /// The ramp is at its end.
        case complete
        /// The smoothed loss exceeded four times its least.
        case diverged
        /// The loss or the gradient was not finite.
        case notFinite = "not finite"
    }

    package let ramp: RateRamp
    package private(set) var points: [Point] = []
    /// Nil while the test runs.
    package private(set) var ending: Ending?
    private var smoothing: LossSmoothing
    private var best = Double.infinity

    /// How many times its least the smoothed loss may be; fastai's figure.
    package static let divergence = 4.0

    package init(_ ramp: RateRamp) {
        self.ramp = ramp
        smoothing = LossSmoothing(steps: ramp.steps)
        points.reserveCapacity(ramp.steps)
    }

    /// The curve of some losses, as far as it goes.
    package init(_ ramp: RateRamp, losses: [Double]) {
        self.init(ramp)
        for loss in losses where ending == nil { add(loss) }
    }

    package var beta: Double { smoothing.beta }

    /// The rate of the step that comes next; nil at the end.
    package var nextRate: Double? {
        ending == nil ? ramp.rate(ofStep: points.count) : nil
    }

    /// Takes in the loss of the step with `nextRate`.
    ///
    /// - Parameter isFinite: whether the step's gradient was.
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

    /// What suggestions are made from: without the first tenth, where the average is of few losses,
    /// and without what corresponds to 5 of 100 steps at the end, where it diverges (fastai's
    /// `lr_find` cuts the same).
    package var considered: ArraySlice<Point> {
        let finite = points.prefix { $0.smoothed.isFinite }
        return finite.dropFirst(ramp.steps / 10).dropLast(ramp.steps / 20)
    }

    /// The standard deviation of a batch's loss around the curve.
    ///
    /// From second differences, whose variance is six times that of independent losses and to which
    /// a trend adds nothing; from their median, so that divergence adds nothing either. The median
    /// magnitude of a normal number is 0.6745 standard deviations.
    package var noise: Double {
        let losses = considered.map(\.loss)
        guard losses.count >= 3 else { return 0 }
        var differences: [Double] = []
        for place in 1..<losses.count - 1 {
            let neighbours: Double = losses[place - 1] + losses[place + 1]
            differences.append((neighbours - 2 * losses[place]).magnitude)
        }
        differences.sort()
        return differences[differences.count / 2] / (0.6745 * 6.0.squareRoot())
    }

    /// Whether the smoothed loss ends higher than it began by more than noise.
    package var rises: Bool {
        guard let first = considered.first, let last = considered.last else { return false }
        return last.smoothed - first.smoothed > leastFall
    }

    /// What the smoothed loss must fall by to be no work of chance: four standard deviations of the
    /// difference between the first average considered and a late one.
    package var leastFall: Double {
        let variance =
            smoothing.varianceRatio(of: ramp.steps / 10 + 1)
            + smoothing.varianceRatio(of: ramp.steps)
        return 4 * noise * variance.squareRoot()
    }
}
