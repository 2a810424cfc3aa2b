/// Which of many values a line is drawn through, so that no spike is lost.
///
/// The values are cut into runs of equal length; of each run its least and its greatest are kept,
/// and one that is missing, which leaves a gap. The first and the last are kept too.
///
/// - Parameters:
///   - values: nil or a number that is not finite is a gap.
///   - most: how many are kept at most, at least 5.
/// - Returns: places in `values`, in rising order; all of them where there are at most `most`.
package func thinned(_ values: [Double?], most: Int = 1500) -> [Int] {
    precondition(most >= 5, "a first, a last and three of one run")
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
