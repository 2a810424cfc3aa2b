/// In which row above the plot each label stands, so that none covers another.
///
/// - Parameters:
///   - labels: the texts with their places along the plot, from 0 to 1.
///   - width: of the plot at least, in pixels.
///   - character: the width of a character, in pixels.
/// - Returns: a row for each label, 0 being nearest to the plot.
package func markerRows(
    _ labels: [(place: Double, text: String)], width: Double, character: Double = 6.6
) -> [Int] {
    var rows = Array(repeating: 0, count: labels.count)
    var ends: [Double] = []
    for index in labels.indices.sorted(by: { labels[$0].place < labels[$1].place }) {
        let length = Double(labels[index].text.count) * character
        let start = labelStart(labels[index].place * width, length: length, width: width)
        let row = ends.firstIndex { $0 + 8 <= start } ?? ends.count
        if row == ends.count { ends.append(0) }
        ends[row] = start + length
        rows[index] = row
    }
    return rows
}

/// Where a label begins that is centred on its place, but stays inside the plot.
private func labelStart(_ place: Double, length: Double, width: Double) -> Double {
    max(0, min(place - length / 2, width - length))
}
