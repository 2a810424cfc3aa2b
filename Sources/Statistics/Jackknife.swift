/// A statistic of averaged series, with what leaving out one block at a time tells about it.
package struct JackknifeEstimate: Sendable, Equatable {
    /// The statistic of the whole series' means.
    package let value: Double
    /// The same, less the bias of first order in 1 / count that the blocks show.
    package let biasCorrected: Double
    package let standardError: Double
    /// Student's interval around `biasCorrected`, with blocks - 1 degrees of freedom.
    package let interval: Interval
}

/// The delete-one-block jackknife of a function of the means of several series.
///
/// A ratio of two averages, such as the noise scale, has no simple variance; the spread of the
/// ratios without one block each does (Quenouille 1956, Tukey 1958). Where samples next to one
/// another are correlated, blocks longer than the correlation keep the interval honest. Blocks that
/// differ by one in length are weighted as Busing, Meijer & van der Leeden 1999 do.
///
/// - Parameters:
///   - series: series x samples, all of one length.
///   - blockCount: at least 2 and at most a sample each; nil for a block of each sample.
///   - statistic: takes the mean of each series.
/// - Returns: nil where the statistic is not finite, for the whole or without a block.
package func jackknife(
    _ series: [[Double]], blockCount: Int? = nil, level: Double,
    statistic: ([Double]) -> Double
) -> JackknifeEstimate? {
    let count = series.first?.count ?? 0
    let blocks = blockCount ?? count
    precondition(series.allSatisfy { $0.count == count }, "series have one length")
    precondition(blocks >= 2 && blocks <= count, "2 blocks or more, of a sample or more each")
    let totals = series.map { $0.reduce(0, +) }
    let value = statistic(totals.map { $0 / Double(count) })
    var corrected = 0.0
    var pseudovalues: [(value: Double, ratio: Double)] = []
    for block in 0..<blocks {
        let range = block * count / blocks..<(block + 1) * count / blocks
        let rest = Double(count - range.count)
        let without = statistic(
            zip(series, totals).map { values, total in (total - values[range].reduce(0, +)) / rest }
        )
        let ratio = Double(count) / Double(range.count)
        corrected += value - rest / Double(count) * without
        pseudovalues.append((ratio * value - (ratio - 1) * without, ratio))
    }
    let variance =
        pseudovalues.reduce(0) {
            $0 + ($1.value - corrected) * ($1.value - corrected) / ($1.ratio - 1)
        } / Double(blocks)
    guard
        let interval = Interval(
            around: corrected, standardError: variance.squareRoot(), degreesOfFreedom: blocks - 1,
            level: level)
    else { return nil }
    return JackknifeEstimate(
        value: value, biasCorrected: corrected, standardError: variance.squareRoot(),
        interval: interval)
}
