import Foundation
import Support
import Testing

@Suite struct QuotingTests {
    @Test(
        "only required escapes are written",
        arguments: [
            ("", #""""#), ("plain é 🙂", #""plain é 🙂""#), ("\"\\/", #""\"\\/""#),
            ("\n\r\t\u{08}\u{0C}", #""\n\r\t\b\f""#), ("\u{0}\u{1F}", #""\u0000\u001f""#),
        ])
    func onlyRequiredEscapesAreWritten(text: String, json: String) {
        #expect(jsonQuoted(text) == json)
    }

    @Test("every quoted scalar reads back")
    func everyScalarReadsBack() throws {
        let scalars = (0...0x2FF).compactMap { Unicode.Scalar($0) } + ["\u{2028}", "\u{10FFFF}"]
        var text = ""
        text.unicodeScalars.append(contentsOf: scalars)
        let data = Data("[\(jsonQuoted(text))]".utf8)
        let back = try JSONDecoder().decode([String].self, from: data)
        #expect(back[0].unicodeScalars.elementsEqual(text.unicodeScalars))
    }
}
