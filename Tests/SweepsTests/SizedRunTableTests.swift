import Foundation
import Support
import Sweeps
import TestSupport
import Testing
import Verdicts

/// Tests of a table of runs of several models.
@Suite struct SizedRunTableTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func table(_ rows: [String]) throws -> RunTable {
        try RunTable(
            reading: folder.write("runs.csv", rows.joined(separator: "\n")), contextLength: nil)
    }

    private func sizes(_ rows: [String]) throws -> SizeFindings {
        guard case .sizes(let sizes) = try table(rows).findings(RunTableRequest()).result else {
            throw OneModel()
        }
        return sizes
    }

    private struct OneModel: Error {}

    /// Returns a row for each run of three sizes, at two batches, whose best rates are proportional to
    /// N^-0.5.
    ///
    /// - Parameter leastLoss: the loss at the best rate.
    private static func sizedRows(
        leastLoss: Double = 2, _ mark: (_ parameters: Int, _ batch: Int) -> String
    ) -> [String] {
        var noise = SeededNoise(seed: 3)
        var rows: [String] = []
        for (width, parameters) in [(32, 10_000), (64, 40_000), (128, 160_000)] {
            for batch in [8, 16] {
                for place in 0..<9 {
                    for seed in 0..<3 {
                        let rate = 2.5e-4 * pow(2, Double(place))
                        let best = 8e-3 / (Double(parameters) / 10_000).squareRoot()
                        let loss =
                            leastLoss + 0.1 * pow(log(rate / best), 2) + 0.004 * noise.normal()
                        rows.append(
                            "\(width),2,\(parameters),\(batch),\(rate),\(seed),"
                                + "\(mark(parameters, batch)),\(loss)")
                    }
                }
            }
        }
        return rows
    }

    @Test("runs of several models show how far the smallest model's rate transfers")
    func severalModels() throws {
        let header = "width,layers,parameters,batch,lr,seed,step,tokens,loss"
        let sizes = try sizes(
            [header] + Self.sizedRows { _, batch in "\(6400 / batch),\(6400 * 64)" })
        // The only evaluation of a run of batch 8 comes after the last step of batch 16.
        #expect(sizes.transfers.map(\.batch) == [8, 16])
        for transfer in sizes.transfers {
            #expect(transfer.comparison == "equal tokens (409,600)")
            let analysis = transfer.analysis
            #expect(analysis.models.map(\.name) == ["width 32", "width 64", "width 128"])
            #expect(analysis.verdict.failsFrom == 40_000, "\(analysis.sentence)")
            let exponent = try #require(analysis.exponent.exponent)
            #expect(abs(exponent.value + 0.5) < 0.05)
        }
        #expect(sizes.models.map(\.name) == ["width 32", "width 64", "width 128"])
        #expect(sizes.json(notes: []).text.contains("\"parametrization\":\"\""))
    }

    @Test(
        "models are named by the dimensions that the file has, if these distinguish them",
        arguments: [
            ("width,depth", ["width 32", "width 64", "width 128"]),
            ("size,layers", ["10,000 parameters", "40,000 parameters", "160,000 parameters"]),
            ("size,depth", ["10,000 parameters", "40,000 parameters", "160,000 parameters"]),
        ])
    func names(columns: String, names: [String]) throws {
        let rows = Self.sizedRows { _, batch in "\(6400 / batch),\(6400 * 64)" }
        let sizes = try sizes(["\(columns),parameters,batch,lr,seed,step,tokens,loss"] + rows)
        #expect(sizes.transfers[0].analysis.models.map(\.name) == names)
    }

    @Test("models whose runs end at different marks are compared at their own")
    func marksOfEachModel() throws {
        let header = "width,layers,parameters,batch,lr,seed,tokens,loss"
        let sizes = try sizes([header] + Self.sizedRows { parameters, _ in "\(20 * parameters)" })
        #expect(
            sizes.transfers.map(\.comparison)
                == Array(repeating: "the tokens that each model's runs reach", count: 2))
        // The tokens are proportional to the parameters.
        let fit = try #require(sizes.fits.first?.fit)
        #expect(fit.exponents.map(\.variable) == [.parameters, .batch])
    }

    @Test("the order of rows does not matter, even if the first run diverged")
    func orderOfRows() throws {
        let header = "width,layers,parameters,batch,lr,seed,step,tokens,loss"
        let rows = Self.sizedRows { _, batch in "\(6400 / batch),\(6400 * 64)" }
        let diverged = "32,2,10000,16,1,0,,,"
        let first = try sizes([header, diverged] + rows)
        let last = try sizes([header] + rows + [diverged])
        #expect(first.fits.map(\.fit) == last.fits.map(\.fit))
        #expect(first.transfers.map(\.sentence) == last.transfers.map(\.sentence))
    }

    @Test("models without anything to compare are refused")
    func nothingToCompare() throws {
        let mixed = [
            "parameters,batch,lr,step,tokens,loss", "100,8,1e-3,10,,3", "200,8,1e-3,,80,3",
        ]
        expectFailure(.badData, "runs.csv: ") {
            _ = try table(mixed).findings(RunTableRequest())
        }
        let alone = [
            "parametrization,parameters,batch,lr,step,loss", "a,100,8,1e-3,10,3",
            "b,200,8,1e-3,10,3",
        ]
        expectFailure(.badData, "runs.csv: has nothing to compare, because each") {
            _ = try table(alone).findings(RunTableRequest())
        }
    }

    @Test("models that share no batch have a sentence that names the runs to add")
    func noSharedBatch() throws {
        func rows(_ models: [(name: String, batches: [Int])]) -> [String] {
            let rows = models.flatMap { name, batches in
                batches.flatMap { batch in
                    (0..<5).map { place in
                        let distance = Double(place - 2)
                        return "\(name),\(batch),\(1e-3 * pow(2, Double(place))),"
                            + "\(6400 / batch),\(6400 * 64),\(3 + 0.01 * distance * distance)"
                    }
                }
            }
            return ["parametrization,width,parameters,batch,lr,step,tokens,loss"] + rows
        }
        let none = try sizes(rows([("standard,32,100", [8]), ("standard,64,400", [16])]))
        #expect(none.transfers.isEmpty)
        #expect(
            none.gaps == [
                "With the standard parametrization, there is no verdict on transfer, because models "
                    + "are compared at one batch and width 32 has batch 8 and width 64 has batch 16; "
                    + "train width 64 at batch 8, too, with rates from 1.0e-03 to 1.6e-02."
            ])
        #expect(none.text.contains(none.gaps[0]))
        let one = try sizes(
            rows([
                ("standard,32,100", [8, 16]), ("standard,64,400", [8, 16]),
                ("standard,128,1600", [32]), ("mup,64,400", [8]),
            ]))
        try #require(one.gaps.count == 2, "\(one.gaps)")
        #expect(
            one.gaps[0].contains(
                "width 128 is in no verdict on transfer, because models are compared at one batch "
                    + "and width 128 has batch 32; train width 128 at batch 8, too, with rates"))
        #expect(one.gaps[1].hasPrefix("With muP, width 64 is the only model, so there is no"))
        let whole = try sizes(rows([("standard,32,100", [8]), ("standard,64,400", [8])]))
        #expect(whole.gaps.isEmpty && whole.transfers.count == 1)
    }

    @Test("a page begins with the answer, then has a section for each batch, then the limits")
    func page() throws {
        let header = "width,layers,parameters,batch,lr,seed,step,tokens,loss"
        let rows = Self.sizedRows { _, batch in "\(6400 / batch),\(6400 * 64)" }
        let page = try table([header] + rows).report(RunTableRequest())
        #expect(
            page.sections.map(\.title) == [
                "Answer", "Transfer at batch 8, by equal tokens (409,600)",
                "Transfer at batch 16, by equal tokens (409,600)", "Joint fits", "Limits",
            ])
        guard case .verdict(let answer)? = page.sections[0].items.first else {
            throw OneModel()
        }
        #expect(page.sections[0].items.count == 1)
        #expect(answer.kind == .fails)
        #expect(answer.headline == "The best rate of width 32 is too high from width 64.")
        #expect(
            answer.text.contains(
                "Each time the number of parameters doubles, the best rate changes by a factor of 0.7"
            ),
            "\(answer.text)")
    }

    @Test("comparisons with the same numbers are shown once, and only the first is in the fit")
    func sameComparisons() throws {
        // All runs end after the same tokens, and those of the largest batch after the fewest steps.
        let header = "width,layers,parameters,batch,lr,seed,step,tokens,loss"
        let rows =
            Self.sizedRows { _, batch in "\(6400 / batch),\(6400 * 64)" }
            + Self.sizedRows(leastLoss: 2.2) { _, batch in "\(1600 / batch),\(1600 * 64)" }
        let sizes = try sizes([header] + rows)
        let twice = sizes.transfers.filter { $0.batch == 16 }
        #expect(twice.map(\.comparison) == ["equal tokens (409,600)", "equal steps (400)"])
        #expect(twice.map(\.repeats) == [nil, "equal tokens (409,600)"])
        #expect(sizes.distinctTransfers.count == 3)
        let sentence = "at batch 16, by equal tokens (409,600) and equal steps (400): "
        #expect(sizes.text.components(separatedBy: sentence).count == 2, "\(sizes.text)")
        #expect(try #require(sizes.fits.first?.fit).count == 9)
        let json = sizes.json(notes: []).text
        #expect(json.contains("\"repeats\":\"equal tokens (409,600)\""))
    }

    @Test("models of several parametrizations have one form of name")
    func oneFormOfNames() throws {
        let header = "parametrization,width,layers,parameters,batch,lr,seed,step,tokens,loss"
        let rows = Self.sizedRows { _, batch in "\(6400 / batch),\(6400 * 64)" }
        let both = ["standard", "mup"].flatMap { name in rows.map { "\(name),\($0)" } }
        let sizes = try sizes([header] + both)
        #expect(
            sizes.models.map(\.name) == [
                "width 32 (standard)", "width 64 (standard)", "width 128 (standard)",
                "width 32 (muP)", "width 64 (muP)", "width 128 (muP)",
            ])
        #expect(sizes.text.contains("\nOver the batches of width 32 (muP):\n"))
    }
}
