import Foundation
import Report
import Testing

/// The state of a page in a browser after its scripts ran.
package struct Visit {
    /// The document after its scripts ran.
    package let document: String
    /// The messages on the console: errors, warnings and uncaught exceptions.
    package let console: [String]

    /// Returns a data attribute of the root element, which the page or the probe has set.
    package func recorded(_ name: String) -> String? {
        // The report is escaped in an attribute of its frame; only the outer root has plain quotes.
        guard let start = document.range(of: " data-\(name)=\"") else { return nil }
        return String(document[start.upperBound...].prefix { $0 != "\"" })
    }

    /// The files that the buttons under the charts have saved, in the order of the charts: SVG, PNG
    /// and CSV. The content is that of a CSV file, and the size and the number of marks of a
    /// picture, such as "800x320 12".
    package var saved: [(name: String, content: String)] {
        (recorded("saved") ?? "").split(separator: " ").map { entry in
            let parts = entry.split(separator: "/", omittingEmptySubsequences: false).map {
                String($0).removingPercentEncoding ?? ""
            }
            return (parts.first ?? "", parts.last ?? "")
        }
    }

    /// Expects that a page is shown as it should be: every chart is drawn, nothing exceeds the
    /// window, no label covers another, no number is broken, and every chart can be saved.
    ///
    /// - Parameter charts: the number of charts, or nil if it does not matter.
    package func expectWholePage(
        charts: Int? = nil, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(console == [], sourceLocation: sourceLocation)
        let drawn = recorded("charts")?.split(separator: " ") ?? []
        let count = drawn.first == "ok" ? drawn.last.flatMap { Int($0) } : nil
        #expect(count != nil, "\(drawn)", sourceLocation: sourceLocation)
        if let charts { #expect(count == charts, sourceLocation: sourceLocation) }
        for name in ["overflow", "wide", "clipped", "torn"] {
            #expect(recorded(name) == "0", "\(name)", sourceLocation: sourceLocation)
        }
        let covered = recorded("covered")?.split(separator: " ") ?? []
        #expect(covered.allSatisfy { $0 == "0" }, "\(covered)", sourceLocation: sourceLocation)
        let saved = saved
        #expect(saved.count == 3 * (count ?? 0), sourceLocation: sourceLocation)
        #expect(Set(saved.map(\.name)).count == saved.count, sourceLocation: sourceLocation)
        for place in stride(from: 0, to: saved.count - 2, by: 3) {
            expectSaved(Array(saved[place..<place + 3]), sourceLocation)
        }
    }

    /// Expects that the three files of a chart have their content.
    private func expectSaved(
        _ files: [(name: String, content: String)], _ sourceLocation: SourceLocation
    ) {
        let names = files.map(\.name)
        let stem = names[0].dropLast(4)
        #expect(
            names == ["\(stem).svg", "\(stem).png", "\(stem).csv"],
            sourceLocation: sourceLocation)
        let picture = files[0].content.split { " x".contains($0) }.compactMap { Int($0) }
        let pixels = files[1].content.split(separator: "x").compactMap { Int($0) }
        #expect(picture.count == 3 && pixels.count == 2, "\(files)", sourceLocation: sourceLocation)
        guard picture.count == 3, pixels.count == 2 else { return }
        #expect(picture[2] > 3, "\(names[0])", sourceLocation: sourceLocation)
        #expect(pixels == [2 * picture[0], 2 * picture[1]], sourceLocation: sourceLocation)
        let lines = files[2].content.split(separator: "\n")
        #expect(lines.count > 1, "\(names[2])", sourceLocation: sourceLocation)
    }
}

/// Headless Chromium.
package enum Browser {
    /// A script that waits until all charts are drawn and then sets attributes of the outer page's
    /// root element: how far the report exceeds its width, the number of marks in each chart, and
    /// each chart's tooltip.
    private static let probe = """
        <script>
        // The background of a saved picture.
        let pictured = "";
        const pause = (time) => new Promise((done) => setTimeout(done, time));
        // Reading a blob takes real time, for which virtual time does not wait.
        const OriginalBlob = Blob;
        window.Blob = class extends OriginalBlob {
          constructor([part], options) {
            super([part], options);
            this.part = part;
          }
        };
        function content(name, { part, type }) {
          if (name.endsWith(".csv")) return part;
          if (name.endsWith(".png")) {
            // The header's chunk comes first.
            const view = new DataView(part.buffer);
            return view.getUint32(16) + "x" + view.getUint32(20);
          }
          const svg = new DOMParser().parseFromString(part, type).documentElement;
          pictured = svg.querySelector("rect").getAttribute("fill");
          return svg.getAttribute("width") + "x" + svg.getAttribute("height") + " "
            + svg.querySelectorAll("path, text, line").length;
        }
        // Presses the buttons that save the charts, and returns the files.
        async function saved() {
          const blobs = new Map();
          const files = [];
          const { createObjectURL } = URL;
          URL.createObjectURL = (blob) => {
            const url = createObjectURL.call(URL, blob);
            blobs.set(url, blob);
            return url;
          };
          HTMLAnchorElement.prototype.click = function () {
            files.push([this.download, blobs.get(this.href)]);
          };
          for (const button of document.querySelectorAll(".save:not([hidden]) button")) {
            const count = files.length;
            button.click();
            for (let tries = 0; files.length === count && tries < 200; tries += 1) await pause(5);
          }
          return files.map(([name, blob]) =>
            [name, content(name, blob)].map(encodeURIComponent).join("/")).join(" ");
        }
        addEventListener("load", async () => {
          const root = document.documentElement;
          while (!root.dataset.charts) await pause(20);
          const charts = [...document.querySelectorAll(".chart")];
          const found = {
            charts: root.dataset.charts, width: innerWidth,
            overflow: root.scrollWidth - root.clientWidth,
            marks: charts.map((chart) => chart.querySelectorAll(
              "svg .role-mark path, svg .role-mark text, svg .role-mark line, svg .role-scope path"
            ).length).join(" "),
            texts: charts.map((chart) => [...chart.querySelectorAll("svg text")].map(
              (text) => text.textContent).join("; ")).join(" | "),
            covered: charts.map((chart) => {
              const boxes = [...chart.querySelectorAll("svg text")]
                .filter((text) => getComputedStyle(text).opacity !== "0" && text.textContent
                  && getComputedStyle(text).stroke === "none")
                .map((text) => text.getBoundingClientRect());
              return boxes.filter((one, i) => boxes.slice(i + 1).some((other) =>
                one.left < other.right - 1 && other.left < one.right - 1
                && one.top < other.bottom - 3 && other.top < one.bottom - 3)).length;
            }).join(" "),
            wide: charts.filter((chart) => [...chart.querySelectorAll("svg")].some(
              (svg) => svg.width.baseVal.value > chart.clientWidth + 0.5)).length,
            clipped: [...document.querySelectorAll(".scroll")].filter(
              (box) => box.scrollWidth > box.clientWidth).length,
            torn: [...document.querySelectorAll("td span")].filter(
              (piece) => piece.getClientRects().length > 1).length,
            backgrounds: [...new Set([...document.querySelectorAll("body, .chart svg")].map(
              (element) => getComputedStyle(element).backgroundColor))].join(" "),
          };
          const tips = [];
          for (const chart of charts) {
            const box = chart.getBoundingClientRect();
            const at = { clientX: box.x + box.width * 0.45, clientY: box.y + box.height * 0.4 };
            const target = document.elementFromPoint(at.clientX, at.clientY) || chart;
            target.dispatchEvent(new MouseEvent("mousemove", { ...at, bubbles: true, view: window }));
            await pause(100);
            const tooltip = document.getElementById("tooltip");
            tips.push(tooltip.hidden ? "" : tooltip.textContent.replaceAll("\\n", "; "));
          }
          found.tips = tips.join(" | ");
          found.saved = await saved();
          found.pictured = pictured;
          found.failures = [...document.querySelectorAll(".failure")].map((one) => one.textContent)
            .join(" | ");
          dispatchEvent(new Event("beforeprint"));
          // Printing waits for no timer: the charts must be ready after the event's promises.
          await Promise.resolve().then(() => new Promise((done) => {
            const channel = new MessageChannel();
            channel.port1.onmessage = done;
            channel.port2.postMessage(null);
          }));
          found.printed = [...new Set([...document.querySelectorAll(".chart svg")].map(
            (svg) => getComputedStyle(svg).backgroundColor))].join(" ");
          found.sheets = document.querySelectorAll(".chart svg .role-axis").length > 0
            ? document.querySelectorAll(".chart svg").length : 0;
          dispatchEvent(new Event("afterprint"));
          await pause(500);
          found.restored = charts.filter((chart) => {
            const svg = chart.querySelector("svg");
            return svg && getComputedStyle(svg).backgroundColor
              === getComputedStyle(document.body).backgroundColor;
          }).length;
          Object.assign(parent.document.documentElement.dataset, found);
        });
        </script>
        </body>
        """

    /// Returns a page around the report, because a window of Chromium is never as narrow as a
    /// phone. The page is so high that nothing scrolls, because scroll events hide tooltips at
    /// random times.
    private static func frame(_ html: String, width: Int) -> String {
        """
        <!DOCTYPE html><meta name="color-scheme" content="light dark"><body style="margin: 0">
        <iframe style="border: 0; width: \(width)px; height: 20000px"
          srcdoc="\(HTMLText.escaped(html))"></iframe>
        """
    }

    /// Opens a page in a window that is `width` pixels wide.
    ///
    /// - Throws: `ExpectationFailedError` if Chromium is not installed.
    package static func visit(_ html: String, width: Int, dark: Bool = false) throws -> Visit {
        try #require(
            try Launch.run("sh", ["-c", "command -v chromium"]).status == 0,
            "Chromium is missing, in which the report is tested: run 'apt-get install chromium'")
        // The path is part of a URL.
        let folder = try TemporaryFolder(hasSpace: false)
        let end = try #require(html.range(of: "</body>", options: .backwards))
        let page = html.replacingCharacters(in: end, with: probe)
        let file = try folder.write("report.html", frame(page, width: width))
        let outcome = try Launch.run(
            "chromium",
            [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
                "--hide-scrollbars", "--virtual-time-budget=20000", "--window-size=1280,900",
                "--user-data-dir=\(folder.path)/profile",
                "--blink-settings=preferredColorScheme=\(dark ? 0 : 1)", "--dump-dom",
                "file://\(file)",
            ])
        try #require(outcome.status == 0, "Chromium failed: \(outcome.errors.suffix(2000))")
        return Visit(
            document: outcome.output,
            console: outcome.errors.split(separator: "\n").map(String.init)
                .filter { $0.contains("CONSOLE") })
    }
}
