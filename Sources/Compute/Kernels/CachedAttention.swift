import Glibc

/// Computes attention of one query (H D) over cached keys and values (positions, 2 K D), for
/// generation.
///
/// Each of the K heads of keys and values serves H / K consecutive heads of queries. `scores` must
/// have room for one float per position; `output` is (1, H D).
package func attendToCache(
    query: UnsafeMutablePointer<Float>, cache: Matrix, heads: Int, kvHeads: Int,
    scores: Vector, into output: Matrix
) {
    precondition(scores.count >= cache.rows)
    let c = cache.columns / 2
    let d = c / kvHeads
    let scale = 1 / Float(d).squareRoot()
    for head in 0..<heads {
        let q = query + head * d
        let shared = head / (heads / kvHeads) * d
        var largest = -Float.infinity
        for t in 0..<cache.rows {
            scores.base[t] = scale * dot(q, cache.row(t) + shared, d)
            largest = max(largest, scores.base[t])
        }
        var total: Float = 0
        for t in 0..<cache.rows {
            scores.base[t] = expf(scores.base[t] - largest)
            total += scores.base[t]
        }
        let y = output.base + head * d
        forEachVector(d) { start, width in
            var sum = Floats.zero
            for t in 0..<cache.rows {
                let v = (cache.row(t) + c + shared).load(start, width: width)
                sum = sum.addingProduct(v, Floats(repeating: scores.base[t] / total))
            }
            y.store(sum, start, width: width)
        }
    }
}

@inline(__always)
private func dot(
    _ x: UnsafeMutablePointer<Float>, _ y: UnsafeMutablePointer<Float>, _ count: Int
) -> Float {
    var total = Floats.zero
    forEachVector(count) { start, width in
        total = total.addingProduct(x.load(start, width: width), y.load(start, width: width))
    }
    return sum(total)
}
