import Testing
import Training

/// Tests of the search for the ranks that differ from the others.
@Suite struct ReplicaDifferenceTests {
    @Test(
        "the ranks without the most frequent value differ, or all if none is more frequent",
        arguments: [
            (["a", "a", "a"], nil), (["a", "b", "a"], [1]), (["b", "a", "a"], [0]),
            (["a", "b"], [0, 1]), (["a", "a", "b", "b"], [0, 1, 2, 3]), (["a"], nil),
            (["a", "b", "c", "a"], [1, 2]),
        ] as [([String], [Int]?)])
    func minority(hashes: [String], ranks: [Int]?) {
        #expect(ReplicaDifference.minority(of: hashes) == ranks)
    }
}
