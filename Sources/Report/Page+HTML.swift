import Support

extension Page {
    /// Returns the page as one self-contained HTML file, whose content security policy forbids any
    /// request.
    ///
    /// - Parameter vega: the JavaScript that draws charts, from `VegaLibrary`.
    package func html(vega: String) -> String {
        let charts = sections.flatMap(\.items).compactMap { item -> Chart? in
            if case .chart(let chart) = item { chart } else { nil }
        }
        let drawing =
            charts.isEmpty
            ? ""
            : """
            <script type="application/json" id="charts">\(Self.data(charts))</script>
            <script>\(HTMLText.script(vega))</script>
            <script>\(PageScript.text)</script>

            """
        let title = HTMLText.escaped(title)
        return """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta http-equiv="Content-Security-Policy" content="\(Self.policy)">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="color-scheme" content="light dark">
            <meta name="generator" content="Lockstep">\(reloading)
            <title>\(title)</title>
            <style>
            \(PageStyle.text)
            </style>
            </head>
            <body>
            <header>
            <h1>\(title)</h1>
            \(Self.paragraph(subtitle, class: "subtitle"))
            </header>
            \(contents)
            <main>
            \(body)
            </main>
            \(drawing)</body>
            </html>

            """
    }

    /// The content security policy, which allows the scripts and styles of the page only.
    private static let policy =
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
        + "base-uri 'none'; form-action 'none'"

    private var reloading: String {
        reloadSeconds.map { "\n<meta http-equiv=\"refresh\" content=\"\($0)\">" } ?? ""
    }

    /// The number of sections from which a page has a table of contents.
    private static let longPage = 3

    private var contents: String {
        guard sections.count >= Self.longPage else { return "" }
        let entries = sections.enumerated().map { index, section in
            "<li><a href=\"#section-\(index + 1)\">\(HTMLText.escaped(section.title))</a></li>"
        }
        return "<nav aria-label=\"Contents\"><ul>\(entries.joined())</ul></nav>"
    }

    private var body: String {
        var chart = 0
        return sections.enumerated().map { index, section in
            let items = section.items.map { item in
                if case .chart = item { chart += 1 }
                return Self.html(item, chart: chart)
            }
            return """
                <section id="section-\(index + 1)" aria-labelledby="heading-\(index + 1)">
                <h2 id="heading-\(index + 1)">\(HTMLText.escaped(section.title))</h2>
                \(section.text.map { Self.paragraph($0) }.joined(separator: "\n"))
                \(items.joined(separator: "\n"))
                </section>
                """
        }.joined(separator: "\n")
    }

    private static func paragraph(_ text: String, class name: String? = nil) -> String {
        guard !text.isEmpty else { return "" }
        return "<p\(name.map { " class=\"\($0)\"" } ?? "")>\(HTMLText.escaped(text))</p>"
    }

    private static func html(_ item: Item, chart number: Int) -> String {
        switch item {
        case .chart(let chart):
            let title = HTMLText.escaped(chart.title)
            let label = HTMLText.escaped(
                [chart.title, chart.sentence].filter { !$0.isEmpty }.joined(separator: ". "))
            return """
                <figure>
                <h3>\(title)</h3>
                <div class="chart" id="chart-\(number)" role="img" aria-label="\(label)">\
                <noscript>This chart is drawn by JavaScript.</noscript></div>
                <figcaption>\(HTMLText.escaped(chart.sentence))</figcaption>
                </figure>
                """
        case .table(let table): return table.html
        case .note(let kind, let text):
            return """
                <div class="note \(kind.rawValue)" role="note"><p><strong>\(kind.word).</strong> \
                \(HTMLText.escaped(text))</p></div>
                """
        case .verdict(let verdict):
            return """
                <div class="verdict \(verdict.kind.rawValue)" role="note">
                \(paragraph(verdict.headline, class: "headline"))
                \(paragraph(verdict.text))
                </div>
                """
        }
    }

    /// Returns the JSON for the page's script: both themes and the specifications in order.
    private static func data(_ charts: [Chart]) -> String {
        let data: JSONObject = [
            "light": .object(Theme.light.configuration), "dark": .object(Theme.dark.configuration),
            "specifications": .array(charts.map { .object($0.specification) }),
        ]
        return HTMLText.scriptJSON(data.text)
    }
}
