import Support
import Testing

/// Tests of tables of text.
@Suite struct TextTableTests {
    @Test("a row printed alone has the columns of the whole table if the least widths suffice")
    func rowsAlone() {
        var table = TextTable(["case", "n", "share"], leftColumns: 1, leastWidths: [9])
        let rows = [["a", "1", "0.5"], ["long name", "2", "0.25"]]
        for row in rows { table.add(row) }
        #expect(table.lines == [table.headingLine] + rows.map(table.line))
        #expect(
            table.lines == ["case       n  share", "a          1    0.5", "long name  2   0.25"])
    }

    @Test("a table without least widths is as wide as its cells")
    func widths() {
        var table = TextTable(["a", "b"], leftColumns: 1)
        table.add(["x", "100"])
        #expect(table.lines == ["a    b", "x  100"])
    }
}
