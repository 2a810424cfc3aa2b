import Foundation
import Report
import Support
import Testing

/// Tests of the report's page.
@Suite struct PageTests {
    private let hostile = "</script><script>alert(1)</script>"

    @Test("text is escaped for elements and attributes")
    func escaping() {
        #expect(
            HTMLText.escaped("a < b & \"c\" > 'd'\0")
                == "a &lt; b &amp; &quot;c&quot; &gt; &#39;d&#39;\u{FFFD}")
        #expect(HTMLText.escaped(hostile).contains("<") == false)
    }

    @Test("JSON in a script keeps its value and cannot end the script")
    func scriptJSON() throws {
        let text = hostile + "<!-- & \u{2028}\u{2029} \\ \"é"
        let safe = HTMLText.scriptJSON(JSONValue.array([.string(text)]).text)
        #expect(!safe.contains("<") && !safe.contains("\u{2028}") && !safe.contains("\u{2029}"))
        let read = try JSONSerialization.jsonObject(with: Data(safe.utf8)) as? [String]
        #expect(read == [text])
    }

    @Test("JavaScript in a script cannot end it")
    func script() {
        #expect(
            HTMLText.script("a<b; '</Script>' + '<!--' + \"<\"")
                == "a<b; '<\\/Script>' + '<\\!--' + \"<\"")
    }

    @Test("hostile text cannot leave its element")
    func hostilePage() {
        let chart = LineChart(
            title: hostile, sentence: hostile, x: ChartAxis(hostile), y: ChartAxis(hostile),
            series: [.init(hostile, points: [.init(0, .infinity)])])
        let page = Page(
            title: hostile, subtitle: hostile,
            sections: [
                .init(
                    hostile, text: [hostile],
                    items: [
                        .chart(chart), .note(.problem, hostile),
                        .verdict(Verdict(.fails, hostile, text: hostile)),
                        .table(
                            Table(
                                caption: hostile, columns: [.init(hostile)],
                                rows: [.init([hostile])])),
                    ])
            ])
        let html = page.html(vega: "")
        #expect(!html.contains("<script>alert"))
        // The page has three scripts of its own: the data, Vega and the page's script.
        #expect(html.components(separatedBy: "<script").count - 1 == 3)
        #expect(html.components(separatedBy: "</script").count - 1 == 3)
    }

    @Test("the page is self-contained and names its kind")
    func selfContained() throws {
        let html = DemoPage.page.html(vega: "VEGA")
        #expect(html.hasPrefix("<!DOCTYPE html>\n<html lang=\"en\">"))
        for loading in ["src=", "<link", "@import", "url(", "<iframe", "<img", "fetch("] {
            #expect(!html.contains(loading), "\(loading)")
        }
        #expect(html.contains("default-src 'none'"))
        #expect(
            html.components(separatedBy: "role=\"img\" aria-label=\"").count - 1
                == DemoPage.chartCount)
        #expect(html.contains("<nav aria-label=\"Contents\">"))
    }

    @Test("headings are in order, with one of the first level and none skipped")
    func headings() {
        let html = DemoPage.page.html(vega: "")
        let levels = html.matches(of: /<h([1-6])/).compactMap { Int($0.1) }
        #expect(levels.first == 1 && levels.count { $0 == 1 } == 1)
        #expect(zip(levels, levels.dropFirst()).allSatisfy { $1 <= $0 + 1 })
    }

    @Test("a page without charts has no script, and a short one has no contents")
    func plain() {
        let html = Page(title: "T", sections: [.init("S", items: [.note(.warning, "N")])])
            .html(vega: "VEGA")
        #expect(!html.contains("<script") && !html.contains("VEGA") && !html.contains("<nav"))
        #expect(html.contains("<strong>Warning.</strong> N"))
    }

    @Test("a table has its cells, alignments and emphasis")
    func table() {
        let table = Table(
            caption: "C", columns: [.init("name", .left), .init("loss")],
            rows: [.init(["a", "1"]), .init(["b", "2"], isEmphasized: true)])
        let html = Page(title: "T", sections: [.init("S", items: [.table(table)])]).html(vega: "")
        #expect(html.contains("<caption>C</caption>"))
        #expect(
            html.contains(
                "<th scope=\"col\" class=\"left\">name</th><th scope=\"col\" class=\"right\">loss</th>"
            ))
        #expect(html.contains("<tr><td class=\"left\">a</td><td class=\"right\">1</td></tr>"))
        #expect(html.contains("<tr class=\"emphasized\"><td class=\"left\">b</td>"))
    }

    @Test("a table that is wider than a phone repeats its titles in the cells")
    func wideTable() {
        func html(_ cell: String) -> String {
            let table = Table(
                columns: [.init("a & b", .left), .init("loss")], rows: [.init(["x", cell])])
            return Page(title: "T", sections: [.init("S", items: [.table(table)])]).html(vega: "")
        }
        let wide = html("0.0126 (0.0050 to 0.0207) " + String(repeating: "9", count: 30))
        #expect(wide.contains("<table class=\"wide\" role=\"table\">"))
        #expect(
            wide.contains("<td class=\"left\" data-title=\"a &amp; b\" role=\"cell\">x</td>"))
        #expect(!html("0.0126").contains("class=\"wide\""))
        // A sentence wraps, also in long parentheses.
        let sentence = Table(
            columns: [.init("verdict", .left)],
            rows: [.init(["undecided (the regret's interval, 0.0072 to 0.031, is wide)"])])
        let text = Page(title: "T", sections: [.init("S", items: [.table(sentence)])]).html(
            vega: "")
        #expect(text.contains(">undecided (the regret&#39;s interval, 0.0072 to 0.031, is wide)<"))
    }

    @Test("a cell's numbers are not broken from their units and intervals")
    func wrapping() {
        let table = Table(
            columns: [.init("law", .left), .init("loss")],
            rows: [.init(["a 1e-3 (2 to 3), <b", "7.5 k (7 k to 8 k)"])])
        let html = Page(title: "T", sections: [.init("S", items: [.table(table)])]).html(vega: "")
        #expect(
            html.contains(
                "<td class=\"left\">a <span>1e-3</span> <span>(2 to 3),</span> &lt;b</td>"
                    + "<td class=\"right\"><span>7.5 k</span> <span>(7 k to 8 k)</span></td>"))
    }

    @Test("without libjs-vega the remedy is named")
    func missingVega() {
        do {
            _ = try VegaLibrary.script(from: ["/nowhere", "/nowhere/else"])
            Issue.record("A script was made of nothing.")
        } catch {
            #expect(error.code == .missingInput)
            #expect(error.sentence.contains("apt-get install libjs-vega"))
            #expect(error.sentence.contains("/nowhere or /nowhere/else"))
        }
    }

    @Test("the script of libjs-vega loads nothing and keeps the license")
    func vega() throws {
        let script = try VegaLibrary.script()
        #expect(!script.contains("sourceMappingURL"))
        #expect(script.contains("BSD-3-Clause"))
    }
}
