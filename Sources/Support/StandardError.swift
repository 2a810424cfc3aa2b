import Glibc
import Synchronization

/// What a terminal's last line shows, and the text that changes it: log lines scroll by above a
/// bar.
package struct Screen: Sendable {
    private var bar = ""

    package init() {}

    private static let erase = "\r\u{1B}[K"

    /// The text that shows a bar in the place of the one before.
    package mutating func show(bar: String) -> String {
        let text = (self.bar.isEmpty ? "" : Self.erase) + bar
        self.bar = bar
        return text
    }

    /// The text that adds a line above the bar.
    package func line(_ line: String) -> String {
        bar.isEmpty ? line + "\n" : Self.erase + line + "\n" + bar
    }

    /// The text that leaves the bar as it is and goes on below it, or that erases it.
    package mutating func end(keepingBar: Bool) -> String {
        defer { bar = "" }
        if bar.isEmpty { return "" }
        return keepingBar ? "\n" : Self.erase
    }
}

/// The process's standard error: each line and each bar is one write(2), from any thread.
package final class StandardError: Sendable {
    package static let shared = StandardError()

    private let screen = Mutex(Screen())

    private init() {}

    /// Writes a line, above the bar if there is one.
    package func write(line: String) { screen.withLock { Self.write($0.line(line)) } }

    /// Draws a bar, or draws it anew.
    package func show(bar: String) { screen.withLock { Self.write($0.show(bar: bar)) } }

    /// Ends the bar: erases it, or leaves it as a line.
    package func endBar(keeping: Bool) {
        screen.withLock { Self.write($0.end(keepingBar: keeping)) }
    }

    /// Whether it is a terminal.
    package static var isTerminal: Bool { isatty(STDERR_FILENO) == 1 }

    /// The terminal's columns, or nil where it is none or does not know.
    package static var terminalWidth: Int? {
        var size = winsize()
        guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else {
            return nil
        }
        return Int(size.ws_col)
    }

    /// Writes everything it can; there is nowhere to report a failure to.
    private static func write(_ text: String) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { writeToStandardError($0) }
            if written < 0 && errno == EINTR { continue }
            guard written > 0 else { return }
            rest = rest.dropFirst(written)
        }
    }
}

// The system call that shares its name with methods here.
private func writeToStandardError(_ bytes: UnsafeRawBufferPointer) -> Int {
    write(STDERR_FILENO, bytes.baseAddress, bytes.count)
}
