import Foundation

func referenceGELU(_ x: [Double]) -> [Double] {
    x.map { 0.5 * $0 * (1 + tanh((2 / Double.pi).squareRoot() * ($0 + 0.044715 * $0 * $0 * $0))) }
}

func referenceLayerNorm(
    _ x: [Double], weight: [Double], bias: [Double], columns c: Int
) -> [Double] {
    rows(x, c).flatMap { row in
        let mean = row.reduce(0, +) / Double(c)
        let variance = row.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(c)
        let rstd = 1 / (variance + 1e-5).squareRoot()
        return row.indices.map { (row[$0] - mean) * rstd * weight[$0] + bias[$0] }
    }
}

/// Returns x (rows, inputs) times w (inputs, outputs) plus b (outputs), if given.
func referenceLinear(
    _ x: [Double], _ w: [Double], _ b: [Double]? = nil, inputs: Int, outputs: Int
) -> [Double] {
    rows(x, inputs).flatMap { row in
        (0..<outputs).map { j in
            (b?[j] ?? 0) + row.indices.reduce(0) { $0 + row[$1] * w[$1 * outputs + j] }
        }
    }
}

/// Returns causal attention of (B T, 3C) with one factor for each probability, (B, H, T, T), for
/// dropout.
func referenceAttention(
    _ qkv: [Double], batch: Int, length: Int, heads: Int, headWidth d: Int, factors: [Double]? = nil
) -> [Double] {
    let c = heads * d
    var output = [Double](repeating: 0, count: batch * length * c)
    for b in 0..<batch {
        for h in 0..<heads {
            let at = { (t: Int, part: Int, i: Int) in
                qkv[(b * length + t) * 3 * c + part * c + h * d + i]
            }
            for t in 0..<length {
                let scores = (0...t).map { s in
                    (0..<d).reduce(0) { $0 + at(t, 0, $1) * at(s, 1, $1) } / Double(d).squareRoot()
                }
                let largest = scores.max() ?? 0
                let exponentials = scores.map { exp($0 - largest) }
                let sum = exponentials.reduce(0, +)
                for s in 0...t {
                    let factor = factors?[((b * heads + h) * length + t) * length + s] ?? 1
                    for i in 0..<d {
                        output[(b * length + t) * c + h * d + i] +=
                            exponentials[s] / sum * factor * at(s, 2, i)
                    }
                }
            }
        }
    }
    return output
}

/// Returns the summed cross-entropy of logits (rows, columns), of which `vocabulary` columns count.
func referenceCrossEntropy(
    _ logits: [Double], targets: [Int32], columns: Int, vocabulary: Int
) -> Double {
    zip(rows(logits, columns), targets).reduce(0) { total, pair in
        let (row, target) = pair
        guard target >= 0 else { return total }
        let counted = row[0..<vocabulary]
        let largest = counted.max() ?? 0
        let sum = counted.reduce(0) { $0 + exp($1 - largest) }
        return total + largest + log(sum) - row[Int(target)]
    }
}

/// Returns the product of bf16 numbers as AMX computes it (rows, columns), from `left` (rows,
/// depth) and `right` (depth, columns). Of every 32 numbers along the depth, the first numbers of
/// all pairs form one chain and the second numbers another. The sum of both chains is added to the
/// element, which starts with its value in `before`.
func referenceTileProduct(
    _ left: [Float], _ right: [Float], columns: Int, depth: Int, before: [Float]?
) -> [Float] {
    (0..<left.count / depth * columns).map { place in
        let (i, j) = (place / columns, place % columns)
        var total = before?[place] ?? 0
        for step in stride(from: 0, to: depth, by: 32) {
            var (first, second): (Float, Float) = (0, 0)
            for k in step..<min(depth, step + 32) {
                let (x, y) = (left[i * depth + k], right[k * columns + j])
                if k % 2 == 0 { first.addProduct(x, y) } else { second.addProduct(x, y) }
            }
            total += first + second
        }
        return total
    }
}
