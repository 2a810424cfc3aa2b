import Support
import Sweeps
import TestSupport
import Testing
import Verdicts

/// Tests of the spellings of a table of runs: delimiters, numbers, missing values and column names.
@Suite struct RunTableFormatTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func table(_ text: String) throws -> RunTable {
        try RunTable(reading: folder.write("runs.csv", text))
    }

    private func findings(_ text: String) throws -> RunTableFindings {
        try table(text).findings(RunTableRequest())
    }

    private static let header = ["batch", "lr", "seed", "step", "tokens", "val_loss"]

    /// The fields of three runs of batch 8 and three of batch 16.
    private static let rows = [8, 16].flatMap { batch in
        [1e-3, 2e-3, 4e-3].map { rate in
            ["\(batch)", "\(rate)", "1", "1000", "\(batch * 64000)", "\(3 + rate)"]
        }
    }

    private static func text(_ rows: [[String]], delimiter: String = ",") -> String {
        ([header] + rows).map { $0.joined(separator: delimiter) }.joined(separator: "\n")
    }

    @Test("semicolons, tabs and decimal commas give the runs of the same file with commas")
    func delimiters() throws {
        let expected = try table(Self.text(Self.rows)).points
        #expect(expected.count == 6 && expected[1].learningRate == 2e-3)
        let decimalCommas = Self.rows.map { $0.map { $0.replacing(".", with: ",") } }
        let quoted = Self.rows.map { $0.map { "\"\($0)\"" } }
        for text in [
            Self.text(Self.rows, delimiter: ";"), Self.text(decimalCommas, delimiter: ";"),
            Self.text(Self.rows, delimiter: "\t"), Self.text(quoted, delimiter: ";"),
            Self.text(quoted, delimiter: "\t"),
        ] { #expect(try table(text).points == expected, "\(text)") }
        // Without semicolons, a comma may separate thousands or decimals.
        let tabs = Self.text(decimalCommas, delimiter: "\t")
        expectFailure(.badData, "lr = \"0,001\": is not a number, because it has a comma") {
            _ = try table(tabs)
        }
    }

    @Test("a missing value is a diverged run's loss and otherwise an empty field")
    func missingValues() throws {
        for missing in ["null", "NA", "N/A", "None", "-", "nan", ""] {
            let header = "batch,lr,seed,diverged,noise_scale,step,tokens,val_loss\n"
            let empty = missing == "nan" ? "" : missing
            let points = try table(
                header + "8,1e-3,\(empty),,\(empty),9,\(empty),3\n"
                    + "8,2e-3,1,\(empty),,,,\(missing)"
            ).points
            #expect(points.map(\.diverged) == [false, true], "\(missing)")
            #expect(points.map(\.seed) == [0, 1] && points[0].noiseScale == nil)
            #expect(points[0].curve == [CurvePoint(step: 9, tokens: 9, validationLoss: 3)])
        }
        expectFailure(.badData, "line 2: batch: is empty") {
            _ = try table("batch,lr,step,loss\nNA,1,1,3")
        }
        // A rule is named "none".
        let rules = try table("rule,batch,lr,step,loss\nNone,8,1,1,3\nnone,8,1,1,3\nNA,8,2,1,3")
        #expect(rules.points.map(\.rule) == ["grid", "none", "grid"])
    }

    @Test("only whole numbers in quotes may have separators of thousands, and none has a suffix")
    func thousands() throws {
        let table = try table("batch,lr,step,tokens,loss\n8,1,\"12,345\",\"1,048,576\",3")
        #expect(
            table.points[0].curve == [
                CurvePoint(step: 12_345, tokens: 1_048_576, validationLoss: 3)
            ])
        let refused: [(row: String, says: String)] = [
            ("8,1,\"1,0485\",3", "tokens = \"1,0485\": is not a number, because it has a comma"),
            ("8,1,\"0,123\",3", "because it has a comma"),
            ("8,1,9,\"3,412\"", "loss = \"3,412\": is not a number, because it has a comma"),
            ("8,1,1M,3", "tokens = \"1M\": has a suffix, which may stand for"),
            ("8,1,64k,3", "write the number in full"),
            ("8,1,9,diverged", "or nan if the run diverged"),
        ]
        for (row, says) in refused {
            expectFailure(.badData, "line 2: ", says) {
                _ = try self.table("batch,lr,tokens,loss\n" + row)
            }
        }
        // With semicolons, the comma is a decimal comma.
        expectFailure(.badData, "tokens = \"1,048\": must be a whole number") {
            _ = try self.table("batch;lr;tokens;loss\n8;1;1,048;3")
        }
    }

    @Test("a tracker's prefixes and step are understood, and must leave one column")
    func trackers() throws {
        for (header, prefix) in [
            ("Name,config.batch_size,config.lr,config.seed,_step,val/loss", "config."),
            ("Name,config/batch_size,config/lr,config/seed,_step,eval/loss", "config/"),
            ("Name,params.batch_size,params.lr,params.seed,_step,metrics.val_loss", "params."),
        ] {
            let point = try table(header + "\na,8,1e-3,4,100,3").points[0]
            #expect(point.batch == 8 && point.learningRate == 1e-3 && point.seed == 4, "\(prefix)")
            #expect(point.curve.map(\.validationLoss) == [3])
        }
        expectFailure(.badData, "line 1: lr and config.lr could each be the column") {
            _ = try table("batch,lr,config.lr,step,loss\n8,1,1,1,3")
        }
    }

    @Test("of several columns that could be meant, one must be chosen")
    func synonyms() throws {
        let text = "batch,lr,learning_rate,step,loss,val_loss\n8,1e-3,2e-3,10,3,4"
        func path() throws -> String { try folder.write("runs.csv", text) }
        expectFailure(
            .badData,
            "line 1: lr and learning_rate could each be the column learning_rate; choose one, as "
                + "with --column lr, or remove the others."
        ) { _ = try RunTable(reading: path()) }
        // Next to a validation loss, "loss" is the training loss.
        for (titles, rate, loss) in [
            (["lr"], 1e-3, 4.0), (["lr", "val_loss"], 1e-3, 4.0),
            (["learning_rate", "loss"], 2e-3, 3.0),
        ] {
            let point = try #require(
                try RunTable(reading: path(), choosing: titles).points.first)
            #expect(point.learningRate == rate && point.curve.map(\.validationLoss) == [loss])
        }
        expectFailure(.badData, "lr and learning_rate could each be") {
            _ = try RunTable(reading: path(), choosing: ["lr", "learning_rate", "loss"])
        }
        let two = try folder.write(
            "two.csv", "batch,lr,step,val_loss,eval_loss\n8,1e-3,10,3,4")
        expectFailure(.badData, "val_loss and eval_loss could each be the column validation_loss") {
            _ = try RunTable(reading: two)
        }
        expectFailure(
            .badData,
            "the column val_loss has no losses; fill it in, or give --column loss to judge the "
                + "losses of that column."
        ) { _ = try table("batch,lr,step,loss,val_loss\n8,1e-3,10,3,\n8,2e-3,10,3.1,nan") }
        expectFailure(.usage, "--column accuracy: is not a column of") {
            _ = try RunTable(reading: path(), choosing: ["accuracy"])
        }
        expectFailure(.badData, "line 1: has two columns lr; rename one of them.") {
            _ = try table("batch,lr,lr,step,loss\n8,1,1,1,3")
        }
    }

    @Test("the log of runs whose rates change is not read as a run per row")
    func changingRates() throws {
        func text(_ rate: (Int) -> String) -> String {
            let rows = [8, 16].flatMap { batch in
                (1...9).map { "\(batch),\(rate($0)),1,\(100 * $0),3.\(9 - $0)" }
            }
            return (["batch,lr,seed,step,val_loss"] + rows).joined(separator: "\n")
        }
        expectFailure(
            .badData,
            "line 3: has another rate than line 2 at another step of batch 8 and seed 1, and so on, as "
                + "in the log of a run whose rate changes; write the peak rate of a run into all of "
                + "its rows."
        ) { _ = try table(text { "\(1e-3 / Double($0))" }) }
        let constant = try table(text { _ in "1e-3" })
        #expect(constant.points.map(\.curve.count) == [9, 9])
        // Runs of several rates end after nearly the same step.
        let runs = (0..<9).map { "8,\(1e-4 * Double(1 << $0)),1,\(1000 + $0),3" }
        let ends = try table((["batch,lr,seed,step,val_loss"] + runs).joined(separator: "\n"))
        #expect(ends.points.count == 9)
    }

    @Test("equal losses with all seeds count as copies of one run, not as runs without noise")
    func copiedSeeds() throws {
        func findings(_ change: (UInt64) -> Double) throws -> RunTableFindings {
            let rows = [8, 16].flatMap { batch in
                (0..<7).flatMap { place in
                    (UInt64(1)...3).map { seed in
                        let distance = Double(place - 3)
                        let loss = 3 + 0.01 * distance * distance + change(seed)
                        return "\(batch),\(1e-3 * Double(1 << place)),\(seed),100,\(loss)"
                    }
                }
            }
            return try self.findings(
                (["batch,lr,seed,step,val_loss"] + rows).joined(separator: "\n"))
        }
        let copied = try findings { _ in 0 }
        #expect(copied.notes.contains { $0.hasPrefix("The seeds had no effect") })
        let one = try self.findings(
            (["batch,lr,seed,step,val_loss"]
                + [8, 16].flatMap { batch in
                    (0..<7).map { place in
                        let distance = Double(place - 3)
                        return "\(batch),\(1e-3 * Double(1 << place)),1,100,"
                            + "\(3 + 0.01 * distance * distance)"
                    }
                }).joined(separator: "\n"))
        guard case .batches(let ofCopies) = copied.result, case .batches(let ofOne) = one.result
        else {
            Issue.record("the runs have one model")
            return
        }
        #expect(ofCopies == ofOne)
        let different = try findings { 0.001 * Double($0) }
        #expect(!different.notes.contains { $0.hasPrefix("The seeds had no effect") })
    }

    @Test("UTF-16 is named, with or without the mark at its start")
    func encodings() throws {
        let text = Self.text(Self.rows).utf16.flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }
        for bytes in [[0xFF, 0xFE] + text, text] {
            let path = try folder.write("utf16.csv", bytes)
            expectFailure(.badData, "is UTF-16 text; save it as UTF-8.") {
                _ = try RunTable(reading: path)
            }
        }
        let path = try folder.write("latin1.csv", Array("batch,lr\n".utf8) + [0xE9])
        expectFailure(.badData, "is not valid UTF-8; save it as text in UTF-8.") {
            _ = try RunTable(reading: path)
        }
    }

    @Test("a column named loss is said to count as the validation loss")
    func lossColumn() throws {
        let note = "is read as the validation loss"
        let text = Self.text(Self.rows)
        #expect(!(try findings(text).text.contains(note)))
        let plain = text.replacing("val_loss", with: "Loss")
        #expect(try findings(plain).notes[0].hasPrefix("The column Loss \(note)."))
    }

    @Test("settings that the analysis does not read are named if they vary between repeated runs")
    func unreadSettings() throws {
        func text(_ columns: String, _ fields: (Int, [String]) -> String) -> String {
            let rows = (1...4).flatMap { seed in
                Self.rows.map { [$0[0], $0[1], "\(seed)"] + $0.suffix(3) }
            }
            let lines = rows.enumerated().map { index, row in
                "\(fields(index, row)),\(row.joined(separator: ","))"
            }
            return ([columns + "," + Self.header.joined(separator: ",")] + lines)
                .joined(separator: "\n")
        }
        let mixed = text("optimizer,weight_decay") { _, row in
            ["2", "4"].contains(row[2]) ? "sgd,0" : "adamw,0.1"
        }
        let note = "differ in the columns optimizer and weight_decay, which the analysis does not"
        #expect(try findings(mixed).notes.contains { $0.contains(note) })
        // Names of single runs, metrics, and settings that follow the batch or the rate are no
        // difference between repeated runs.
        let usual = text("name,id,gpu,train_loss,accuracy_5,speed,warmup,min_lr") { index, row in
            "a\(index % 2),\(index % 3),\(index % 2),\(index % 5),\(index % 4),\(index),"
                + "\(row[0]),\(row[1])0"
        }
        #expect(!(try findings(usual).text.contains("differ in the column")))
    }

    @Test("repeated runs need seeds, or a file for each value of the setting in which they differ")
    func repetitions() throws {
        let row = "8,1e-3,100,3"
        expectFailure(
            .badData,
            "line 3: evaluates a run after 100 steps, but line 2 does too; correct one of",
            "them, or add a column seed."
        ) { _ = try table("batch,lr,step,val_loss\n\(row)\n\(row)") }
        let rows = [row, row].map { "adamw,1,\($0)" } + [row, row].map { "sgd,1,\($0)" }
        let pairs = [
            rows[0], rows[2], rows[1].replacing("8,", with: "16,"),
            rows[3].replacing("8,", with: "16,"),
        ]
        expectFailure(
            .badData, "analyze the rows of each optimizer alone, or give them different seeds."
        ) {
            _ = try table("optimizer,seed,batch,lr,step,val_loss\n" + pairs.joined(separator: "\n"))
        }
    }
}
