import Recipes
import Support
import Testing

@Suite struct LaneConfigurationTests {
    @Test(arguments: [
        (12, 1, 12), (64, 1, 8), (64, 8, 8), (64, 9, 16), (30, 2, 10), (7, 3, 7), (1, 1, 1),
        (13, 4, 13), (480, 1, 8), (480, 13, 15), (9, 9, 9),
    ])
    func withoutLanesTheSmallestGoodDivisorIsTaken(batch: Int, ranks: Int, lanes: Int) throws {
        let configuration = try LaneConfiguration(globalBatch: batch, ranks: ranks)
        #expect(configuration.laneCount == lanes)
        #expect(configuration.microBatch == batch / lanes)
        #expect(configuration.microBatchesPerLane == 1)
    }

    @Test func lanesCoverTheBatchOnce() throws {
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

    @Test func impossibleLanesNameTheNearestThatWork() {
        #expect(
            sentence(12, lanes: 5)
                == "lanes is 5, which does not divide global_batch 12; set lanes to 4 or 6, or "
                + "global_batch to 10 or 15.")
        #expect(
            sentence(12, lanes: 16)
                == "lanes is 16, which does not divide global_batch 12; set lanes to 12, or "
                + "global_batch to 16.")
        #expect(
            sentence(12, lanes: -3)
                == "lanes is -3, which does not divide global_batch 12; set lanes to 1.")
        #expect(
            sentence(0)
                == "global_batch is 0, but a step needs at least one sequence; set global_batch to "
                + "1 or more.")
    }

    @Test func moreRanksThanLanesNameWhatWouldWork() {
        #expect(
            sentence(24, lanes: 8, ranks: 9)
                == "9 ranks are more than the 8 lanes into which global_batch 24 is dealt; start "
                + "at most 8 ranks, or set lanes to 12.")
        #expect(
            sentence(8, lanes: 8, ranks: 16)
                == "16 ranks are more than the 8 lanes into which global_batch 8 is dealt; start "
                + "at most 8 ranks, or set global_batch and lanes to 16.")
        #expect(
            sentence(6, ranks: 7)
                == "7 ranks are more than the 6 lanes into which global_batch 6 is dealt; start at "
                + "most 6 ranks, or set global_batch and lanes to 7.")
    }

    @Test func impossibleMicroBatchesNameTheNearestThatWork() {
        #expect(
            sentence(24, lanes: 4, microBatch: 4)
                == "micro_batch is 4, but a lane has 6 of the 24 sequences; set micro_batch to 3 "
                + "or 6, or to 0 for a whole lane.")
        #expect(
            sentence(24, lanes: 4, microBatch: 12)
                == "micro_batch is 12, but a lane has 6 of the 24 sequences; set micro_batch to 6, "
                + "or to 0 for a whole lane.")
        #expect(
            sentence(24, lanes: 4, microBatch: -6)
                == "micro_batch is -6, but a lane has 6 of the 24 sequences; set micro_batch to 1, "
                + "or to 0 for a whole lane.")
    }
}
