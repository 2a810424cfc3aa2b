import Compute
import Experiments
import Glibc
import Recipes
import Testing

/// Tests of the growth of activations with the size of a model, on planted changes.
@Suite struct CoordinatesTests {
    /// Returns a check whose changes are proportional to a power of the width, with noise.
    private func check(
        exponent: Double, noise: Double = 0.02, seeds: Int = 3, axis: CoordinateAxis = .width,
        layers: Int = 2,
        change: (CoordinatePlace, Double) -> Double = { $1 }
    ) -> Coordinates {
        let random = CounterRandom(key: 5)
        var (runs, index) = ([CoordinateRun](), UInt64(0))
        for size in [32, 64, 128, 256] {
            for seed in 0..<seeds {
                let changes = CoordinatePlace.allCases.map { place in
                    index += 1
                    let jitter = exp(noise * (2 * random.uniform(index, 0) - 1))
                    return (place, change(place, pow(Double(size), exponent) * jitter))
                }
                runs.append(
                    CoordinateRun(
                        parametrization: .mup,
                        size: axis.size(size, like: ModelSize(width: 32, layers: layers)),
                        seed: UInt64(seed),
                        changes: [Dictionary(uniqueKeysWithValues: changes)]))
            }
        }
        return Coordinates(
            recipeName: "planted", axis: axis, sizes: [32, 64, 128, 256],
            parametrizations: [.mup], seeds: seeds, steps: 1, learningRate: 1e-3, runs: runs)
    }

    @Test("changes that grow, shrink or stay are told apart", arguments: [-1, -0.5, 0, 0.5, 1])
    func growthIsFound(exponent: Double) throws {
        let check = check(exponent: exponent)
        #expect(check.slopes.count == 4)
        for slope in check.slopes {
            #expect(abs(slope.exponent.value - exponent) < 0.03)
            let interval = try #require(slope.exponent.interval)
            #expect(interval.width < 0.1)
            #expect(slope.finding == (exponent == 0 ? .flat : exponent > 0 ? .grows : .shrinks))
        }
        #expect(check.isFlat(.mup) == (exponent == 0))
    }

    @Test("the only block of a model is judged once")
    func oneBlock() {
        let check = check(exponent: 0, layers: 1)
        #expect(check.slopes.map(\.place) == [.embedding, .firstBlock, .logits])
        #expect(check.isFlat(.mup) == true)
        #expect(self.check(exponent: 1, layers: 1).isFlat(.mup) == false)
    }

    @Test("noisy changes are undecided")
    func noiseIsUndecided() {
        #expect(check(exponent: 0, noise: 1).isFlat(.mup) == nil)
    }

    @Test("one growing place is enough to refute")
    func oneGrowingPlaceRefutes() {
        let check = check(exponent: 0.5, change: { $0 == .logits ? $1 : 1 + 1e-3 * $1 })
        #expect(check.isFlat(.mup) == false)
        #expect(check.sentences[0].contains("the logits"))
        #expect(!check.sentences[0].contains("block"))
    }

    @Test("changes that are not finite have no verdict")
    func nonFiniteHasNoVerdict() {
        let check = check(exponent: 0, change: { $0 == .logits ? .nan : $1 })
        #expect(check.isFlat(.mup) == nil)
        #expect(check.sentences[0].contains("not finite"))
        #expect(!check.table.contains("nan"))
    }

    @Test("the depth is judged by the stream as a whole")
    func depthIgnoresTheFirstBlock() {
        let check = check(exponent: 0, axis: .layers, change: { $0 == .firstBlock ? $1 * 50 : $1 })
        #expect(check.slopes.map(\.place) == [.embedding, .lastBlock, .logits])
        #expect(check.isFlat(.mup) == true)
    }
}
