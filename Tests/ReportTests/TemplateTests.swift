import Foundation
import Report
import Support
import TestSupport
import Testing

/// Tests of the chart templates.
@Suite struct TemplateTests {
    private static let folder = "\(Launch.root)/Sources/Report/Templates"

    static var templates: [(name: String, specification: JSONObject)] {
        get throws {
            try FileManager.default.contentsOfDirectory(atPath: folder).sorted().map { name in
                let data = try Data(contentsOf: URL(filePath: "\(folder)/\(name)"))
                return (name, try JSONObject(parsing: data))
            }
        }
    }

    @Test("every template has the colors of the light theme")
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
