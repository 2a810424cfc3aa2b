/// Returns the indices of the values through which to draw a line without losing a spike.
///
/// The values are divided into runs of equal length. The least and the greatest value of each run
/// are kept, and one missing value, which leaves a gap. The first and the last value are kept too.
///
/// - Parameters:
///   - values: the values in order; nil or a number that is not finite is a gap.
///   - most: the maximum number of values to keep, at least 5.
/// - Returns: indices of `values` in ascending order; all indices if there are at most `most`.
package func thinned(_ values: [Double?], most: Int = 1500) -> [Int] {
    precondition(most >= 5, "The first, the last and three values of one run are kept.")
    guard values.count > most else { return Array(values.indices) }
    let runs = (most - 2) / 3
    var kept: Set<Int> = [0, values.count - 1]
    for run in 0..<runs {
        var least: (place: Int, value: Double)?
        var greatest: (place: Int, value: Double)?
        var gap: Int?
        for place in (run * values.count / runs)..<((run + 1) * values.count / runs) {
            guard let value = values[place], value.isFinite else {
                gap = gap ?? place
                continue
            }
            if value < least?.value ?? .infinity { least = (place, value) }
            if value > greatest?.value ?? -.infinity { greatest = (place, value) }
        }
        kept.formUnion([least?.place, greatest?.place, gap].compactMap { $0 })
    }
    return kept.sorted()
}
