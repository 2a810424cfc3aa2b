import Statistics
import Support
import Telemetry
import Verdicts

/// The next task of a group.
package enum Assignment: Sendable, Equatable {
    case train(SweepPoint)
    /// Wait, because the results of points in training may add further points.
    case wait
    /// Stop, because one of the groups was asked to stop.
    case stop
    /// End, because all points have results.
    case done
}

/// The results of a sweep and the groups' claims to points, in files that the groups share under a
/// lock.
///
/// A point's line is written once, when the point has ended, and contains nothing that depends on
/// where or when the point was trained. A claim is a small file that holds the name of its session.
/// The claims of a session that was killed are ignored.
package struct SweepLedger: Sendable {
    private let folder: SweepFolder
    private let schedule: SweepSchedule
    /// The name of this start of the sweep, which distinguishes its claims from those of other
    /// starts.
    private let session: String
    /// The plan of a planned sweep; nil for a grid.
    private let plan: SweepPlan?
    /// The budget of a planned sweep; nil for no limit.
    private let budget: SweepBudget?
    private let start = MonotonicClock.nanoseconds
    /// The number of runs that had ended when this start of the sweep began.
    private let before: Int
    /// The number of groups of this start of the sweep; nil if it trains nothing.
    private let groups: Int?
    /// The digest of the trained model from which every run starts; nil for new parameters.
    private let initialModel: String?

    package init(
        _ folder: SweepFolder, schedule: SweepSchedule, session: String, plan: SweepPlan? = nil,
        budget: SweepBudget? = nil, groups: Int? = nil, initialModel: String? = nil
    ) {
        self.folder = folder
        self.schedule = schedule
        self.session = session
        self.plan = plan
        self.budget = budget
        self.groups = groups
        self.initialModel = initialModel
        before = plan == nil ? 0 : (try? MetricsLog.read(folder.ledger).count) ?? 0
    }

    /// The progress of the sweep.
    package struct Progress: Sendable, Equatable {
        package let done: Int
        /// The number of points known so far; a grid can grow.
        package let total: Int
    }

    /// Returns the current progress of the sweep.
    ///
    /// - Throws: the failures of `results`.
    package func progress() throws(Failure) -> Progress {
        try locked { () throws(Failure) in
            let results = try results()
            return try plan.map { (plan) throws(Failure) in
                progress(try plan.points(), results)
            } ?? schedule.progress(results)
        }
    }

    /// Asks every group to stop before its next point.
    ///
    /// - Throws: `Failure` (I/O) if the request cannot be written.
    package func requestStop() throws(Failure) {
        // Several ranks may ask at the same time.
        try locked { () throws(Failure) in try AtomicFile.write(session, to: folder.stopRequest) }
    }

    /// Claims the next point for a group.
    ///
    /// - Throws: `Failure` (I/O) if a file cannot be read or written; (bad data) if the ledger is
    ///   damaged.
    package func next() throws(Failure) -> (Assignment, Progress) {
        try locked { () throws(Failure) in
            let results = try self.results()
            let ended = Set(results.map(\.point.name))
            var points = try plan?.points() ?? schedule.points(results)
            if let plan, points.allSatisfy({ ended.contains($0.name) }),
                case .runs(let round) = plan.next(results)
            {
                points += try plan.append(round)
            }
            let open = points.filter { !ended.contains($0.name) }
            let progress =
                plan == nil
                ? Progress(done: points.count - open.count, total: points.count)
                : progress(points, results)
            guard !open.isEmpty else { return (.done, progress) }
            // A request by an earlier start does not apply to this one.
            guard (try? readText(folder.stopRequest)) != session else { return (.stop, progress) }
            let claimed = try claimedNames()
            guard let point = open.first(where: { !claimed.contains($0.name) }) else {
                return (.wait, progress)
            }
            if let budget {
                let begun = results.map(\.point) + open.filter { claimed.contains($0.name) }
                guard try affords(point, budget, begun: begun, ended: results) else {
                    return (.done, progress)
                }
            }
            try AtomicFile.write(session, to: claim(of: point))
            return (.train(point), progress)
        }
    }

    /// Returns whether the budget allows a point in addition to those that have begun.
    private func affords(
        _ point: SweepPoint, _ budget: SweepBudget, begun: [SweepPoint],
        ended results: [PointResult]
    ) throws(Failure) -> Bool {
        switch budget {
        case .runs(let count): return begun.count < count
        case .tokens(let count):
            let tokens = (begun + [point]).reduce(0) { $0 + schedule.tokens(ofBatch: $1.batch) }
            return tokens <= Double(count)
        case .seconds(let seconds):
            let own = try durations(results).seconds(ofBatch: point.batch)
            return elapsed + (own ?? 0) <= seconds
        }
    }

    private var elapsed: Double { Double(MonotonicClock.nanoseconds - start) * 1e-9 }

    /// Returns the progress of a planned sweep. The total is the number of runs that the budget
    /// allows, estimated unless it is in runs; without a budget, it is the number of planned runs.
    private func progress(_ points: [SweepPoint], _ results: [PointResult]) -> Progress {
        let planned = Set(points.map(\.name)).union(results.map(\.point.name)).count
        let done = results.count
        let total =
            switch budget {
            case .runs(let count): count
            case .tokens(let count): Int(Double(count) / schedule.meanTokens)
            case .seconds(let seconds):
                before + Int(Double(done - before) * seconds / max(elapsed, 1))
            case nil: planned
            }
        return Progress(done: done, total: max(done, total))
    }

    /// Records the result of a point and releases its claim.
    ///
    /// - Parameter seconds: the duration of the run with its evaluations; nil if only a part of it
    ///   was measured.
    /// - Throws: `Failure` (I/O) if the ledger cannot be written.
    package func record(
        _ result: PointResult, secondsPerStep: Double, seconds: Double? = nil
    ) throws(Failure) {
        var timing: JSONObject = [
            "point": .string(result.point.name), "seconds_per_step": .number(secondsPerStep),
        ]
        if let seconds { timing["seconds"] = .number(seconds) }
        if let groups { timing["groups"] = .integer(groups) }
        var line = result.line
        if let initialModel { line["initial_model"] = .string(initialModel) }
        try locked { () throws(Failure) in
            try MetricsLog.append(line, to: folder.ledger)
            try MetricsLog.append(timing, to: folder.timings)
        }
        FileSystem.removeIfPossible(claim(of: result.point))
    }

    /// Returns the results of all points that have ended, in the order in which they ended.
    ///
    /// - Throws: `Failure` (bad data) that names the damaged line; (I/O) if the ledger cannot be
    ///   read.
    package func results() throws(Failure) -> [PointResult] {
        guard FileSystem.exists(folder.ledger) else { return [] }
        return try MetricsLog.read(folder.ledger).enumerated().map {
            (index, record) throws(Failure) in
            if let result = try? PointResult(json: record.json) { return result }
            throw .file(
                .badData, folder.ledger, "line \(index + 1) is not the result of a point",
                remedy: "remove that line to train the point again")
        }
    }

    /// Returns the results with their durations, as input for the analysis.
    ///
    /// - Throws: `Failure` (bad data) if the timings are damaged; (I/O) if they cannot be read.
    package func trainedPoints(_ results: [PointResult]) throws(Failure) -> [TrainedPoint] {
        trained(results, try timings())
    }

    private func trained(_ results: [PointResult], _ timings: Timings) -> [TrainedPoint] {
        results.map {
            $0.trained(
                secondsPerStep: timings.secondsPerStep[$0.point.name] ?? 0,
                seconds: timings.seconds[$0.point.name])
        }
    }

    /// Returns the durations of the runs on the sweep's latest layout.
    ///
    /// - Throws: the failures of `trainedPoints`.
    func durations(_ results: [PointResult]) throws(Failure) -> RunDurations {
        let timings = try timings()
        return RunDurations(trained(results, timings), groups: timings.groups)
    }

    /// Returns the durations of the runs of each model on the sweep's latest layout; the key is nil
    /// in a sweep without sizes.
    ///
    /// - Throws: the failures of `trainedPoints`.
    func durationsOfModels(
        _ results: [PointResult]
    ) throws(Failure) -> [SweepVariant?: RunDurations] {
        let timings = try timings()
        return Dictionary(grouping: results, by: \.point.variant).mapValues {
            RunDurations(trained($0, timings), groups: timings.groups)
        }
    }

    /// The durations in the file of timings, by the names of their points.
    private struct Timings {
        var secondsPerStep: [String: Double] = [:]
        /// The durations of whole runs on the latest layout.
        var seconds: [String: Double] = [:]
        /// The number of groups of the latest start that trained a run; nil if an earlier version
        /// trained it.
        var groups: Int?
    }

    private func timings() throws(Failure) -> Timings {
        var timings = Timings()
        guard FileSystem.exists(folder.timings) else { return timings }
        let records = try MetricsLog.read(folder.timings)
        timings.groups = records.last.flatMap { $0["groups"] }.flatMap(Int.init(exactly:))
        for record in records {
            guard let name: String = try? record.json.read("point") else { continue }
            timings.secondsPerStep[name] = record["seconds_per_step"]
            let groups = record["groups"].flatMap(Int.init(exactly:))
            timings.seconds[name] = groups == timings.groups ? record["seconds"] : nil
        }
        return timings
    }

    private func claim(of point: SweepPoint) -> String { "\(folder.claims)/\(point.name)" }

    private func claimedNames() throws(Failure) -> Set<String> {
        // Another group may remove a claim after it is listed and before it is read.
        Set(
            try FileSystem.names(in: folder.claims).filter {
                (try? readText("\(folder.claims)/\($0)")) == session
            })
    }

    /// Runs `body` while holding the lock that all groups share.
    private func locked<Value>(_ body: () throws(Failure) -> Value) throws(Failure) -> Value {
        let lock = try FileLock(waitingFor: folder.groupsLock)
        defer { withExtendedLifetime(lock) {} }
        return try body()
    }
}

extension PointResult: JSONReadable {
    package init(json: JSONValue) throws(JSONProblem) {
        let model: String? = try json.read("model")
        let variant = model.flatMap { SweepVariant(name: $0) }
        point = SweepPoint(
            rule: try json.read("rule"), batch: try json.read("batch"),
            rate: try json.read("rate"), seed: try json.read("seed"), variant: variant)
        learningRate = try json.read("learning_rate")
        diverged = try json.read("diverged")
        curve = try json.read("curve")
        noiseScale = try json.read("noise_scale")
        guard point.batch >= 1, point.rate > 0, learningRate > 0, model == nil || variant != nil
        else { throw .mismatch("result of a point") }
    }

    /// The line of the ledger for this result.
    var line: JSONObject {
        var line: JSONObject = [
            "point": .string(point.name), "rule": .string(point.rule),
            "batch": .integer(point.batch), "rate": .number(point.rate),
            "seed": .string(String(point.seed)), "learning_rate": .number(learningRate),
            "diverged": .bool(diverged), "noise_scale": noiseScale.map { .number($0) } ?? .null,
            "curve": .array(
                curve.map { [.integer($0.step), .integer($0.tokens), .number($0.validationLoss)] }),
        ]
        if let variant = point.variant { line["model"] = .string(variant.name) }
        return line
    }
}

extension CurvePoint: JSONReadable {
    package init(json: JSONValue) throws(JSONProblem) {
        self.init(
            step: try json.read(0), tokens: try json.read(1), validationLoss: try json.read(2))
    }
}
