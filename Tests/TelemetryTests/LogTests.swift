import Logging
import Support
import Synchronization
import Telemetry
import TestSupport
import Testing

@Suite struct LogTests {
    @Test("lines name the rank and the level")
    func marksRanksAndLevels() {
        func line(_ rank: Int, _ level: Logger.Level) -> String {
            Log.line(rank: rank, level: level, message: "text", metadata: ["b": "2", "a": "x"])
        }
        #expect(line(0, .notice) == "lockstep: text a=x b=2")
        #expect(line(0, .info) == "lockstep: text a=x b=2")
        #expect(line(3, .notice) == "lockstep[rank 3]: text a=x b=2")
        #expect(line(0, .warning) == "lockstep: warning: text a=x b=2")
        #expect(line(12, .error) == "lockstep[rank 12]: error: text a=x b=2")
        #expect(line(0, .debug) == "lockstep: debug: text a=x b=2")
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
            RankLogHandler(rank: 3, level: .info) { lines.add($0) }
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
                "lockstep[rank 3]: seen",
                "lockstep[rank 3]: warning: slow phase=reduce seconds=2",
            ])
    }

    private final class Lines: Sendable {
        private let lines = Mutex<[String]>([])
        func add(_ line: String) { lines.withLock { $0.append(line) } }
        var all: [String] { lines.withLock { $0 } }
    }
}
