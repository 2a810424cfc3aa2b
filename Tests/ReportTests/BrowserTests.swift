import Foundation
import Report
import TestSupport
import Testing

/// Tests of the report in a browser.
@Suite struct BrowserTests {
    @Test("every template is a specification that draws its example data")
    func templates() throws {
        let templates = try TemplateTests.templates
        try #require(templates.count == 7)
        let charts = templates.map {
            Page.Item.chart(Chart(title: $0.name, sentence: "", specification: $0.specification))
        }
        let page = Page(title: "Templates", sections: [.init("Templates", items: charts)])
        let visit = try Browser.visit(page.html(vega: VegaLibrary.script()), width: 800)
        #expect(visit.console == [])
        #expect(visit.recorded("charts") == "ok 7")
        let marks = try #require(visit.recorded("marks")).split(separator: " ").compactMap {
            Int($0)
        }
        #expect(marks.allSatisfy { $0 >= 3 }, "\(marks)")
    }

    @Test(
        "every chart is drawn, nothing exceeds the window, and the console is empty",
        arguments: [(1300, false), (1200, true), (390, false), (390, true)])
    func demo(width: Int, dark: Bool) throws {
        let visit = try Browser.visit(
            DemoPage.page.html(vega: VegaLibrary.script()), width: width, dark: dark)
        visit.expectWholePage(charts: DemoPage.chartCount)
        #expect(visit.recorded("width") == "\(width)")
        let theme = dark ? Theme.dark : Theme.light
        #expect(visit.recorded("backgrounds") == functional(theme.surface))
        // Printing uses the light theme, and the previous theme returns afterward.
        #expect(visit.recorded("printed") == functional(Theme.light.surface))
        #expect(visit.recorded("sheets") == "\(DemoPage.chartCount)")
        #expect(visit.recorded("restored") == "\(DemoPage.chartCount)")
        let marks = try #require(visit.recorded("marks")).split(separator: " ").compactMap {
            Int($0)
        }
        #expect(marks.count == DemoPage.chartCount)
        #expect(marks.allSatisfy { $0 >= 3 }, "\(marks)")
    }

    /// Returns a color such as "#ffffff" in the form that a browser returns: "rgb(255, 255, 255)".
    private func functional(_ color: String) -> String {
        let number = Int(color.dropFirst(), radix: 16) ?? 0
        return "rgb(\(number >> 16), \(number >> 8 & 255), \(number & 255))"
    }

    @Test("a chart's numbers are saved as comma-separated values, in its units")
    func tables() throws {
        let time = ChartAxis("time, \"total\"", style: .duration)
        let line = LineChart(
            title: "Line, of two!", sentence: "", x: ChartAxis("x"),
            y: ChartAxis("loss, nats", limits: 0...3, marksBeyond: true),
            series: [
                .init("a, b", .points, points: [.init(1, 2, interval: 1...3), .init(2, 7)]),
                .init("c", .lineAndPoints, points: [.init(1, .infinity), .init(2, 1.5)]),
            ])
        let bars = StackedChart(
            title: "Bars", sentence: "", parts: ["p"], quantity: time,
            bars: [.init("one", [120]), .init("two", [.nan])])
        let heat = HeatMap(
            title: "Heat", sentence: "", columns: ("rate", ["1e-3", "2e-3"]), rows: ("B", ["8"]),
            cells: [[.value(2), .diverged]], quantity: ChartAxis("loss"))
        let verdicts = VerdictMap(
            title: "Verdicts", sentence: "", columns: ("batch", ["8", "16"]),
            rows: ("rule", ["sqrt"]), cells: [[.init(.holds, evidence: "0.1"), .init(nil)]],
            evidence: "cost")
        let grid = RegularGrid(x: -1...1, y: 0...4, columns: 2, rows: 2, values: [1, 2, 3, 4])
        let contours = ContourMap(
            title: "Map", sentence: "", xTitle: "u", yTitle: "v", grid: grid,
            quantity: ChartAxis("loss"), paths: [.init("p", points: [(0, 1)])])
        let surface = SurfaceChart(
            title: "Map", sentence: "", xTitle: "u", yTitle: "v", grid: grid,
            quantity: ChartAxis("loss"))
        let page = Page(
            title: "Saved",
            sections: [
                .init(
                    "One",
                    items: [
                        .chart(line), .chart(bars), .chart(heat), .chart(verdicts),
                        .chart(contours),
                    ]), .init("Two", items: [.chart(surface)]),
            ])
        let visit = try Browser.visit(page.html(vega: VegaLibrary.script()), width: 800)
        visit.expectWholePage(charts: 6)
        let tables = visit.saved.filter { $0.name.hasSuffix(".csv") }
        #expect(
            tables.map(\.name) == [
                "line-of-two.csv", "bars.csv", "heat.csv", "verdicts.csv", "map-one.csv",
                "map-two.csv",
            ])
        #expect(
            tables.map(\.content) == [
                "series,x,\"loss, nats\",lower,upper,note\n\"a, b\",1,2,1,3,\n\"a, b\",2,7,,,above\n"
                    + "c,1,,,,diverged\nc,2,1.5,,,\n",
                "bar,part,\"time, \"\"total\"\", min\"\none,p,2\ntwo,p,0\n",
                "B,rate,loss\n8,1e-3,2\n8,2e-3,\n",
                "rule,batch,verdict,cost\nsqrt,8,holds,0.1\nsqrt,16,,\n",
                "u,v,loss,path,place\n-1,4,3,,\n1,4,4,,\n-1,0,1,,\n1,0,2,,\n0,1,,p,1\n",
                "u,v,loss\n-1,4,3\n1,4,4\n-1,0,1\n1,0,2\n",
            ])
    }

    @Test("a picture has the light theme, also if the page is dark")
    func pictures() throws {
        let line = LineChart(
            title: "Line", sentence: "", x: ChartAxis("x"), y: ChartAxis("y"),
            series: [.init("a", points: [.init(1, 2), .init(2, 3)])])
        let page = Page(title: "Saved", sections: [.init("One", items: [.chart(line)])])
        let html = page.html(vega: try VegaLibrary.script())
        let backgrounds = try [false, true].map { dark in
            try Browser.visit(html, width: 800, dark: dark).recorded("pictured")
        }
        #expect(backgrounds == [Theme.light.surface, Theme.light.surface])
    }

    @Test("a pointer over a chart shows the numbers there")
    func tooltips() throws {
        let visit = try Browser.visit(DemoPage.page.html(vega: VegaLibrary.script()), width: 1200)
        let tips = try #require(visit.recorded("tips")).components(separatedBy: " | ")
        try #require(tips.count == DemoPage.chartCount)
        #expect(tips[0].hasPrefix("tokens: 1."), "loss: \(tips[0])")
        #expect(tips[0].contains("M; batch 12, rate 1e-3: "), "loss: \(tips[0])")
        #expect(tips[1].hasPrefix("step: 8") && tips[1].contains("; rate: 6."))
        #expect(tips[1].contains("e-4"))
        #expect(
            tips[3].hasPrefix("time: 3") && tips[3].contains(" min; ") && tips[3].contains(" to "))
        #expect(tips[4].contains("backward: ") && tips[4].contains(" ms"), "bars: \(tips[4])")
        #expect(tips[7].contains("; fit of batch 48: 1.9"), "fits: \(tips[7])")
        #expect(tips[10].contains("4e-3") || tips[10].contains("2e-3"), "heat map: \(tips[10])")
        #expect(tips[12].first?.isNumber == true, "surface: \(tips[12])")
        #expect(tips[14].contains(", 48; ? undecided, ≥ 0.02"), "verdicts: \(tips[14])")
    }

    @Test("ticks and cells have readable numbers")
    func texts() throws {
        let log = ChartAxis("rate", scale: .log, style: .scientific)
        func line(_ axis: ChartAxis, _ x: [Double]) -> Page.Item {
            .chart(
                LineChart(
                    title: "", sentence: "", x: axis, y: ChartAxis("y"),
                    series: [.init("s", points: x.map { .init($0, 1) })]))
        }
        let charts: [Page.Item] = [
            line(log, [1e-6, 10]), line(ChartAxis("tokens", style: .count), [0, 12e6]),
            line(ChartAxis("batch", scale: .log, chosen: [12, 24, 48]), [12, 48]),
            .chart(
                HeatMap(
                    title: "", sentence: "", columns: ("c", ["1", "2"]), rows: ("r", ["x", "y"]),
                    cells: [[.value(2), .diverged], [.missing, .value(1.5)]],
                    quantity: ChartAxis("v"))),
        ]
        let page = Page(title: "Texts", sections: [.init("Texts", items: charts)])
        let visit = try Browser.visit(page.html(vega: VegaLibrary.script()), width: 800)
        let texts = try #require(visit.recorded("texts")).components(separatedBy: " | ")
            .map { $0.components(separatedBy: "; ") }
        try #require(texts.count == charts.count)
        #expect(Set(["1e-6", "1e-3", "1", "1e1"]).isSubset(of: texts[0]), "\(texts[0])")
        #expect(Set(["0", "2M", "12M"]).isSubset(of: texts[1]), "\(texts[1])")
        #expect(Set(["12", "24", "48"]).isSubset(of: texts[2]), "\(texts[2])")
        #expect(Set(["2.000", "1.500", "×"]).isSubset(of: texts[3]), "\(texts[3])")
    }

    @Test("a surface has a hole where its values are not finite")
    func hole() throws {
        func surface(_ center: Double) -> Page.Item {
            var values = (0..<25).map(Double.init)
            values[12] = center
            return .chart(
                SurfaceChart(
                    title: "", sentence: "", xTitle: "x", yTitle: "y",
                    grid: RegularGrid(x: 0...1, y: 0...1, columns: 5, rows: 5, values: values),
                    quantity: ChartAxis("v")))
        }
        let page = Page(
            title: "Hole", sections: [.init("Hole", items: [surface(12), surface(.nan)])])
        let visit = try Browser.visit(page.html(vega: VegaLibrary.script()), width: 800)
        let marks = try #require(visit.recorded("marks")).split(separator: " ").compactMap {
            Int($0)
        }
        #expect(marks.count == 2 && marks[0] == marks[1] + 4, "\(marks)")
    }

    @Test("hostile text is shown as text")
    func hostile() throws {
        let text = "</script><script>document.documentElement.dataset.charts='owned'</script>"
        let chart = LineChart(
            title: text, sentence: text, x: ChartAxis(text), y: ChartAxis(text),
            series: [
                .init(text, points: [.init(0, 1), .init(1, .nan), .init(2, 3)]),
                .init("'\"\\\n\u{2028}<!--", .points, points: [.init(.infinity, 1), .init(1, 2)]),
            ], markers: [.init(1, text)])
        let bars = StackedChart(
            title: text, sentence: text, parts: [text, "b"], quantity: ChartAxis(text),
            bars: [.init(text, [1, .nan]), .init("", [])])
        let map = HeatMap(
            title: text, sentence: text, columns: (text, [text]), rows: (text, [text]),
            cells: [[.value(.infinity)]], quantity: ChartAxis(text))
        let page = Page(
            title: text, subtitle: text,
            sections: [
                .init(text, text: [text], items: [.chart(chart), .chart(bars), .chart(map)])
            ])
        let visit = try Browser.visit(page.html(vega: VegaLibrary.script()), width: 800)
        #expect(visit.console == [])
        #expect(visit.recorded("charts") == "ok 3")
        #expect(visit.recorded("overflow") == "0")
    }

    @Test("charts without a number that can be drawn are drawn empty")
    func empty() throws {
        let log = ChartAxis("rate", scale: .log, style: .scientific)
        let charts: [Page.Item] = [
            .chart(LineChart(title: "a", sentence: "", x: log, y: log, series: [])),
            .chart(
                LineChart(
                    title: "b", sentence: "", x: log, y: log,
                    series: [.init("zero", .lineAndPoints, points: [.init(0, 0), .init(-1, .nan)])])
            ),
            .chart(
                LineChart(
                    title: "c", sentence: "", x: ChartAxis("x"), y: ChartAxis("y"),
                    series: [.init("one", .lineAndPoints, points: [.init(5, 5)])])),
            .chart(
                StackedChart(
                    title: "d", sentence: "", parts: [], quantity: ChartAxis("s"),
                    bars: [])),
            .chart(
                SurfaceChart(
                    title: "e", sentence: "", xTitle: "x", yTitle: "y",
                    grid: RegularGrid(
                        x: 0...1, y: 0...1, columns: 2, rows: 2, values: [.nan, 1, 1, 1]),
                    quantity: ChartAxis("v"))),
            .chart(
                ContourMap(
                    title: "f", sentence: "", xTitle: "x", yTitle: "y",
                    grid: RegularGrid(
                        x: 0...1, y: 0...1, columns: 2, rows: 2,
                        values: [.nan, .infinity, .nan, .nan]),
                    quantity: log, paths: [.init("p", points: [(.nan, 0)])])),
        ]
        let page = Page(title: "Empty", sections: [.init("Empty", items: charts)])
        let visit = try Browser.visit(page.html(vega: VegaLibrary.script()), width: 800)
        #expect(visit.console == [])
        #expect(visit.recorded("charts") == "ok \(charts.count)")
    }

    @Test("a chart that cannot be drawn is replaced by a message, and the others are drawn")
    func broken() throws {
        let broken = Chart(
            title: "broken", sentence: "",
            specification: [
                "signals": [], "marks": [["type": "symbol", "from": ["data": "nowhere"]]],
            ])
        let line = LineChart(
            title: "whole", sentence: "", x: ChartAxis("x"), y: ChartAxis("y"),
            series: [.init("s", points: [.init(0, 1), .init(1, 2)])])
        let page = Page(
            title: "Broken", sections: [.init("Charts", items: [.chart(broken), .chart(line)])])
        let visit = try Browser.visit(page.html(vega: VegaLibrary.script()), width: 800)
        #expect(visit.recorded("charts")?.hasPrefix("failed") == true)
        #expect(visit.console.count >= 1)
        #expect(visit.recorded("failures")?.hasPrefix("This chart could not be drawn") == true)
        let marks = try #require(visit.recorded("marks")).split(separator: " ")
        #expect(marks.first == "0" && marks.last != "0")
    }
}
