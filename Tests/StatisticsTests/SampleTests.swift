import Statistics
import TestSupport
import Testing

/// Tests of samples, intervals and the jackknife.
@Suite struct SampleTests {
    @Test("mean, variance and the mean's interval equal SciPy's")
    func golden() throws {
        let expected = try GoldenFits.load().sample
        let sample = Sample(expected.values)
        let estimate = sample.meanEstimate(level: 0.95)
        let interval = try #require(estimate.interval)
        // A few additions cause an error of some units in the last place.
        #expect(relativeDifference(sample.mean, expected.mean) < 1e-14)
        #expect(relativeDifference(try #require(sample.variance), expected.variance) < 1e-14)
        #expect(relativeDifference(interval.lower, expected.interval[0]) < 1e-13)
        #expect(relativeDifference(interval.upper, expected.interval[1]) < 1e-13)
        #expect(estimate.value == sample.mean && interval.level == 0.95)
    }

    @Test("one value has a mean and no interval")
    func single() {
        #expect(Sample([3]).meanEstimate(level: 0.95) == Estimate(3))
        #expect(Sample([3]).standardDeviation == nil)
    }

    @Test("an interval contains its ends and follows an increasing function")
    func intervals() {
        let interval = Interval(lower: 1, upper: 3, level: 0.9)
        #expect(interval.contains(1) && interval.contains(3) && !interval.contains(3.1))
        #expect(interval.mapped { 2 * $0 } == Interval(lower: 2, upper: 6, level: 0.9))
        #expect(interval.width == 2)
    }

    @Test("the jackknife of a mean is the mean with Student's interval")
    func jackknifeOfMean() throws {
        let values = [1.5, 2.25, -1, 4, 0.5, 3]
        let estimate = try #require(jackknife([values], level: 0.95) { $0[0] })
        let expected = Sample(values).meanEstimate(level: 0.95)
        #expect(abs(estimate.biasCorrected - expected.value) < 1e-14)
        let interval = try #require(expected.interval)
        #expect(abs(estimate.interval.lower - interval.lower) < 1e-13)
        #expect(abs(estimate.interval.upper - interval.upper) < 1e-13)
    }

    @Test("the jackknife removes the first-order bias of a squared mean")
    func jackknifeBias() throws {
        // mean^2 overestimates mu^2 by variance / n; the unbiased estimate is known.
        let values = [1.0, 2, 4, 9]
        let estimate = try #require(jackknife([values], level: 0.95) { $0[0] * $0[0] })
        let sample = Sample(values)
        let unbiased = sample.mean * sample.mean - (try #require(sample.variance)) / 4
        #expect(abs(estimate.value - sample.mean * sample.mean) < 1e-12)
        #expect(abs(estimate.biasCorrected - unbiased) < 1e-12)
    }

    @Test("a ratio's interval contains the truth in about 95 % of repetitions")
    func coverage() throws {
        var held = 0
        for repetition in 0..<200 {
            var noise = SeededNoise(seed: UInt64(repetition))
            let upper = (0..<40).map { _ in 6 + noise.normal() }
            let lower = (0..<40).map { _ in 3 + noise.normal() }
            // There are twelve blocks, into which 40 samples do not divide evenly.
            let estimate = try #require(
                jackknife([upper, lower], blockCount: 12, level: 0.95) { $0[0] / $0[1] })
            if estimate.interval.contains(2) { held += 1 }
        }
        // The expected number is 190, with a binomial standard deviation of 3.
        #expect((178...199).contains(held), "\(held) of 200")
    }

    @Test("blocks widen the interval if neighboring samples are correlated")
    func blocks() throws {
        var noise = SeededNoise(seed: 7)
        var state = 0.0
        let series = (0..<400).map { _ in
            state = 0.9 * state + noise.normal()
            return state
        }
        let single = try #require(jackknife([series], level: 0.95) { $0[0] })
        let blocked = try #require(jackknife([series], blockCount: 10, level: 0.95) { $0[0] })
        // For this process the mean's error is sqrt(1.9 / 0.1) = 4.4 times that of independent
        // samples.
        #expect((2.5...7).contains(blocked.standardError / single.standardError))
    }

    @Test("a statistic that is not finite has no estimate")
    func notFinite() {
        #expect(jackknife([[1, -1], [0, 0]], level: 0.95) { $0[0] / $0[1] } == nil)
    }
}
