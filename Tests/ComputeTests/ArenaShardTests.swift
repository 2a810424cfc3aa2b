import Compute
import Testing

@Suite struct ArenaShardTests {
    private let shard = ArenaShard([16..<48, 64..<80, 80..<96, 160..<176])

    @Test("owned elements are contiguous in the compact buffer")
    func ownedElementsAreContiguous() {
        #expect(shard.count == 80)
        var next = 0
        for (elements, start) in shard.pieces(of: 0..<1000) {
            #expect(start == next)
            next += elements.count
        }
        #expect(next == shard.count)
    }

    @Test("a range is cut where ownership ends")
    func rangesAreCutAtTheEndOfOwnership() {
        let pieces = shard.pieces(of: 32..<90)
        #expect(pieces.map(\.elements) == [32..<48, 64..<80, 80..<90])
        #expect(pieces.map(\.start) == [16, 32, 48])
        #expect(shard.pieces(of: 48..<64).isEmpty)
        #expect(shard.pieces(of: 176..<200).isEmpty)
        #expect(shard.pieces(of: 70..<70).isEmpty)
        #expect(ArenaShard([]).pieces(of: 0..<16).isEmpty)
    }

    @Test("the entire arena is a shard")
    func theWholeArenaIsAShard() {
        let pieces = ArenaShard([0..<64]).pieces(of: 7..<9)
        #expect(pieces.map(\.elements) == [7..<9])
        #expect(pieces.map(\.start) == [7])
    }
}
