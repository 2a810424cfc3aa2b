import Foundation
import Model
import Support
import Testing

@Suite struct SamplingTests {
    private let logits: [Float] = [1, 3, 2, -1, 3]

    private func counts(_ sampling: Sampling, draws: Int = 4000) -> [Int32: Int] {
        logits.withUnsafeBufferPointer { logits in
            (0..<draws).reduce(into: [:]) { counts, place in
                counts[sampling.choose(logits, place: place), default: 0] += 1
            }
        }
    }

    @Test("temperature 0 takes the likeliest token and the first of ties")
    func temperatureZeroTakesTheLikeliest() {
        var sampling = Sampling()
        sampling.temperature = 0
        #expect(counts(sampling, draws: 10) == [1: 10])
    }

    @Test("frequencies follow the softmax", arguments: [0.5, 1.0, 2.0])
    func frequenciesFollowTheSoftmax(temperature: Double) {
        var sampling = Sampling()
        sampling.temperature = temperature
        let drawn = counts(sampling)
        let weights = logits.map { exp(Double($0) / temperature) }
        let total = weights.reduce(0, +)
        for (token, weight) in weights.enumerated() {
            let share = Double(drawn[Int32(token)] ?? 0) / 4000
            #expect(abs(share - weight / total) < 0.03)
        }
    }

    @Test("top-k and top-p keep the likeliest tokens")
    func topKAndTopPKeepTheLikeliest() {
        var sampling = Sampling()
        sampling.topK = 3
        #expect(Set(counts(sampling).keys) == [1, 2, 4])
        sampling.topK = 1
        #expect(Set(counts(sampling).keys) == [1])
        sampling.topK = 0
        // The two likeliest tokens have 0.40 each.
        sampling.topP = 0.39
        #expect(Set(counts(sampling).keys) == [1])
        sampling.topP = 0.5
        #expect(Set(counts(sampling).keys) == [1, 4])
    }

    @Test("equal seeds give equal draws, and other seeds give others")
    func drawsDependOnTheSeed() {
        var sampling = Sampling()
        let first = counts(sampling)
        #expect(counts(sampling) == first)
        sampling.seed = 8
        #expect(counts(sampling) != first)
    }

    @Test("impossible options are refused")
    func impossibleOptionsAreRefused() {
        for change: (inout Sampling) -> Void in [
            { $0.temperature = -1 }, { $0.temperature = .nan }, { $0.topK = -1 }, { $0.topP = 0 },
            { $0.topP = 1.5 },
        ] {
            var sampling = Sampling()
            change(&sampling)
            let failure = #expect(throws: Failure.self) { try sampling.validate() }
            #expect(failure?.code == .usage)
        }
    }
}
