/// The state of a terminal on which some lines are redrawn in place.
package struct WatchScreen: Sendable {
    private var shown = 0
    private var columns = 0

    package init() {}

    /// Returns the text that replaces the lines on the screen. Write it with one call, so that the
    /// screen does not flicker.
    ///
    /// - Parameters:
    ///   - columns: the width of the terminal. If it changes, the screen is cleared, because the
    ///     terminal may have wrapped the lines.
    ///   - rows: the height of the terminal; lines that do not fit are left out.
    package mutating func show(_ lines: [String], columns: Int, rows: Int) -> String {
        var text = ""
        if shown > 0 {
            text = columns == self.columns ? "\u{1B}[\(shown)A\r" : "\u{1B}[H\u{1B}[2J"
        }
        // The cursor stays below the lines.
        let fitting = lines.prefix(max(1, rows - 1))
        for line in fitting { text += line + "\u{1B}[K\n" }
        shown = fitting.count
        self.columns = columns
        return text + "\u{1B}[J"
    }
}
