/// The median; of an even count, the mean of the middle two.
///
/// - Parameter values: at least one.
package func median(_ values: [Double]) -> Double {
    precondition(!values.isEmpty, "a median is of one value or more")
    let sorted = values.sorted()
    let middle = sorted.count / 2
    return sorted.count.isMultiple(of: 2)
        ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
}
