import Experiments
import Foundation
import TestSupport
import Testing

/// Tests of searches for a learning rate.
@Suite struct RateSearchTests {
    /// Finishes a search on a function from the logarithm of the rate to base 2 to the loss, which
    /// is 4 before the first step.
    private func finished(
        _ search: RateSearch, _ loss: (Double) -> Double
    ) -> RateSearch {
        var search = search
        while var probe = search.next {
            let level = loss(log2(probe.rate))
            probe.add(4, isFinite: true)
            while probe.nextRate != nil { probe.add(level, isFinite: true) }
            search.add(probe)
        }
        return search
    }

    @Test("a search of both sides finds the rates with half of the fall", arguments: [-8.0, 0, 5])
    func bothSides(start: Double) throws {
        // Half of the fall of 2 is lost at -5 and 2.
        let search = finished(
            RateSearch(start: exp2(start), probeSteps: 40, lacking: 0.5)
        ) { 2 + ($0 < 0 ? -0.2 * $0 : 0.5 * $0) }
        let rates = [search.probe(beyond: -1), search.bestProbe, search.probe(beyond: 1)]
            .compactMap { $0.map { log2($0.rate) } }
        try #require(rates.count == 3)
        // Rates are an octave apart where it matters.
        #expect(-6.1 < rates[0] && rates[0] < -5)
        #expect(abs(rates[1]) <= 0.5 && 2 < rates[2] && rates[2] <= 3)
        #expect(search.probes.count <= 14)
    }

    @Test("divergence ends the upper side, and its edge is found")
    func divergenceAbove() throws {
        let search = finished(RateSearch(start: 1, probeSteps: 40, lacking: 0.5)) {
            $0 > 2.5 ? .nan : 2 - 0.1 * $0
        }
        let large = try #require(search.probe(beyond: 1))
        #expect(large.hasDiverged && log2(large.rate) == 3)
        #expect(search.bestProbe?.rate == 4)
    }

    @Test("without a worse rate, the outermost one is returned")
    func noWorseRate() throws {
        let search = finished(RateSearch(start: 1, probeSteps: 40, lacking: 0.5)) { _ in 2 }
        #expect(search.probes.count == 16)
        #expect(search.probe(beyond: 1)?.rate == search.probes.last?.rate)
        let none = finished(RateSearch(start: 1, probeSteps: 40, lacking: 0.5)) { _ in .nan }
        #expect(none.bestProbe == nil && none.probes.count == 16)
    }

    /// Returns a finished search on a function from the logarithm of the rate to base 2 to the loss;
    /// a loss that is not finite ends its probe.
    private func search(
        from octave: Double, fall: Double = 1, noise: Double = 0, _ loss: (Double) -> Double
    ) -> RateSearch {
        var search = RateSearch(start: exp2(octave), probeSteps: 40, fall: fall)
        var generator = SeededNoise(seed: 5)
        while var probe = search.next {
            let level = loss(log2(probe.rate))
            while probe.nextRate != nil {
                probe.add(level + noise * generator.normal(), isFinite: true)
            }
            search.add(probe)
        }
        return search
    }

    @Test(
        "a valley is found from either side",
        arguments: [-9.3, -6, -2.5, 0, 0.7, 4, 6.1], [0.02, 0.1, 0.5])
    func valley(start: Double, curvature: Double) throws {
        let search = search(from: start) { 2 + curvature * $0 * $0 }
        let good = try #require(search.goodRates)
        #expect(!good.isOpenBelow && !good.isOpenAbove)
        let loss = 2 + curvature * pow(log2(good.recommended), 2)
        // The tolerance is a twentieth of a nat. Lines between probes cut off a part of a valley.
        #expect(loss < 2.04, "\(log2(good.recommended))")
        #expect(good.lowest < 1.3 && good.highest > 0.7, "\(good)")
        #expect(search.probes.count <= 10)
        #expect(search.probes.map(\.rate) == search.probes.map(\.rate).sorted())
        #expect(Set(search.probes.map(\.rate)).count == search.probes.count)
    }

    @Test("the recommended rate keeps away from divergence", arguments: [-7.0, -3.2, 1.4, 5])
    func cliff(start: Double) throws {
        // The loss falls until it diverges.
        let search = search(from: start) { $0 > 0.3 ? .infinity : 3 - 0.2 * $0 }
        let good = try #require(search.goodRates)
        #expect(!good.isOpenAbove && search.probes.contains { $0.hasDiverged })
        #expect(log2(good.highest) <= 0.3 && good.recommended < good.highest)
        #expect(log2(good.recommended) > -1.5)
    }

    /// Returns a finished search near the rate 1 for a recipe's rate, on a function of the octave
    /// to the losses in the last quarter and in the quarter before.
    private func unsettled(
        near start: Double = 1, recipeRate: Double,
        _ losses: (Double) -> (late: Double, early: Double)
    ) -> RateSearch {
        finished(
            RateSearch(near: start, recipeRate: recipeRate, probeSteps: 40, fall: 1), losses)
    }

    private func finished(
        _ search: RateSearch, _ losses: (Double) -> (late: Double, early: Double)
    ) -> RateSearch {
        var search = search
        while var probe = search.next {
            let level = losses(log2(probe.rate))
            while probe.nextRate != nil {
                let isLate = 4 * probe.losses.count >= 3 * probe.steps
                probe.add(isLate ? level.late : level.early, isFinite: true)
            }
            search.add(probe)
        }
        return search
    }

    @Test("the recipe's rate is probed, and all rates are multiples of it", arguments: [0.3, 3, 7])
    func recipeRate(rate: Double) {
        func valley(_ octave: Double) -> (late: Double, early: Double) {
            let loss = 2 + 0.1 * octave * octave
            return (loss, loss)
        }
        let search = unsettled(recipeRate: rate, valley)
        #expect(search.probes.contains { $0.rate == rate })
        #expect(search.probes.allSatisfy { log2($0.rate / rate) == log2($0.rate / rate).rounded() })
        #expect(search.unsettledRates == nil && search.confirmation == nil)
        // A rate above one that diverges is not worth a probe.
        let cliff = unsettled(recipeRate: 64) { octave in
            let loss = octave > 2.5 ? .nan : 2 - 0.1 * octave
            return (loss, loss)
        }
        #expect(!cliff.probes.contains { $0.rate == 64 })
    }

    @Test("a valley below a worse rate is found, and twice the steps decide")
    func twoValleys() throws {
        // Short probes are best at 2 and almost as good at -2, with a ridge between them.
        func valleys(_ octave: Double) -> (late: Double, early: Double) {
            let loss = min(2.02 + 0.1 * pow(octave + 2, 2), 2 + 0.1 * pow(octave - 2, 2))
            return (loss, loss)
        }
        let short = unsettled(near: 4, recipeRate: 4, valleys)
        #expect(short.goodRanges.count == 2)
        let rates = try #require(short.unsettledRates)
        #expect(rates.lowerBound < 1 && rates.upperBound > 1, "\(rates)")
        let longer = try #require(short.confirmation)
        #expect(longer.probeSteps == 80)
        // Longer probes prefer the low rates clearly.
        let decided = finished(longer) { octave in
            let loss = valleys(octave).late - (octave < 0 ? 0.3 : 0)
            return (loss, loss)
        }
        let good = try #require(decided.goodRates)
        #expect(decided.goodRanges.count == 1 && abs(log2(good.recommended) + 2) < 1)
        #expect(decided.probes.contains { log2($0.rate) > 1 }, "the other valley is tried too")
        // If the longer probes do not decide either, the lower range counts.
        let open = finished(longer, valleys)
        #expect(open.goodRanges.count == 2)
        #expect(abs(log2(try #require(open.goodRates).recommended) + 2) < 1)
        let reason = RateRecommendation(
            RangeCurve(try RateRamp(from: 1e-5, to: 1, steps: 100)), open
        ).reason
        #expect(reason.contains("are as good after these steps, with worse rates between"))
    }

    @Test("losses that fall by more than their differences over many rates are not settled")
    func falling() throws {
        func losses(fall: Double) -> (Double) -> (late: Double, early: Double) {
            { octave in
                let loss = 2 + 0.02 * octave * octave
                return (loss, loss + fall)
            }
        }
        // Half of the width is the root of the fall divided by 0.02, in octaves.
        #expect(unsettled(recipeRate: 1, losses(fall: 0.03)).confirmation == nil)
        let wide = unsettled(recipeRate: 1, losses(fall: 0.2))
        #expect(wide.goodRanges.count == 1 && wide.unsettledRates != nil)
        #expect(wide.confirmation?.probeSteps == 80)
    }

    @Test(
        "of rates that cannot be told apart, a search of both sides prefers the first, then the lowest"
    )
    func goodProbe() {
        let flat = finished(RateSearch(start: 1, probeSteps: 40, lacking: 0.5)) { octave in
            -4.5...4.5 ~= octave ? 2 - 0.004 * octave : 3.9
        }
        #expect(flat.bestProbe?.rate == 16 && flat.goodProbe?.rate == 1)
        let off = finished(RateSearch(start: 32, probeSteps: 40, lacking: 0.5)) { octave in
            -4.5...4.5 ~= octave ? 2 - 0.004 * octave : 3.9 + 0.1 * abs(octave)
        }
        #expect((off.goodProbe?.rate ?? 32) < (off.bestProbe?.rate ?? 0))
        #expect((off.probe(beyond: -1)?.rate ?? 1) < (off.goodProbe?.rate ?? 0))
    }

    @Test("a dip that is narrower than the steps does not stop the search")
    func dip() throws {
        let search = search(from: 6) { octave in
            0.1 * octave * octave + 3 - (4.5...5.5 ~= octave ? 1 : 0)
        }
        #expect(abs(log2(try #require(search.goodRates).recommended)) < 0.5)
    }

    @Test("rates that give the same loss leave the range open")
    func flat() throws {
        let flat = search(from: 0) { _ in 2 }
        let good = try #require(flat.goodRates)
        #expect(good.isOpenBelow && good.isOpenAbove && flat.probes.count == 12)
        let plateau = search(from: 0) { $0 > 3 ? .infinity : 2 }
        let below = try #require(plateau.goodRates)
        #expect(below.isOpenBelow && !below.isOpenAbove)
    }

    @Test("a search in which every probe diverges finds nothing and ends")
    func divergesEverywhere() {
        let search = search(from: 0) { _ in .nan }
        #expect(search.goodRates == nil && search.noise == nil)
        #expect(search.probes.count == 12 && search.probes.allSatisfy { $0.rate <= 1 })
    }

    @Test("noise widens the range, and a small fall narrows it")
    func tolerance() throws {
        func valley(_ octave: Double) -> Double { 2 + 0.02 * octave * octave }
        let exact = search(from: 0.5, valley)
        #expect(exact.tolerance == 0.05 && exact.noise == 0)
        let small = search(from: 0.5, fall: 0.1, valley)
        #expect(abs(small.tolerance - 0.01) < 1e-12)
        let noisy = search(from: 0.5, noise: 0.2, valley)
        #expect(noisy.tolerance == 2 * (try #require(noisy.noise)) && noisy.tolerance > 0.05)
        let widths = try [small, exact, noisy].map {
            let good = try #require($0.goodRates)
            return good.highest / good.lowest
        }
        #expect(widths[0] < widths[1] && widths[1] < widths[2], "\(widths)")
    }
}
