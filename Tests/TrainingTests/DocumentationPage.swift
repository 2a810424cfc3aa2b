import Foundation
import Support
import TestSupport
import Testing

/// A page of the documentation that describes the fields of a command's JSON.
struct DocumentationPage {
    private let name: String
    private let text: String

    init(_ name: String) throws {
        self.name = name
        text = try String(
            contentsOfFile: "\(Launch.root)/Sources/lockstep/Lockstep.docc/\(name).md",
            encoding: .utf8)
    }

    /// Expects that the page names every field of an object.
    func expectNames(_ object: JSONObject) {
        for name in object.members.map(\.key) {
            #expect(text.contains("`\(name)`"), "\(self.name) does not name \(name)")
        }
    }
}
