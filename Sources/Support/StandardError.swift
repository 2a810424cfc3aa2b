import Glibc
import Synchronization

/// The state of the last line of a terminal, on which a bar stays while log lines scroll above it.
package struct Screen: Sendable {
    private var bar = ""

    /// Creates the state of a screen without a bar.
    package init() {}

    private static let erase = "\r\u{1B}[K"

    /// Returns the text that replaces the bar with another one.
    package mutating func show(bar: String) -> String {
        let text = (self.bar.isEmpty ? "" : Self.erase) + bar
        self.bar = bar
        return text
    }

    /// Returns the text that adds a line above the bar.
    package func line(_ line: String) -> String {
        bar.isEmpty ? line + "\n" : Self.erase + line + "\n" + bar
    }

    /// Returns the text that ends the bar: a line break if it is kept, or the sequence that erases
    /// it.
    package mutating func end(keepingBar: Bool) -> String {
        defer { bar = "" }
        if bar.isEmpty { return "" }
        return keepingBar ? "\n" : Self.erase
    }
}

/// The standard error of the process. Any thread may write to it; each line and each bar is one
/// write(2).
package final class StandardError: Sendable {
    package static let shared = StandardError()

    private let screen = Mutex(Screen())

    private init() {}

    /// Writes a line, above the bar if there is one.
    package func write(line: String) { screen.withLock { Self.write($0.line(line)) } }

    /// Draws or redraws the bar.
    package func show(bar: String) { screen.withLock { Self.write($0.show(bar: bar)) } }

    /// Ends the bar: erases it, or leaves it as a line.
    package func endBar(keeping: Bool) {
        screen.withLock { Self.write($0.end(keepingBar: keeping)) }
    }

    /// Whether standard error is a terminal.
    package static var isTerminal: Bool { isatty(STDERR_FILENO) == 1 }

    /// The number of columns of the terminal; nil if standard error is not a terminal or the width
    /// is unknown.
    package static var terminalWidth: Int? {
        var size = winsize()
        let isKnown = ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
        return isKnown ? Int(size.ws_col) : nil
    }

    /// Writes as much of the text as possible. A failure is ignored, because it cannot be reported.
    private static func write(_ text: String) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes {
                Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count)
            }
            if written < 0 && errno == EINTR { continue }
            guard written > 0 else { return }
            rest = rest.dropFirst(written)
        }
    }
}
