import Glibc
import Statistics

/// The cells of runs. A cell consists of the runs of one batch and seed, which share an offset and
/// a best rate.
struct ValleyCells {
    /// The cell of each run.
    let places: [Int]
    /// The batch and the seed of each cell.
    let names: [(batch: Int, seed: UInt64)]
    /// The runs of each cell.
    let members: [[Int]]
    private let batches: Int

    var count: Int { names.count }

    init(_ runs: [ValleyRun], batches: Int) {
        var places: [Int] = []
        var names: [(batch: Int, seed: UInt64)] = []
        for run in runs {
            if let place = names.firstIndex(where: { $0.batch == run.batch && $0.seed == run.seed })
            {
                places.append(place)
            } else {
                places.append(names.count)
                names.append((run.batch, run.seed))
            }
        }
        (self.places, self.names, self.batches) = (places, names, batches)
        var members = [[Int]](repeating: [], count: names.count)
        for (run, place) in places.enumerated() { members[place].append(run) }
        self.members = members
    }

    /// Returns each cell's weighted mean.
    func means(_ values: [Double], weights: [Double]) -> [Double] {
        var sums = [Double](repeating: 0, count: count)
        var totals = sums
        for (index, place) in places.enumerated() {
            sums[place] += weights[index] * values[index]
            totals[place] += weights[index]
        }
        return zip(sums, totals).map { $0 / $1 }
    }

    /// Returns the values minus the weighted mean of their cell.
    func centered(_ values: [Double], weights: [Double]) -> [Double] {
        let means = means(values, weights: weights)
        return zip(values, places).map { $0 - means[$1] }
    }

    /// Returns the weighted sum of the products of two values over each cell.
    func products(_ first: [Double], _ second: [Double], weights: [Double]) -> [Double] {
        var sums = [Double](repeating: 0, count: count)
        for (index, place) in places.enumerated() {
            sums[place] += weights[index] * first[index] * second[index]
        }
        return sums
    }

    /// Returns each batch's mean over the values of its cells.
    func batchMeans(ofCells values: [Double]) -> [Double] {
        var sums = [Double](repeating: 0, count: batches)
        var counts = sums
        for (name, value) in zip(names, values) {
            sums[name.batch] += value
            counts[name.batch] += 1
        }
        return zip(sums, counts).map { $0 / max(1, $1) }
    }

    /// The least sum of squared slopes of a cell, as a part of the median.
    private static let leastPart = 0.1

    /// Returns the cells' sums of squared slopes, each at least a tenth of the median, because a
    /// cell of outliers has almost none.
    static func bounded(_ slopeSquares: [Double]) -> [Double] {
        let least = leastPart * median(slopeSquares)
        return slopeSquares.map { max($0, least) }
    }

    /// Returns the cells' values by batch and seed.
    func byBatch(_ values: [Double]) -> [[UInt64: Double]] {
        var result = [[UInt64: Double]](repeating: [:], count: batches)
        for (name, value) in zip(names, values) { result[name.batch][name.seed] = value }
        return result
    }

    /// Returns, for each cell, the deviation of its ln(best rate) from the batch's that explains
    /// its residuals best.
    ///
    /// - Parameters:
    ///   - current: the deviations with which the residuals are computed.
    ///   - ridge: the ratio of the residuals' variance to that of the deviations; 0 for no
    ///     shrinkage.
    func deviations(
        from current: [Double], slopes: [Double], residuals: [Double], weights: [Double],
        ridge: Double
    ) -> [Double] {
        let products = self.products(slopes, residuals, weights: weights)
        let squares = self.products(slopes, slopes, weights: weights)
        let bounded = Self.bounded(squares)
        return current.indices.map { cell in
            let square = bounded[cell] + ridge
            return square == 0
                ? 0 : (products[cell] + squares[cell] * current[cell]) / square
        }
    }
}

// MARK: - Noise

extension ValleyCells {
    /// Returns the standard deviation of values in the median cell after a fit of the cell's offset
    /// and best rate.
    ///
    /// - Parameter slopes: the derivatives of the values with respect to the cell's ln(best rate).
    func typicalNoise(_ values: [Double], slopes: [Double]) -> Double {
        let ones = [Double](repeating: 1, count: values.count)
        let (values, slopes) = (
            centered(values, weights: ones), centered(slopes, weights: ones)
        )
        let squares = products(values, values, weights: ones)
        let both = products(values, slopes, weights: ones)
        let norms = products(slopes, slopes, weights: ones)
        let variances = members.indices.compactMap { cell -> Double? in
            let free = Double(members[cell].count - 2)
            guard free > 0, norms[cell] > 0 else { return nil }
            let rest = max(0, squares[cell] - both[cell] * both[cell] / norms[cell])
            // The median of a variance with these degrees of freedom (Wilson & Hilferty 1931).
            return rest / free / pow(1 - 2 / (9 * free), 3)
        }
        return variances.isEmpty ? 0 : median(variances).squareRoot()
    }

    /// Returns the values of runs minus the mean over the seeds of the same batch and rate, scaled
    /// so that independent noise keeps its variance. The only run of a batch and rate keeps its
    /// value.
    func withoutMeansOfRates(_ values: [Double], _ runs: [ValleyRun]) -> [Double] {
        var result = values
        let groups = Dictionary(grouping: runs.indices) {
            [Double(runs[$0].batch), runs[$0].logRate]
        }
        for members in groups.values where members.count > 1 {
            let count = Double(members.count)
            let mean = members.reduce(0) { $0 + values[$1] } / count
            for run in members {
                result[run] = (values[run] - mean) * (count / (count - 1)).squareRoot()
            }
        }
        return result
    }
}
