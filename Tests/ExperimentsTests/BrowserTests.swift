import Experiments
import Report
import TestSupport
import Testing

/// Tests of the page about branches in a browser.
@Suite("A page about branches in a browser")
struct BrowserTests {
    @Test("every chart is drawn, and no label covers another", arguments: [1300, 400])
    func page(width: Int) throws {
        var planted = PlantedBranches()
        planted.excess = { step, batch in batch == 64 ? .nan : Double(batch) / Double(10 * step) }
        planted.curve = { batch, sequences in
            3 - Double(sequences) / 1000 / (1 + Double(batch) / 20)
        }
        let page = try planted.branches().page
        let visit = try Browser.visit(page.html(vega: VegaLibrary.script()), width: width)
        #expect(visit.console == [])
        // The two charts of all checkpoints, and two for each of two checkpoints.
        #expect(visit.recorded("charts") == "ok 6")
        #expect(visit.recorded("overflow") == "0")
        #expect(visit.recorded("wide") == "0")
        if width > 1000 { #expect(visit.recorded("clipped") == "0") }
        #expect(visit.recorded("torn") == "0")
        let covered = try #require(visit.recorded("covered")).split(separator: " ")
        #expect(covered.allSatisfy { $0 == "0" }, "\(covered)")
    }
}
