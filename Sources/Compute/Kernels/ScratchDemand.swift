/// The scratch memory that kernels will have grown to, known before they run.
///
/// Who plans memory notes each product and attention of a step; the largest of each use counts.
package struct ScratchDemand: Sendable {
    private var ofThread = [Int](repeating: 0, count: ScratchUse.allCases.count)
    private var ofTeam = [Int](repeating: 0, count: ScratchUse.allCases.count)

    package init() {}

    /// Bytes on a team of `threads`, once each of its threads has run a tile of each kernel.
    package func bytes(threads: Int) -> Int {
        threads * ofThread.reduce(0, +) + ofTeam.reduce(0, +)
    }

    mutating func note(_ use: ScratchUse, bytes: Int) {
        ofThread[use.rawValue] = max(ofThread[use.rawValue], bytes)
    }

    mutating func noteShared(_ use: ScratchUse, bytes: Int) {
        ofTeam[use.rawValue] = max(ofTeam[use.rawValue], bytes)
    }
}
