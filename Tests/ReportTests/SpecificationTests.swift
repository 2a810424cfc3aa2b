import Foundation
import Report
import Testing

@Suite("Specifications read back")
struct SpecificationTests {
    private typealias Tuple = [String: Any]

    /// The rows of one of the specification's tables, read from its text.
    private func rows(_ description: some ChartDescription, _ name: String) throws -> [Tuple] {
        let text = description.specification.text
        let whole = try JSONSerialization.jsonObject(with: Data(text.utf8))
        let data = try #require((whole as? Tuple)?["data"] as? [Tuple])
        let table = try #require(data.first { $0["name"] as? String == name })
        return try #require(table["values"] as? [Tuple])
    }

    @Test("A line's points are there; what cannot be drawn is a gap")
    func lines() throws {
        let chart = LineChart(
            title: "t", sentence: "", x: ChartAxis("x"), y: ChartAxis("y", scale: .log),
            series: [
                .init("a", points: [.init(0, 1), .init(1, -1), .init(2, .nan), .init(.nan, 4)]),
                .init("b", .points, points: [.init(0, 2, interval: 1...3)]),
            ], markers: [.init(1, "m"), .init(.nan, "lost")], levels: [.init(0, "lost")])
        let points = try rows(chart, "points")
        #expect(points.map { $0["s"] as? Int } == [0, 0, 0, 1])
        #expect(points.map { $0["x"] as? Double } == [0, 1, 2, 0])
        #expect(points.map { $0["y"] as? Double } == [1, nil, nil, 2])
        #expect(points[3]["lower"] as? Double == 1 && points[3]["upper"] as? Double == 3)
        #expect(try rows(chart, "markers").map { $0["label"] as? String } == ["m"])
        #expect(try rows(chart, "levels").isEmpty)
    }

    @Test("A long line is thinned without losing a spike")
    func longLine() throws {
        let points = (0..<20_000).map { LineChart.Point(Double($0), $0 == 12_345 ? 99 : 1) }
        let chart = LineChart(
            title: "t", sentence: "", x: ChartAxis("x"), y: ChartAxis("y"),
            series: [.init("a", points: points)])
        let drawn = try rows(chart, "points")
        #expect(drawn.count <= 1500)
        #expect(drawn.contains { $0["x"] as? Double == 12_345 && $0["y"] as? Double == 99 })
    }

    @Test("Stacked amounts stand on one another")
    func stack() throws {
        let chart = StackedChart(
            title: "t", sentence: "", parts: ["a", "b", "c"], quantity: ChartAxis("s"),
            amounts: .bars([("one", [1, .nan, 2]), ("two", [3])]))
        let parts = try rows(chart, "parts")
        #expect(parts.map { $0["from"] as? Double } == [0, 1, 1, 0, 3, 3])
        #expect(parts.map { $0["to"] as? Double } == [1, 1, 3, 3, 3, 3])
    }

    @Test("A long stack is averaged, its sum kept")
    func longStack() throws {
        let chart = StackedChart(
            title: "t", sentence: "", parts: ["a", "b"], quantity: ChartAxis("s"),
            amounts: .areas(
                x: ChartAxis("x"), (0..<4000).map { (Double($0), [Double($0 % 2), 2]) }))
        let points = try rows(chart, "points")
        #expect(points.count == 800)
        #expect(points.allSatisfy { $0["y"] as? Double == ($0["s"] as? Int == 0 ? 0.5 : 2) })
    }

    @Test("A heat map marks the best cell and those that diverged")
    func heatMap() throws {
        let chart = HeatMap(
            title: "t", sentence: "", columns: ("c", ["1", "2"]), rows: ("r", ["x", "y"]),
            cells: [[.value(2), .diverged], [.missing, .value(1.5)]], quantity: ChartAxis("v"))
        let cells = try rows(chart, "cells")
        #expect(cells.map { $0["text"] as? String } == ["2.000", "×", "1.500"])
        #expect(cells.map { $0["best"] as? Bool } == [false, false, true])
        #expect(cells.map { $0["row"] as? Int } == [0, 0, 1])
    }

    @Test("A contour map's grid stands top row first, what is not finite at the top")
    func contours() throws {
        let chart = ContourMap(
            title: "t", sentence: "", xTitle: "x", yTitle: "y",
            grid: RegularGrid(
                x: 0...1, y: 0...1, columns: 2, rows: 2, values: [1, 2, 3, .infinity]),
            quantity: ChartAxis("v"), paths: [.init("p", points: [(0, 0), (1, .nan)])])
        let grid = try #require(try rows(chart, "grid").first)
        #expect(grid["values"] as? [Double] == [3, 3, 1, 2])
        let steps = try rows(chart, "steps")
        #expect(steps.map { $0["x"] as? Double } == [0, nil])
        #expect(steps.map { $0["last"] as? Bool } == [false, true])
    }

    @Test("A surface has a tile for each square of the grid")
    func surface() throws {
        let chart = SurfaceChart(
            title: "t", sentence: "", xTitle: "x", yTitle: "y",
            grid: RegularGrid(
                x: 0...1, y: 0...1, columns: 3, rows: 4, values: (0..<12).map(Double.init)),
            quantity: ChartAxis("v"))
        let tiles = try rows(chart, "tiles")
        #expect(tiles.count == 6)
        #expect(tiles.allSatisfy { ($0["p"] as? [Double])?.count == 8 })
    }
}
