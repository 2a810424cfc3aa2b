import Experiments
import Report
import TestSupport
import Testing

/// Tests of the page about branches in a browser.
@Suite struct BrowserTests {
    @Test("every chart is drawn, and no label covers another", arguments: [1300, 400])
    func page(width: Int) throws {
        var planted = PlantedBranches()
        planted.excess = { step, batch in batch == 64 ? .nan : Double(batch) / Double(10 * step) }
        planted.curve = { batch, sequences in
            3 - Double(sequences) / 1000 / (1 + Double(batch) / 20)
        }
        let page = try planted.branches().page
        let visit = try Browser.visit(page.html(vega: VegaLibrary.script()), width: width)
        // The two charts of all checkpoints, and two for each of two checkpoints.
        visit.expectWholePage(charts: 6)
    }
}
