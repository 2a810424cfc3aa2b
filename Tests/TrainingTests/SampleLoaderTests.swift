import Data
import Model
import TestSupport
import Testing
import Training

@Suite struct SampleLoaderTests {
    @Test("positions start again at each document and each sequence")
    func positionsStartAgain() throws {
        let scratch = try TemporaryFolder()
        // 9 begins documents.
        let ids: [UInt8] = [1, 2, 9, 3, 4, 9, 9, 5, 6, 7, 8, 1, 9, 2]
        let dataset = try TokenDataset(files: [
            scratch.write("train.bin", ids.flatMap { [$0, 0] })
        ])
        let windows = try ValidationWindows(tokenCount: ids.count, contextLength: 5)
        func positions(_ dataset: TokenDataset) throws -> [Int32]? {
            let loader = SampleLoader(dataset: dataset, contextLength: 5, microBatch: 3)
            let batch = loader.load(0..<3, of: windows)
            return batch.positions.map { Array(UnsafeBufferPointer(start: $0, count: 15)) }
        }
        #expect(try positions(dataset) == nil)
        #expect(
            try positions(dataset.divided(at: 9))
                == [0, 1, 0, 1, 2, 0, 0, 1, 2, 3, 0, 1, 0, 1, 2])
    }
}
