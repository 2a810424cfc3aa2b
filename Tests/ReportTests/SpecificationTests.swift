import Foundation
import Report
import Testing

/// Tests of specifications of charts.
@Suite struct SpecificationTests {
    private typealias Tuple = [String: Any]

    /// Returns the rows of one of the specification's tables, parsed from its text.
    private func rows(_ description: some ChartDescription, _ name: String) throws -> [Tuple] {
        let data = try slot(description, name, in: "data")
        return try #require(data["values"] as? [Tuple])
    }

    private func slot(
        _ description: some ChartDescription, _ name: String, in list: String
    ) throws -> Tuple {
        let text = description.chart.specification.text
        let whole = try JSONSerialization.jsonObject(with: Data(text.utf8))
        let slots = try #require((whole as? Tuple)?[list] as? [Tuple])
        return try #require(slots.first { $0["name"] as? String == name })
    }

    @Test("a line has its points, and values that cannot be drawn are gaps")
    func lines() throws {
        let chart = LineChart(
            title: "t", sentence: "", x: ChartAxis("x"), y: ChartAxis("y", scale: .log),
            series: [
                .init("a", points: [.init(0, 1), .init(1, -1), .init(2, .nan), .init(.nan, 4)]),
                .init("b", .points, points: [.init(0, 2, interval: 1...3)]),
            ], markers: [.init(1, "m"), .init(.nan, "lost")])
        let points = try rows(chart, "points")
        #expect(points.map { $0["s"] as? Int } == [0, 0, 0, 1])
        #expect(points.map { $0["x"] as? Double } == [0, 1, 2, 0])
        #expect(points.map { $0["y"] as? Double } == [1, nil, nil, 2])
        #expect(points[3]["lower"] as? Double == 1 && points[3]["upper"] as? Double == 3)
        #expect(try rows(chart, "markers").map { $0["label"] as? String } == ["m"])
        #expect(try slot(chart, "y", in: "scales")["type"] as? String == "log")
    }

    @Test("an interval may lack its upper end, even at a gap")
    func openIntervals() throws {
        let chart = LineChart(
            title: "t", sentence: "", x: ChartAxis("x"), y: ChartAxis("y", limits: 0...3),
            series: [
                .init(
                    "a", .lineAndPoints,
                    points: [
                        .init(0, 1, interval: 0.5...2),
                        .init(1, 1, interval: 0.5...Double.infinity),
                        .init(2, .nan, interval: 0.5...Double.infinity), .init(3, 1),
                    ])
            ])
        let points = try rows(chart, "points")
        #expect(points.map { $0["y"] as? Double } == [1, 1, nil, 1])
        #expect(points.map { $0["lower"] as? Double } == [0.5, 0.5, 0.5, nil])
        #expect(points.map { $0["upper"] as? Double } == [2, nil, nil, nil])
    }

    @Test("points above the limits are marked if the axis asks for it, and lines are not")
    func beyond() throws {
        let points: [LineChart.Point] = [.init(0, 1), .init(1, 5), .init(2, .infinity)]
        func words(_ axis: ChartAxis) throws -> [String?] {
            let chart = LineChart(
                title: "t", sentence: "", x: ChartAxis("x"), y: axis,
                series: [.init("a", .points, points: points), .init("b", points: points)])
            return try rows(chart, "points").map { $0["beyond"] as? String }
        }
        #expect(
            try words(ChartAxis("y", limits: 0...3, marksBeyond: true))
                == [nil, "above", "diverged", nil, nil, nil])
        #expect(try words(ChartAxis("y", limits: 0...3)).allSatisfy { $0 == nil })
    }

    @Test("a series has the color of what it stands for")
    func colors() throws {
        let chart = LineChart(
            title: "t", sentence: "", x: ChartAxis("x"), y: ChartAxis("y"),
            series: [
                .init("a", points: []), .init("b", points: [], color: 4),
                .init("c", points: [], color: .ordered(1, of: 3)),
                .init("d", points: [], color: .ordered(0, of: 1)),
                .init("e", points: [], color: .ink),
            ])
        let colors = try rows(chart, "series").map { $0["color"] as? [String: Double] }
        #expect(
            colors == [["palette": 0], ["palette": 4], ["place": 0.5], ["place": 0], [:]])
    }

    @Test("a map of verdicts has a cell for each pair")
    func verdictMap() throws {
        let chart = VerdictMap(
            title: "t", sentence: "", columns: ("batch", ["8", "16"]), rows: ("rule", ["sqrt"]),
            cells: [[.init(.fails, evidence: "0.1"), .init(nil)]], evidence: "cost")
        let cells = try rows(chart, "cells")
        #expect(cells.map { $0["verdict"] as? String } == ["fails", nil])
        #expect(cells.map { $0["evidence"] as? String } == ["0.1", ""])
        #expect(cells.map { $0["column"] as? Int } == [0, 1])
    }

    @Test(
        "durations have one unit for the whole axis",
        arguments: [(0.4, "ms", 400.0), (90, "s", 90), (600, "min", 10), (9000, "h", 2.5)])
    func durations(seconds: Double, unit: String, number: Double) throws {
        let chart = LineChart(
            title: "t", sentence: "", x: ChartAxis("x"),
            y: ChartAxis("time", style: .duration, fromZero: true),
            series: [.init("a", points: [.init(0, seconds / 2), .init(1, seconds)])])
        #expect(try rows(chart, "points").map { $0["y"] as? Double } == [number / 2, number])
        let axis = try #require(try slot(chart, "yAxis", in: "signals")["value"] as? Tuple)
        #expect(axis["domain"] as? [Double] == [0, number])
        #expect(axis["unit"] as? String == " \(unit)" && axis["title"] as? String == "time")
    }

    @Test("a long line is thinned without losing a spike")
    func longLine() throws {
        let points = (0..<20_000).map { LineChart.Point(Double($0), $0 == 12_345 ? 99 : 1) }
        let chart = LineChart(
            title: "t", sentence: "", x: ChartAxis("x"), y: ChartAxis("y"),
            series: [.init("a", points: points)])
        let drawn = try rows(chart, "points")
        #expect(drawn.count <= 1500)
        #expect(drawn.contains { $0["x"] as? Double == 12_345 && $0["y"] as? Double == 99 })
    }

    @Test("a stack's missing amounts count as zero, and its axis covers the longest bar")
    func stack() throws {
        let chart = StackedChart(
            title: "t", sentence: "", parts: ["a", "b", "c"], quantity: ChartAxis("s"),
            bars: [.init("one", [1, .nan, 2]), .init("two", [4])])
        let amounts = try rows(chart, "amounts")
        #expect(amounts.map { $0["amount"] as? Double } == [1, 0, 2, 4, 0, 0])
        let axis = try #require(try slot(chart, "xAxis", in: "signals")["value"] as? Tuple)
        #expect(axis["domain"] as? [Double] == [0, 4])
    }

    @Test("a heat map has a cell for each pair that was tried")
    func heatMap() throws {
        let chart = HeatMap(
            title: "t", sentence: "", columns: ("c", ["1", "2"]), rows: ("r", ["x", "y"]),
            cells: [[.value(2), .diverged], [.missing, .value(1.5)]], quantity: ChartAxis("v"))
        let cells = try rows(chart, "cells")
        #expect(cells.map { $0["value"] as? Double } == [2, nil, 1.5])
        #expect(cells.map { $0["row"] as? Int } == [0, 0, 1])
        #expect(cells.map { $0["column"] as? Int } == [0, 1, 1])
    }

    @Test(
        "a contour map's grid starts with the top row, and values that are not finite have the highest level"
    )
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

    @Test("a surface's grid keeps its holes")
    func surface() throws {
        let chart = SurfaceChart(
            title: "t", sentence: "", xTitle: "x", yTitle: "y",
            grid: RegularGrid(
                x: 0...1, y: 0...1, columns: 2, rows: 2, values: [1, 2, .nan, 4]),
            quantity: ChartAxis("v"))
        let grid = try #require(try rows(chart, "grid").first)
        let values = try #require(grid["values"] as? [Any])
        #expect(values.map { $0 as? Double } == [nil, 4, 1, 2])
    }

    @Test("a path on a surface has the surface's height and gaps")
    func pathOnASurface() throws {
        // The values of 10 x + y at x = 0, 1, 2 and y = 0, 1.
        let grid = RegularGrid(
            x: 0...2, y: 0...1, columns: 3, rows: 2, values: [0, 10, 20, 1, 11, .nan])
        #expect(grid.value(at: (0.5, 0.25)) == 5.25)
        #expect(grid.value(at: (0, 1)) == 1 && grid.value(at: (1, 0)) == 10)
        #expect(grid.value(at: (1.5, 0.5)) == nil && grid.value(at: (2.1, 0)) == nil)
        let chart = SurfaceChart(
            title: "t", sentence: "", xTitle: "x", yTitle: "y", grid: grid,
            quantity: ChartAxis("v"), paths: [.init("p", points: [(0.5, 0.5), (3, 0), (1, 0)])])
        let steps = try rows(chart, "track")
        #expect(steps.map { $0["value"] as? Double } == [5.5, nil, 10])
        #expect(steps.map { $0["x"] as? Double } == [-0.25, 1, 0])
        #expect(steps.map { $0["last"] as? Bool } == [false, false, true])
    }

    @Test("several planes have the same scale")
    func planes() throws {
        let grids = [[1.0, 2, 3, .nan], [5, 6, 7, 8]].map {
            RegularGrid(x: 0...1, y: 0...1, columns: 2, rows: 2, values: $0)
        }
        let chart = PlanesChart(
            title: "t", sentence: "", quantity: ChartAxis("v"),
            planes: grids.map { .init("p", grid: $0, path: [(0, 0), (1, 1)]) })
        let values = try rows(chart, "grids").map { $0["values"] as? [Double] }
        #expect(values == [[3, 8, 1, 2], [7, 8, 5, 6]])
        #expect(try rows(chart, "steps").map { $0["plane"] as? Int } == [0, 0, 1, 1])
    }
}
