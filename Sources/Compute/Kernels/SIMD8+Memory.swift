import CCompute

/// Eight floats, the unit of every elementwise loop.
package typealias Floats = SIMD8<Float>

extension UnsafePointer<Float> {
    /// Loads eight floats from any address.
    @inline(__always)
    func load8(_ index: Int) -> Floats {
        UnsafeRawPointer(self + index).loadUnaligned(as: Floats.self)
    }
}

extension UnsafeMutablePointer<Float> {
    /// Loads eight floats from any address.
    @inline(__always)
    func load8(_ index: Int) -> Floats {
        UnsafeRawPointer(self + index).loadUnaligned(as: Floats.self)
    }

    /// Writes eight floats to any address.
    @inline(__always)
    func store8(_ value: Floats, _ index: Int) {
        UnsafeMutableRawPointer(self + index).storeBytes(of: value, as: Floats.self)
    }

    /// Loads eight floats, or fewer followed by zeros.
    @inline(__always)
    func load(_ index: Int, width: Int) -> Floats {
        if width == 8 { return load8(index) }
        var value = Floats.zero
        for lane in 0..<width { value[lane] = self[index + lane] }
        return value
    }

    /// Writes eight floats, or the first `width`.
    @inline(__always)
    func store(_ value: Floats, _ index: Int, width: Int) {
        if width == 8 { return store8(value, index) }
        for lane in 0..<width { self[index + lane] = value[lane] }
    }
}

/// Returns the sum of eight floats, always added in the same order.
@inline(__always)
func sum(_ x: Floats) -> Float {
    let four = x.lowHalf + x.highHalf
    let two = four.lowHalf + four.highHalf
    return two.x + two.y
}

/// Returns the largest of eight floats.
@inline(__always)
func maximum(_ x: Floats) -> Float {
    var largest = x[0]
    for lane in 1..<8 where x[lane] > largest { largest = x[lane] }
    return largest
}

/// Returns the larger of each two floats, or the second if they do not compare.
@inline(__always)
func pointwiseMaximum(_ x: Floats, _ y: Floats) -> Floats { lockstep_max8(x, y) }

/// Calls `body` with the start and width (8, or less at the end) of each vector in 0..<count.
@inline(__always)
func forEachVector(_ count: Int, _ body: (_ start: Int, _ width: Int) -> Void) {
    var start = 0
    while start + 8 <= count {
        body(start, 8)
        start += 8
    }
    if start < count { body(start, count - start) }
}
