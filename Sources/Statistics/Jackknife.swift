/// A statistic of averaged series, with its bias and error estimated by leaving out one block at a
/// time.
package struct JackknifeEstimate: Sendable, Equatable {
    /// The statistic of the means of the whole series.
    package let value: Double
    /// The value without its bias of first order in 1 / count, which the blocks show.
    package let biasCorrected: Double
    package let standardError: Double
    /// Student's interval around `biasCorrected`, with blocks - 1 degrees of freedom.
    package let interval: Interval
}

/// Returns the delete-one-block jackknife of a function of the means of several series.
///
/// The variance of a ratio of two averages, such as the noise scale, has no simple form, but the
/// spread of the ratios without one block each estimates it (Quenouille 1956, Tukey 1958). If
/// adjacent samples are correlated, blocks must be longer than the correlation to give a valid
/// interval. Blocks whose lengths differ by one are weighted as in Busing, Meijer & van der Leeden
/// 1999.
///
/// - Parameters:
///   - series: series x samples, all of one length.
///   - blockCount: from 2 to the number of samples; nil for one block per sample.
///   - statistic: a function of the means of the series.
/// - Returns: nil if the statistic is not finite, for the whole series or without a block.
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
