import Logging
import Support

/// The log messages of the program, which go to standard error.
package enum Log {
    /// Makes every `Logger` write lines in the format of `line`. Call this once, at the start.
    ///
    /// - Parameters:
    ///   - rank: the rank of this process; 0 without mpirun.
    ///   - name: the rank and its host; nil if lines need no name.
    ///   - environment: the variables of the process. `LOCKSTEP_LOG` is the lowest level that is
    ///     shown: trace, debug, info, notice (the default), warning, error or critical.
    /// - Throws: `.configuration` if `LOCKSTEP_LOG` is not a level.
    package static func bootstrap(
        rank: Int, name: String?, environment: [String: String]
    ) throws(Failure) {
        let level = try level(in: environment)
        LoggingSystem.bootstrap { _ in
            RankLogHandler(rank: rank, name: name, level: level) {
                StandardError.shared.write(line: $0)
            }
        }
    }

    /// Returns the lowest level that is shown, according to an environment.
    ///
    /// - Throws: `.configuration` if `LOCKSTEP_LOG` is not a level.
    package static func level(in environment: [String: String]) throws(Failure) -> Logger.Level {
        guard let name = environment["LOCKSTEP_LOG"], !name.isEmpty else { return .notice }
        guard let level = Logger.Level(rawValue: name.lowercased()) else {
            let names = Logger.Level.allCases.map(\.rawValue)
            throw .variable(
                "LOCKSTEP_LOG", name, "is not a log level",
                remedy: spellingRemedy(
                    for: name, among: names,
                    otherwise: "set one of \(names.joined(separator: ", "))"))
        }
        return level
    }

    /// Returns the line of a message, such as `lockstep[rank 3 on node2]: warning: message key=value`.
    ///
    /// Messages of rank 0 that only inform have no name, because they concern the whole job.
    ///
    /// - Parameter name: the rank and its host; nil if lines need no name.
    package static func line(
        rank: Int, name: String?, level: Logger.Level, message: String, metadata: Logger.Metadata
    ) -> String {
        let isNamed = rank > 0 || level >= .warning
        var line = name.flatMap { isNamed ? "lockstep[\($0)]: " : nil } ?? "lockstep: "
        switch level {
        case .info, .notice: break
        default: line += "\(level): "
        }
        line += message
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) { line += " \(key)=\(value)" }
        return line
    }
}

/// A log handler that knows its rank.
package struct RankLogHandler: LogHandler {
    /// The metadata key that holds the rank.
    package static let rankKey = "rank"

    package var metadata: Logger.Metadata
    package var metadataProvider: Logger.MetadataProvider?
    package var logLevel: Logger.Level
    private let rank: Int
    private let name: String?
    private let write: @Sendable (String) -> Void

    /// Creates a handler that labels its lines with the rank and its host.
    ///
    /// - Parameter write: called with each line, without its line break.
    package init(
        rank: Int, name: String?, level: Logger.Level, write: @escaping @Sendable (String) -> Void
    ) {
        metadata = [Self.rankKey: "\(rank)"]
        logLevel = level
        self.rank = rank
        self.name = name
        self.write = write
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var all = metadata
        if let provided = metadataProvider?.get() { all.merge(provided) { $1 } }
        if let own = event.metadata { all.merge(own) { $1 } }
        // The line already begins with the rank.
        all[Self.rankKey] = nil
        write(
            Log.line(
                rank: rank, name: name, level: event.level,
                message: event.message.description, metadata: all))
    }
}
