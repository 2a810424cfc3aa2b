import Foundation
import Report
import Support
import TestSupport
import Testing

@Suite("The chart templates")
struct TemplateTests {
    private static let folder = "\(Launch.root)/Sources/Report/Templates"

    private static var templates: [(name: String, specification: JSONObject)] {
        get throws {
            try FileManager.default.contentsOfDirectory(atPath: folder).sorted().map { name in
                let data = try Data(contentsOf: URL(filePath: "\(folder)/\(name)"))
                guard case .object(let specification) = try JSONValue(parsing: data) else {
                    return (name, [:])
                }
                return (name, specification)
            }
        }
    }

    @Test("Every template is a specification that draws its example data")
    func examples() throws {
        let templates = try Self.templates
        try #require(templates.count == 5)
        let charts = templates.map {
            Page.Item.chart(Chart(title: $0.name, sentence: "", specification: $0.specification))
        }
        let page = Page(title: "Templates", sections: [.init("Templates", items: charts)])
        let visit = try Browser.visit(page.html(vega: VegaLibrary.script()), width: 800)
        #expect(visit.console == [])
        #expect(visit.recorded("charts") == "ok 5")
        let marks = try #require(visit.recorded("marks")).split(separator: " ").compactMap {
            Int($0)
        }
        #expect(marks.allSatisfy { $0 >= 3 }, "\(marks)")
    }

    @Test("Every template has the colors of the light theme")
    func colors() throws {
        func signals(_ configuration: JSONValue?) -> [JSONValue] {
            guard case .object(let configuration) = configuration,
                case .array(let signals) = configuration["signals"]
            else { return [] }
            return signals
        }
        let colors = signals(.object(Theme.light.configuration))
        for (name, specification) in try Self.templates {
            let used = signals(specification["config"])
            #expect(!used.isEmpty && used.allSatisfy(colors.contains), "\(name)")
        }
    }
}
