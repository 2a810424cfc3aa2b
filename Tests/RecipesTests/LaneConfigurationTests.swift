import Recipes
import Support
import Testing

@Suite struct LaneConfigurationTests {
    @Test(
        "if lanes are unset, the smallest suitable divisor is chosen",
        arguments: [
            (12, 1, 12), (64, 1, 8), (64, 8, 8), (64, 9, 16), (64, 16, 32), (96, 12, 24),
            (60, 12, 60), (50, 10, 50), (64, 33, 64), (30, 2, 10), (7, 3, 7),
            (1, 1, 1), (13, 4, 13), (480, 1, 8), (480, 13, 15), (9, 9, 9),
        ])
    func unsetLanesAreTheSmallestSuitableDivisor(batch: Int, ranks: Int, lanes: Int) throws {
        let configuration = try LaneConfiguration(globalBatch: batch, ranks: ranks)
        #expect(configuration.laneCount == lanes)
        #expect(configuration.microBatch == batch / lanes)
        #expect(configuration.microBatchesPerLane == 1)
    }

    @Test("lanes cover the batch once")
    func lanesCoverTheBatchOnce() throws {
        let configuration = try LaneConfiguration(
            globalBatch: 24, lanes: 4, microBatch: 3, ranks: 3)
        #expect(configuration.sequencesPerLane == 6)
        #expect(configuration.microBatchesPerLane == 2)
        #expect((0..<4).flatMap { configuration.sequences(ofLane: $0) } == Array(0..<24))
    }

    private func sentence(
        _ batch: Int, lanes: Int = 0, microBatch: Int = 0, ranks: Int = 1
    ) -> String? {
        do throws(Failure) {
            _ = try LaneConfiguration(
                globalBatch: batch, lanes: lanes, microBatch: microBatch, ranks: ranks)
            return nil
        } catch {
            return error.code == .configuration ? error.sentence : "code \(error.code)"
        }
    }

    @Test("impossible lanes are refused with the nearest possible ones")
    func impossibleLanesAreRefused() {
        #expect(
            sentence(12, lanes: 5)
                == "[reduction] lanes = 5: does not divide global_batch = 12; set lanes to 4 or 6, or "
                + "global_batch to 10 or 15.")
        #expect(
            sentence(12, lanes: 16)
                == "[reduction] lanes = 16: does not divide global_batch = 12; set lanes to 12, or "
                + "global_batch to 16.")
        #expect(
            sentence(12, lanes: -3)
                == "[reduction] lanes = -3: does not divide global_batch = 12; set lanes to 1.")
        #expect(
            sentence(0)
                == "[training] global_batch = 0: must be at least one sequence; set it to 1 or more."
        )
    }

    @Test("more ranks than lanes are refused with a remedy")
    func moreRanksThanLanesAreRefused() {
        #expect(
            sentence(24, lanes: 8, ranks: 9)
                == "9 ranks: are more than the 8 lanes into which global_batch = 24 is divided; "
                + "start at most 8 ranks, or set lanes to 12.")
        #expect(
            sentence(8, lanes: 8, ranks: 16)
                == "16 ranks: are more than the 8 lanes into which global_batch = 8 is divided; "
                + "start at most 8 ranks, or set global_batch and lanes to 16.")
        #expect(
            sentence(6, ranks: 7)
                == "7 ranks: are more than the 6 lanes into which global_batch = 6 is divided; "
                + "start at most 6 ranks, or set global_batch and lanes to 7.")
    }

    @Test("impossible micro-batches are refused with the nearest possible ones")
    func impossibleMicroBatchesAreRefused() {
        #expect(
            sentence(24, lanes: 4, microBatch: 4)
                == "[training] micro_batch = 4: does not divide a lane, which has 6 of the 24 sequences; set micro_batch to 3 "
                + "or 6, or to 0 for a whole lane.")
        #expect(
            sentence(24, lanes: 4, microBatch: 12)
                == "[training] micro_batch = 12: does not divide a lane, which has 6 of the 24 sequences; set micro_batch to 6, "
                + "or to 0 for a whole lane.")
        #expect(
            sentence(24, lanes: 4, microBatch: -6)
                == "[training] micro_batch = -6: does not divide a lane, which has 6 of the 24 sequences; set micro_batch to 1, "
                + "or to 0 for a whole lane.")
    }
}
