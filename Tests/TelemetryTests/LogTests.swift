import Logging
import Support
import Synchronization
import Telemetry
import TestSupport
import Testing

@Suite struct LogTests {
    @Test("lines name the rank, the host and the level")
    func linesNameRanksHostsAndLevels() {
        func line(_ rank: Int, _ name: String?, _ level: Logger.Level) -> String {
            Log.line(
                rank: rank, name: name, level: level, message: "text",
                metadata: ["b": "2", "a": "x"])
        }
        #expect(line(0, nil, .notice) == "lockstep: text a=x b=2")
        #expect(line(0, nil, .warning) == "lockstep: warning: text a=x b=2")
        #expect(line(0, nil, .debug) == "lockstep: debug: text a=x b=2")
        #expect(line(3, "rank 3 on b", .info) == "lockstep[rank 3 on b]: text a=x b=2")
        #expect(line(12, "rank 12 on c", .error) == "lockstep[rank 12 on c]: error: text a=x b=2")
        // On several hosts, rank 0 has a name too, which its announcements do not need.
        #expect(line(0, "rank 0 on a", .notice) == "lockstep: text a=x b=2")
        #expect(line(0, "rank 0 on a", .warning) == "lockstep[rank 0 on a]: warning: text a=x b=2")
    }

    @Test("the environment sets the level")
    func readsTheLevelFromTheEnvironment() throws {
        #expect(try Log.level(in: [:]) == .notice)
        #expect(try Log.level(in: ["LOCKSTEP_LOG": ""]) == .notice)
        for level in Logger.Level.allCases {
            #expect(try Log.level(in: ["LOCKSTEP_LOG": level.rawValue]) == level)
            #expect(try Log.level(in: ["LOCKSTEP_LOG": level.rawValue.uppercased()]) == level)
        }
        let failure = caughtFailure { () throws(Failure) in
            _ = try Log.level(in: ["LOCKSTEP_LOG": "debgu"])
        }
        #expect(failure?.code == .configuration)
        #expect(failure?.sentence.hasSuffix("is not a log level; did you mean \"debug\"?") == true)
    }

    @Test("a logger writes its lines")
    func aLoggerWritesItsLines() {
        let lines = Lines()
        var logger = Logger(label: "test") { _ in
            RankLogHandler(rank: 3, name: "rank 3 on node2", level: .info) { lines.add($0) }
        }
        #expect(logger[metadataKey: "rank"] == "3")
        logger.debug("unseen")
        logger.info("seen")
        logger[metadataKey: "phase"] = "reduce"
        logger.warning("slow", metadata: ["seconds": "2"])
        logger.logLevel = .error
        logger.warning("unseen")
        #expect(
            lines.all == [
                "lockstep[rank 3 on node2]: seen",
                "lockstep[rank 3 on node2]: warning: slow phase=reduce seconds=2",
            ])
    }

    private final class Lines: Sendable {
        private let lines = Mutex<[String]>([])
        func add(_ line: String) { lines.withLock { $0.append(line) } }
        var all: [String] { lines.withLock { $0 } }
    }
}
