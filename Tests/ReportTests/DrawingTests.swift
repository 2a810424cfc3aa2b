import Foundation
import Report
import Testing

@Suite("What charts are made of")
struct DrawingTests {
    @Test(
        "Numbers read well",
        arguments: [
            (NumberStyle.plain, 1.8857, "1.886"), (.plain, 2000, "2,000"), (.plain, 3e-6, "3e-6"),
            (.plain, -0.5, "-0.5"), (.plain, 1.5e7, "1.5e7"), (.plain, .nan, "n/a"),
            (.scientific, 3e-4, "3e-4"), (.scientific, 1.25e-3, "1.25e-3"),
            (.scientific, 0.5, "0.5"),
            (.scientific, 0, "0"), (.count, 950, "950"), (.count, 12_300_000, "12.3 M"),
            (.count, 999_600, "1 M"), (.count, 4e12, "4 T"), (.duration, 4800, "1 h 20 min"),
            (.duration, 0.42, "420 ms"), (.duration, 90, "1 min 30 s"), (.percent, 0.125, "12.5 %"),
            (.count, .infinity, "n/a"),
        ])
    func numbers(style: NumberStyle, value: Double, text: String) {
        #expect(style.text(value) == text)
    }

    @Test(
        "Ticks are round, inside, and no more than asked for",
        arguments: [
            (ChartAxis("x"), 0.0...1.0, ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
            (ChartAxis("x"), 0...1999, ["0", "500", "1,000", "1,500"]),
            (ChartAxis("x"), -0.31...0.3, ["-0.2", "0", "0.2"]),
            (
                ChartAxis("x", scale: .log, style: .scientific), 1e-6...1,
                ["1e-6", "1e-4", "1e-2", "1"]
            ),
            (ChartAxis("x", scale: .log), 4...230, ["5", "10", "20", "50", "100", "200"]),
            (ChartAxis("x", scale: .log), 2.1...2.9, ["2.2", "2.4", "2.6", "2.8"]),
            (
                ChartAxis("x", style: .duration), 0...4800,
                ["0", "15 min", "30 min", "45 min", "1 h", "1 h 15 min"]
            ),
            (ChartAxis("x", scale: .log, chosen: [12, 24, 48]), 10...30, ["12", "24"]),
        ])
    func ticks(axis: ChartAxis, domain: ClosedRange<Double>, labels: [String]) {
        let ticks = axis.ticks(in: domain, most: 6)
        #expect(ticks.map(\.label) == labels)
        #expect(ticks.allSatisfy { domain.contains($0.value) })
    }

    @Test("An axis covers its values, whatever they are")
    func domains() {
        let linear = ChartAxis("y")
        #expect(linear.domain(of: [1, .nan, 3, .infinity], margin: 0.5) == 0...4)
        #expect(linear.domain(of: [], margin: 0.1) == 0...1)
        #expect(linear.domain(of: [5, 5], margin: 0.1).contains(5))
        let log = ChartAxis("y", scale: .log)
        #expect(log.domain(of: [-1, 0, 10, 1000], margin: 0) == 10...1000)
        #expect(log.domain(of: [0], margin: 0.1) == 1...10)
        #expect(ChartAxis("y", fromZero: true).domain(of: [2, 4], margin: 0) == 0...4)
        #expect(ChartAxis("y", fromZero: true).domain(of: [0], margin: 0) == 0...1)
    }

    @Test("Thinning keeps ends, extremes and gaps, in order")
    func thinning() {
        var values: [Double?] = (0..<100_000).map { sin(Double($0) / 1000) }
        values[31_415] = 50
        values[27_182] = -50
        values[60_000] = nil
        values[70_000] = .nan
        let kept = thinned(values)
        #expect(kept.count <= 1500 && kept.count > 900)
        #expect(kept == kept.sorted() && Set(kept).count == kept.count)
        #expect(kept.first == 0 && kept.last == 99_999)
        for place in [31_415, 27_182, 60_000, 70_000] { #expect(kept.contains(place)) }
        #expect(thinned([1, nil, 2]) == [0, 1, 2])
        #expect(thinned(Array(repeating: nil, count: 4000)).count <= 1500)
    }

    @Test("No label stands on another, and rows are reused")
    func rows() {
        let labels = [(0.1, "0123456789"), (0.15, "0123456789"), (0.9, "0123456789"), (0.2, "x")]
        #expect(markerRows(labels, width: 300) == [0, 1, 0, 2])
        #expect(markerRows(labels, width: 3000) == [0, 0, 0, 0])
        #expect(markerRows([], width: 300) == [])
    }

    @Test("From above a surface is its grid, and depth falls with height")
    func projectionFromAbove() {
        let view = SurfaceProjection(azimuth: 0, elevation: .pi / 2, height: 1)
        let (point, depth) = view.project(0.25, 0.5, 0.75)
        // Sines and cosines of a right angle are off by an ulp of one.
        #expect(abs(point.x - 0.25) < 1e-15 && abs(point.y + 0.5) < 1e-15)
        #expect(abs(depth + 0.75) < 1e-15)
        let turned = SurfaceProjection(azimuth: .pi / 2, elevation: 0, height: 1)
        let aside = turned.project(0.25, 0.5, 0.75)
        #expect(abs(aside.0.x + 0.5) < 1e-15 && abs(aside.0.y + 0.75) < 1e-15)
        #expect(abs(aside.depth - 0.25) < 1e-15)
    }

    @Test("Tiles are painted from the farthest on, without those that have no height")
    func tiles() {
        var values = (0..<25).map { Double($0 % 5 + $0 / 5) }
        values[12] = .nan
        let grid = RegularGrid(x: 0...1, y: 0...1, columns: 5, rows: 5, values: values)
        let tiles = SurfaceProjection().tiles(of: grid, range: 0...8)
        #expect(tiles.count == 16 - 4)
        #expect(zip(tiles, tiles.dropFirst()).allSatisfy { $0.depth >= $1.depth })
        #expect(tiles.allSatisfy { (0...1).contains($0.shade) && $0.corners.count == 4 })
        #expect(tiles.map(\.value).min() == 1 && tiles.map(\.value).max() == 7)
    }

    @Test("A flat surface has one shade, and cut values the height of the cut")
    func flat() {
        func tiles(_ value: Double) -> [SurfaceTile] {
            SurfaceProjection().tiles(
                of: RegularGrid(
                    x: 0...1, y: 0...1, columns: 3, rows: 3,
                    values: Array(repeating: value, count: 9)), range: 0...1)
        }
        #expect(Set(tiles(0.5).map { ($0.shade * 1e9).rounded() }).count == 1)
        #expect(tiles(7).map(\.corners) == tiles(1).map(\.corners))
    }

    @Test("Levels of a contour map are even on its scale")
    func thresholds() {
        let grid = RegularGrid(x: 0...1, y: 0...1, columns: 2, rows: 2, values: [1, 10, 100, 1000])
        func levels(_ scale: ChartAxis.Scale) -> [Double] {
            let map = ContourMap(
                title: "", sentence: "", xTitle: "", yTitle: "", grid: grid,
                quantity: ChartAxis("", scale: scale), levelCount: 3)
            return map.thresholds(grid.values).map { ($0 * 1e6).rounded() / 1e6 }
        }
        #expect(levels(.linear) == [1, 334, 667])
        #expect(levels(.log) == [1, 10, 100])
    }
}
