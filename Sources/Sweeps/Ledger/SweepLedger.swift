import Glibc
import Support
import Telemetry

/// What a group is to do next.
package enum Assignment: Sendable, Equatable {
    case train(SweepPoint)
    /// Nothing yet: what others train may ask for more.
    case wait
    /// A group was asked to stop, and so all do.
    case stop
    /// All points have results.
    case done
}

/// A sweep's results and who trains what, in files that groups share under a lock.
///
/// A point's line is written once, when it has ended, and says nothing that depends on where or
/// when it was trained. A claim is a small file that holds its session's name: those of a session
/// that was killed count for nothing.
package struct SweepLedger: Sendable {
    private let folder: SweepFolder
    private let schedule: SweepSchedule
    /// Tells the claims of this start of the sweep from those of others.
    private let session: String

    package init(_ folder: SweepFolder, schedule: SweepSchedule, session: String) {
        self.folder = folder
        self.schedule = schedule
        self.session = session
    }

    /// How far the sweep is.
    package struct Progress: Sendable, Equatable {
        package let done: Int
        /// As far as is known: a grid can grow.
        package let total: Int
    }

    /// How far the sweep is now.
    ///
    /// - Throws: as `results` does.
    package func progress() throws(Failure) -> Progress {
        try locked { () throws(Failure) in schedule.progress(try results()) }
    }

    /// Has every group stop before its next point.
    ///
    /// - Throws: `.inputOutput`.
    package func requestStop() throws(Failure) {
        try AtomicFile.write(session, to: folder.stopRequest)
    }

    /// Takes the next point for a group.
    ///
    /// - Throws: `.inputOutput`; `.badData` where the ledger is damaged.
    package func next() throws(Failure) -> (Assignment, Progress) {
        try locked { () throws(Failure) in
            let results = try self.results()
            let ended = Set(results.map(\.point.name))
            let points = schedule.points(results)
            let open = points.filter { !ended.contains($0.name) }
            let progress = Progress(done: points.count - open.count, total: points.count)
            guard !open.isEmpty else { return (.done, progress) }
            // A request of an earlier start says nothing of this one.
            guard (try? readText(folder.stopRequest)) != session else { return (.stop, progress) }
            let claimed = try claimedNames()
            guard let point = open.first(where: { !claimed.contains($0.name) }) else {
                return (.wait, progress)
            }
            try AtomicFile.write(session, to: claim(of: point))
            return (.train(point), progress)
        }
    }

    /// Writes down how a point ended.
    ///
    /// - Throws: `.inputOutput`.
    package func record(_ result: PointResult, secondsPerStep: Double) throws(Failure) {
        try locked { () throws(Failure) in
            try append(result.line, to: folder.ledger)
            try append(
                ["point": .string(result.point.name), "seconds_per_step": .number(secondsPerStep)],
                to: folder.timings)
        }
        unlink(claim(of: result.point))
    }

    /// All points that have ended, in the order in which they did.
    ///
    /// - Throws: `.badData` naming the line that is damaged; `.inputOutput`.
    package func results() throws(Failure) -> [PointResult] {
        guard FileSystem.exists(folder.ledger) else { return [] }
        var results: [PointResult] = []
        for (index, record) in try MetricsLog.read(folder.ledger).enumerated() {
            guard let result = PointResult(record.fields) else {
                throw Failure(
                    .badData,
                    "line \(index + 1) of \(folder.ledger) is no point's result: remove that line, "
                        + "and the point is trained again.")
            }
            results.append(result)
        }
        return results
    }

    /// Results as the analysis takes them: with the time that their steps took.
    ///
    /// - Throws: `.badData`, `.inputOutput`.
    package func trainedPoints(_ results: [PointResult]) throws(Failure) -> [TrainedPoint] {
        var seconds: [String: Double] = [:]
        if FileSystem.exists(folder.timings) {
            for record in try MetricsLog.read(folder.timings) {
                if let name = record.fields["point"]?.string {
                    seconds[name] = record["seconds_per_step"]
                }
            }
        }
        return results.map {
            $0.trained(secondsPerStep: seconds[$0.point.name] ?? 0)
        }
    }

    private func append(_ line: JSONObject, to path: String) throws(Failure) {
        let log =
            FileSystem.exists(path)
            ? try MetricsLog(resuming: path, after: .max) : try MetricsLog(creating: path)
        if let failure = log.append(line) { throw failure }
        try log.synchronize()
    }

    private func claim(of point: SweepPoint) -> String { "\(folder.claims)/\(point.name)" }

    private func claimedNames() throws(Failure) -> Set<String> {
        var names: Set<String> = []
        for name in try FileSystem.names(in: folder.claims) {
            // A claim may go away between the two looks.
            if (try? readText("\(folder.claims)/\(name)")) == session { names.insert(name) }
        }
        return names
    }

    /// Runs `body` while no other group reads or writes.
    private func locked<Value>(
        _ body: () throws(Failure) -> Value
    ) throws(Failure) -> Value {
        let lock = try FileLock(waitingFor: folder.groupsLock)
        defer { withExtendedLifetime(lock) {} }
        return try body()
    }
}

extension PointResult {
    /// The ledger's line.
    var line: JSONObject {
        [
            "point": .string(point.name), "rule": .string(point.rule),
            "batch": .integer(point.batch), "rate": .number(point.rate),
            "seed": .string(String(point.seed)), "learning_rate": .number(learningRate),
            "diverged": .bool(diverged),
            "curve": .array(
                curve.map {
                    [.integer($0.step), .integer($0.tokens), .number($0.validationLoss)]
                }),
        ]
    }

    /// Reads a ledger's line; nil where it is none.
    init?(_ fields: JSONObject) {
        guard let rule = fields["rule"]?.string,
            let seed = fields["seed"]?.string.flatMap({ UInt64($0) }),
            let batch = fields["batch"]?.number.flatMap(Int.init(exactly:)),
            let rate = fields["rate"]?.number,
            let learningRate = fields["learning_rate"]?.number,
            case .bool(let diverged)? = fields["diverged"],
            case .array(let curveValues)? = fields["curve"]
        else { return nil }
        var curve: [CurvePoint] = []
        for value in curveValues {
            guard case .array(let triple) = value, triple.count == 3,
                let step = triple[0].number.flatMap(Int.init(exactly:)),
                let tokens = triple[1].number.flatMap(Int.init(exactly:)),
                let loss = triple[2].number
            else { return nil }
            curve.append(CurvePoint(step: step, tokens: tokens, validationLoss: loss))
        }
        self.init(
            point: SweepPoint(rule: rule, batch: batch, rate: rate, seed: seed),
            learningRate: learningRate, diverged: diverged, curve: curve)
    }
}
