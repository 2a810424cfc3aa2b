import Foundation
import Support
import Telemetry
import TestSupport
import Testing
import Training

/// Tests of the diagnosis on loss curves with and without a planted sign.
@Suite struct DiagnosisTests {
    /// The loss of an untrained model of 73 letters.
    private static let start = 4.29

    /// Returns the diagnoses of a loss curve, with an evaluation after every 50th step if
    /// `validation` has a loss for it.
    private static func diagnoses(
        steps: Int, rate: (Int) -> Double = { _ in 1e-3 },
        validation: (Int) -> Double? = { _ in nil }, loss: (Int) -> Double
    ) -> [Diagnosis] {
        var diagnostician = Diagnostician(startingLoss: Self.start)
        return (1...steps).flatMap { step in
            let record = observed(step, loss(step), rate: rate(step))
            let evaluation =
                step.isMultiple(of: 50)
                ? validation(step).map { loss in
                    MetricsRecord(
                        fields: ["step": .integer(step), "validation_loss": .number(loss)])
                } : nil
            return diagnostician.add(record)
                + (evaluation.map { diagnostician.add($0) } ?? [])
        }
    }

    private static func observed(
        _ step: Int, _ loss: Double, rate: Double = 1e-3, norm: Double = 1
    ) -> MetricsRecord {
        var line: JSONObject = [
            "step": .integer(step), "loss": .number(loss), "learning_rate": .number(rate),
            "gradient_norm": .number(norm),
        ]
        if !loss.isFinite || !norm.isFinite { line["skipped"] = true }
        return MetricsRecord(fields: line)
    }

    /// Loss curves of healthy runs, from the start to about 1.3.
    private static let shapes: [@Sendable (Double) -> Double] = [
        { 1.3 + 3 * exp(-$0 / 40) },
        { 1.3 + 3 / (1 + $0 / 10).squareRoot() },
        // A fall to the letters' frequencies, a plateau, and another fall.
        { 1.3 + 1.2 * exp(-$0 / 15) + 1.8 / (1 + exp(($0 - 400) / 40)) },
        // It ends on the plateau.
        { 3.2 + 1.1 * exp(-$0 / 10) },
    ]

    // MARK: - No sign

    /// A mean over few tokens has noise of up to 0.6 nats and a long upper tail; an untrained model
    /// has hardly any noise.
    @Test("noise is not reported as a sign")
    func noiseIsNotReported() {
        var alarms: [String] = []
        for seed in 0..<200 {
            var random = SeededNoise(seed: UInt64(seed))
            let shape = Self.shapes[seed % 4]
            let noise = [0.02, 0.1, 0.3, 0.6][seed / 4 % 4]
            let isSkewed = seed / 16 % 2 == 1
            let found = Self.diagnoses(
                steps: 1000, rate: { 1e-3 * min(1, Double($0) / 50) },
                validation: { shape(Double($0)) + 0.1 + 0.02 * random.normal() },
                loss: { step in
                    let mean = shape(Double(step))
                    let deviation = noise * min(1, (Self.start - mean) + 0.05)
                    return mean
                        + deviation * (isSkewed ? random.skewed() : random.normal())
                })
            if let first = found.first { alarms.append("seed \(seed): \(first.sentence)") }
        }
        #expect(alarms.count <= 1, "\(alarms)")
    }

    /// The noise is as large at the start as later, and the validation loss stays constant.
    @Test("a flat end is not reported as a sign")
    func flatEndIsNotReported() {
        for seed in 1...20 {
            var random = SeededNoise(seed: UInt64(seed))
            let found = Self.diagnoses(
                steps: 2500, validation: { _ in 1.5 + 0.03 * random.normal() },
                loss: { step in
                    1.5 + 2.8 * exp(-Double(step) / 30) - 1e-4 * Double(step) + 0.3
                        * random.normal()
                })
            #expect(found.isEmpty, "seed \(seed): \(found)")
        }
    }

    // MARK: - Planted signs

    @Test("a loss that does not fall is reported once", arguments: [0.01, 0.1, 0.3])
    func lossThatDoesNotFallIsReportedOnce(noise: Double) throws {
        for seed in 1...10 {
            var random = SeededNoise(seed: UInt64(seed))
            let found = Self.diagnoses(
                steps: 1000, rate: { 1e-7 * min(1, Double($0) / 20) },
                loss: { Self.start - 1e-5 * Double($0) + noise * random.normal() })
            try #require(found.map(\.sign) == [.lossNotFalling], "seed \(seed): \(found)")
            // The warmup, a hundred steps, and a few more checks if the noise is large.
            #expect(found[0].step <= (noise > 0.1 ? 420 : 120))
            #expect(found[0].cause.contains("(1e-07) is far too small"))
            #expect(found[0].remedy.contains("find-lr"))
        }
    }

    @Test("a loss that stays above its start is attributed to a rate that is too large")
    func aLossThatStaysAboveItsStartHasTooLargeARate() {
        let found = Self.diagnoses(steps: 300) { $0 < 4 ? Self.start : Self.start * 1.08 }
        #expect(found.map(\.sign) == [.lossNotFalling])
        #expect(found.first?.cause.contains("far too large") == true)
    }

    @Test("nothing is reported during a long warmup")
    func nothingIsReportedDuringALongWarmup() {
        let found = Self.diagnoses(
            steps: 700, rate: { 1e-6 * Double($0) }, loss: { _ in Self.start })
        #expect(found.isEmpty)
    }

    @Test("swings are reported once", arguments: [0.05, 0.3])
    func swingsAreReportedOnce(noise: Double) throws {
        for seed in 1...10 {
            var random = SeededNoise(seed: UInt64(seed))
            let found = Self.diagnoses(steps: 1000) { step in
                let swing = step > 200 ? 0.8 * sin(2 * .pi * Double(step - 200) / 60) : 0
                return 2.2 + 2 * exp(-Double(step) / 20) + swing + noise * random.normal()
            }
            // With little noise, the first rise may look like a spike.
            let swings = found.filter { $0.sign != .lossSpike }
            try #require(swings.map(\.sign) == [.strongOscillation], "seed \(seed): \(found)")
            // Two and a half swings.
            #expect(swings[0].step > 220 && swings[0].step <= 380)
            #expect(swings[0].remedy.contains("two to three times"))
        }
    }

    @Test("jumps at every step are reported once")
    func jumpsAtEveryStepAreReportedOnce() {
        var random = SeededNoise(seed: 1)
        let found = Self.diagnoses(steps: 600) { step in
            2.2 + 2 * exp(-Double(step) / 20) + (step.isMultiple(of: 2) ? 0.2 : -0.2)
                + 0.05 * random.normal()
        }
        #expect(found.map(\.sign) == [.strongOscillation])
        #expect((found.first?.step ?? 999) <= 250)
    }

    @Test("losses that jump above the start are reported once")
    func lossesAboveTheStartAreReportedOnce() {
        var random = SeededNoise(seed: 1)
        let found = Self.diagnoses(steps: 600) { step in
            step < 3 ? Self.start : 4 + abs(3 * random.normal())
        }
        #expect(found.map(\.sign) == [.strongOscillation])
        #expect((found.first?.step ?? 999) <= 30)
        #expect(found.first?.cause.contains("far too large") == true)
    }

    @Test("a spike is reported at once")
    func spikeIsReportedAtOnce() {
        for seed in 1...10 {
            var random = SeededNoise(seed: UInt64(seed))
            let found = Self.diagnoses(steps: 600) { step in
                let loss = 2.2 + 2 * exp(-Double(step) / 20) + 0.1 * random.normal()
                return [300, 301, 450].contains(step) ? 2 * loss : loss
            }
            #expect(found.map(\.sign) == [.lossSpike], "seed \(seed): \(found)")
            #expect(found.first?.step == 300)
        }
    }

    @Test("a loss or norm that is not a number is reported at once")
    func nonNumberIsReportedAtOnce() {
        let found = Self.diagnoses(steps: 200) { step in
            step >= 77 && step < 80 ? .nan : 2.2 + 2 * exp(-Double(step) / 20)
        }
        #expect(found.map(\.sign) == [.notANumber])
        #expect(found.first?.step == 77)
        var diagnostician = Diagnostician(startingLoss: Self.start)
        let step = Self.observed(1, 4, rate: 1, norm: .infinity)
        #expect(diagnostician.add(step).first?.cause.hasPrefix("the gradient norm is") == true)
    }

    /// From step 500 on, the validation loss rises by 0.03 at each evaluation.
    @Test("overfitting is reported once", arguments: [false, true])
    func overfittingIsReportedOnce(decays: Bool) throws {
        for seed in 1...10 {
            var random = SeededNoise(seed: UInt64(seed))
            func validation(_ step: Int) -> Double {
                let step = Double(step)
                return 1.8 + 2 * exp(-step / 100) + max(0, step - 500) * 6e-4
                    + 0.01 * random.normal()
            }
            let rate = { (step: Int) in decays ? 1e-3 * (1 - Double(step) / 2000) : 1e-3 }
            let noise = SeededNoise(seed: UInt64(100 + seed))
            var training = noise
            let found = Self.diagnoses(steps: 1500, rate: rate, validation: validation) { step in
                1.7 + 2.4 * exp(-Double(step) / 100) - 5e-4 * Double(step) + 0.1 * training.normal()
            }
            try #require(found.map(\.sign) == [.overfitting], "seed \(seed): \(found)")
            #expect(found[0].step > 550 && found[0].step <= 900)
            #expect(found[0].cause.contains("needs to decay") == !decays)
            // The validation loss is the same, but the training loss has stopped falling.
            training = noise
            let still = Self.diagnoses(steps: 1500, rate: rate, validation: validation) { step in
                1.7 + 2.4 * exp(-Double(step) / 30) + 0.1 * training.normal()
            }
            #expect(still.isEmpty, "seed \(seed): \(still)")
        }
    }

    // MARK: - The log

    @Test(
        "a run resumed from its log has the diagnoses of an uninterrupted one",
        arguments: [1, 2, 22, 76, 77, 100, 151, 299, 300, 301, 599])
    func resumedRunHasTheSameDiagnoses(cut: Int) throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/metrics.jsonl"
        let log = try MetricsLog(creating: path)
        var random = SeededNoise(seed: 3)
        var whole = Diagnostician(startingLoss: Self.start)
        var resumed: Diagnostician?
        for step in 1...600 {
            let loss =
                switch step {
                case 77: Double.nan
                case 300: 9.0
                default: 4.29 + 0.01 * random.normal()
                }
            let record = Self.observed(step, loss, rate: 1e-7)
            let found = whole.add(record)
            if resumed != nil {
                #expect(resumed?.add(record) == found)
                continue
            }
            try log.append(record.fields)
            for diagnosis in found {
                try log.append([
                    "step": .integer(step), "diagnosis": .string(diagnosis.sign.rawValue),
                    "cause": .string(diagnosis.cause), "remedy": .string(diagnosis.remedy),
                ])
            }
            if step == cut {
                var recalling = Diagnostician(startingLoss: Self.start)
                for record in try MetricsLog.read(path) { recalling.add(record) }
                resumed = recalling
            }
        }
        let expected: [DiagnosisSign] = [.notANumber, .lossSpike].filter {
            cut >= ($0 == .notANumber ? 77 : 300)
        }
        let read = try MetricsLog.read(path).compactMap { Diagnosis($0) }
        #expect(read.map(\.sign) == expected)
    }

    @Test("diagnoses are read from the log, without those of later versions")
    func diagnosesAreReadFromTheLog() throws {
        let folder = try TemporaryFolder()
        try folder.write(
            "metrics.jsonl",
            """
            {"step":7,"loss":4.3}
            {"step":7,"diagnosis":"loss spike","cause":"a","remedy":"b"}
            {"step":8,"validation_loss":4.3}
            {"step":9,"diagnosis":"of a later version","cause":"a","remedy":"b"}

            """)
        let read = try MetricsLog.read("\(folder.path)/metrics.jsonl").compactMap { Diagnosis($0) }
        #expect(read.map(\.sentence) == ["step 7: loss spike: a; b"])
    }
}

extension SeededNoise {
    /// Returns a number with mean 0, variance 1 and a long upper tail: the scaled mean of 8
    /// exponential numbers.
    fileprivate mutating func skewed() -> Double {
        ((0..<8).reduce(0) { sum, _ in sum - log(uniform()) } - 8) / 8.0.squareRoot()
    }
}
