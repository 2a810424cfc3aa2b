import Glibc
import Statistics
import Support

/// The runs that would decide a design's undecided verdicts.
///
/// In a sweep, they are the runs that resuming it trains first, as its planner chooses them
/// (`init(_:durations:instruction:)`). For other runs, rates that the grids lack come first. Once
/// every batch that matters has a best rate, more rates next to it decide if the valley's form is
/// the greatest error, which more seeds do not reduce. Otherwise more seeds decide, and a simulation
/// estimates their number. If they would not, more rates are worth trying, too.
package struct NextRuns: Sendable, Equatable {
    /// The runs, in the order in which to train them.
    package let parts: [DecidingRuns]
    /// The same runs by batches, rates and seeds.
    package let sets: [RunSet]
    /// The duration of the runs if they are trained one at a time, each as fast as the finished
    /// runs of its batch; nil if it is unknown.
    package let seconds: Double?
    /// The duration of the runs on the sweep's layout; nil if it is unknown.
    package private(set) var secondsOnLayout: Double?
    /// The probability that each open rule is decided afterward; none if the runs must show more
    /// of the losses first. In a planned sweep, it refers to `forecastRuns`.
    package private(set) var probabilities: [Decision]
    /// The runs of the next round and of later rounds that `probabilities` refers to; nil if it
    /// refers to the next runs.
    private var forecastRuns: DecidingRuns?
    /// The number of additional seeds that would decide the rules; nil if it does not exceed that
    /// of the next runs.
    package private(set) var seedForecast: SeedForecast?
    /// The largest number of additional seeds that was simulated, if even these would hardly decide
    /// a rule; otherwise nil.
    private var poorForecast: SeedForecast?
    /// The reason that there are no runs, as a clause after "none, because".
    private let reasonForNone: String
    /// The instruction for training the runs, as a clause; nil if they are not those of a sweep.
    private var instruction: String?

    /// The number of runs.
    package var runCount: Int { sets.reduce(0) { $0 + $1.count } }

    /// A rule and the probability that it will be decided.
    package struct Decision: Sendable, Equatable {
        /// The name of the rule, as in its verdict's `rule`.
        package let rule: String
        package let probability: Double
    }

    /// A number of additional seeds of each batch and the mean probability that they decide an open
    /// rule.
    package struct SeedForecast: Sendable, Equatable {
        package let seeds: Int
        package let probability: Double

        /// A clause that says how little these seeds would help.
        fileprivate var limit: String {
            "even \(Format.counted(seeds, "more seed")) would decide a rule with a mean probability "
                + "of only \(Format.fixed(probability, decimals: 2))"
        }
    }

    /// The numbers of additional seeds that are simulated.
    private static let seedCounts = [1, 2, 3, 5, 8, 13, 21, 34, 55]
    /// The probability at which no more seeds are simulated.
    private static let sufficient = 0.8
    /// The mean gain in probability that is worth more seeds.
    private static let leastGain = 0.05
    /// The mean probability from which more seeds are worth training.
    private static let leastUseful = 0.25
    /// The largest number of additional seeds that is advised at once, because a few seeds already
    /// show much better how many are needed.
    private static let largestStep = 5
    /// The number of seeds below which more are worth trying if they promise a least gain.
    private static let fewSeeds = 10

    /// Plans the runs.
    ///
    /// Returns nil if every rule holds up to the largest batch or fails at some batch.
    ///
    /// - Parameters:
    ///   - verdicts: the verdicts on rules that scale the base batch's best rate.
    ///   - points: the grid's runs.
    init?(
        _ verdicts: [RuleVerdict], _ optima: [BatchOptimum], valley: SharedValley?,
        points: [TrainedPoint], baseBatch: Int, settings: AnalysisSettings
    ) {
        let open = verdicts.filter { $0.isJudged && !$0.isSettled }
        guard !open.isEmpty else { return nil }
        let gaps = open.flatMap(\.decidingGaps)
        // If the base batch has no best rate, every gap names only the runs of the base batch.
        let isBaseUnknown = optima.contains { $0.batch == baseBatch && $0.decidingRuns != nil }
        let own = isBaseUnknown ? optima.map(\.decidingRuns) : []
        let rates = DecidingRuns.merged(
            (gaps.map(\.decidingRuns) + own).compactMap { $0?.new(optima) })
        let costs = RunDurations(points)
        let batches = Set(gaps.map(\.batch) + [baseBatch]).sorted()
        let fewest = optima.filter { batches.contains($0.batch) }.map(\.seeds.count).min() ?? 0
        let firstSeeds =
            fewest < fewestUsefulSeeds
            ? [DecidingRuns.seeds(fewestUsefulSeeds - fewest, batches: batches)] : []
        let isNoise = rates.allSatisfy { if case .seeds = $0 { true } else { false } }
        guard rates.isEmpty && firstSeeds.isEmpty else {
            self.init(
                isNoise && !firstSeeds.isEmpty
                    ? firstSeeds : DecidingRuns.merged(rates + firstSeeds), optima, costs: costs)
            return
        }
        guard let valley,
            let simulation = SeedSimulation(
                batches, optima, valley, baseBatch: baseBatch, settings: settings)
        else {
            self.init([], optima, costs: costs)
            return
        }
        let between = optima.filter { batches.contains($0.batch) }.compactMap(\.runsNextToBest)
        let unknown = between.filter { part in
            if case .rates(_, let batch) = part { valley.isFormUnknown(at: batch) } else { false }
        }
        guard unknown.isEmpty else {
            self.init(unknown, optima, costs: costs)
            return
        }
        let rules = open.map(\.rule)
        func decisions(_ count: Int) -> [Decision] {
            let shares = simulation.probabilities(ofDecisionWith: count)
            return rules.map { Decision(rule: $0, probability: shares[$0] ?? 0) }
        }
        var best = (count: Self.largestStep, mean: 0.0)
        var last = best
        for count in Self.seedCounts where best.mean < Self.sufficient {
            last = (count, Sample(decisions(count).map(\.probability)).mean)
            if last.mean > best.mean + Self.leastGain { best = last }
        }
        let step = min(best.count, Self.largestStep)
        let ofStep = decisions(step)
        let isWorthTrying =
            fewest < Self.fewSeeds && Sample(ofStep.map(\.probability)).mean > Self.leastGain
        guard best.mean >= Self.leastUseful || isWorthTrying else {
            // Seeds cannot show the valley's form, but rates between the known ones can.
            let shares = simulation.probabilities(
                ofDecisionWith: last.count, isFormKnown: true)
            let ofForm = Sample(rules.map { shares[$0] ?? 0 }).mean
            guard between.isEmpty || ofForm < Self.leastUseful else {
                self.init(between, optima, costs: costs)
                return
            }
            let poor = SeedForecast(seeds: last.count, probability: last.mean)
            self.init(
                [], optima, costs: costs,
                reasonForNone: "\(poor.limit); a larger tolerance may help")
            poorForecast = poor
            return
        }
        self.init([.seeds(step, batches: batches)], optima, costs: costs, probabilities: ofStep)
        if best.count > step {
            seedForecast = SeedForecast(seeds: best.count, probability: best.mean)
        }
    }

    private init(
        _ parts: [DecidingRuns], _ optima: [BatchOptimum], costs: RunDurations,
        probabilities: [Decision] = [],
        reasonForNone: String =
            "neither more seeds nor rates between the known ones are expected to change a verdict; a "
            + "larger tolerance may help"
    ) {
        self.parts = parts
        sets = RunSet.withJoinedBatches(parts.flatMap { $0.sets(optima) })
        seconds = costs.seconds(sets)
        self.probabilities = probabilities
        self.reasonForNone = reasonForNone
    }

    /// Creates the next runs of a sweep from those that its planner chooses; none if no further run
    /// is expected to change a verdict.
    ///
    /// - Parameter instruction: a clause that says how to train them, with a command.
    package init(_ runs: [PlannedRun], durations: RunDurations, instruction: String) {
        sets = RunSet.sets(of: runs)
        parts = RunSet.grouped(sets).map { .runs($0) }
        seconds = durations.seconds(sets)
        secondsOnLayout = durations.secondsOnLayout(runs)
        probabilities = []
        reasonForNone =
            "no further run is expected to change a verdict; a larger tolerance may help"
        self.instruction = instruction
    }

    /// Returns the same runs with the forecast of other runs, if those are only more seeds, or none
    /// because more seeds would hardly help. A planned sweep adds these seeds over several rounds.
    package func withProbabilities(of other: NextRuns?) -> NextRuns {
        guard let other else { return self }
        var runs = self
        runs.poorForecast = other.poorForecast
        guard other.parts.count == 1, !other.probabilities.isEmpty else { return runs }
        (runs.forecastRuns, runs.probabilities) = (other.parts[0], other.probabilities)
        runs.seedForecast = other.seedForecast
        return runs
    }

    /// Returns the same runs as those of a sweep that has no planner.
    package func ofSweep(durations: RunDurations, instruction: String) -> NextRuns {
        var runs = self
        runs.secondsOnLayout = durations.secondsOnLayout(sets)
        runs.instruction = instruction
        return runs
    }

    /// The plan in words.
    package var sentence: String { sentence(at: DecidingRuns.names, subject: { $0 }) }

    /// Returns the plan in words.
    ///
    /// - Parameters:
    ///   - names: the words for some batches, or for the models that take their place.
    ///   - subject: the words for a rule.
    func sentence(at names: ([Int]) -> String, subject: (String) -> String) -> String {
        guard !parts.isEmpty else { return "Next runs: none, because \(reasonForNone)." }
        let list = parts.map { $0.phrase(at: names) }.joined(separator: "; then ")
        let time =
            secondsOnLayout.map { ", \(Self.duration($0)) on this layout" }
            ?? seconds.map { ", \(Self.duration($0)) if trained one at a time" } ?? ""
        let shares = probabilities.map {
            "\(subject(CommonRule(rawValue: $0.rule)?.title ?? $0.rule)) with a probability of "
                + Format.fixed($0.probability, decimals: 2)
        }
        var clauses = ["\(list) (\(Format.counted(runCount, "run"))\(time))"]
        if !shares.isEmpty {
            let subject = forecastRuns.map { "\($0.phrase(at: names)) would" } ?? "they"
            clauses.append("\(subject) decide \(Format.list(shares))")
        }
        if let seedForecast {
            clauses.append(
                "\(seedForecast.seeds) more seeds in total would raise the mean probability of a "
                    + "decision to \(Format.fixed(seedForecast.probability, decimals: 2))")
        }
        if let poorForecast {
            clauses.append("\(poorForecast.limit), so a larger tolerance may help more")
        }
        clauses.append(instruction ?? "then analyze again")
        return "Next runs: \(clauses.joined(separator: "; "))."
    }

    private static func duration(_ seconds: Double) -> String {
        seconds < 1 ? "less than a second" : Format.duration(seconds, tenths: false)
    }
}

extension DecidingRuns {
    /// The ratio of rates above which a wider grid is not expected to show a valley.
    private static let widestGrid = 1e4

    /// Returns the part without the runs that exist, or nil if none is left.
    fileprivate func new(_ optima: [BatchOptimum]) -> DecidingRuns? {
        guard case .rates(let rates, let batch) = self else { return self }
        let known = optima.first { $0.batch == batch }?.typical.entries.map(\.logRate) ?? []
        let new = rates.filter { rate in
            let isWide = known.contains { abs(log(rate) - $0) > log(Self.widestGrid) }
            return !isWide && !known.contains { isSameRate(log(rate), $0) }
        }
        return new.isEmpty ? nil : .rates(new, batch: batch)
    }

    /// Returns the distinct parts: all rates of a batch in one part, and more seeds last, as many of
    /// each batch as one of the parts asks for.
    fileprivate static func merged(_ parts: [DecidingRuns]) -> [DecidingRuns] {
        var result: [DecidingRuns] = []
        var seedCounts: [Int: Int] = [:]
        for part in parts where !result.contains(part) {
            if case .seeds(let count, let batches) = part {
                for batch in batches { seedCounts[batch] = max(count, seedCounts[batch] ?? 0) }
                continue
            }
            let place = result.firstIndex {
                switch ($0, part) {
                case (.rates(_, let batch), .rates(_, let other)): batch == other
                case (.longer, .longer): true
                default: false
                }
            }
            guard let place else {
                result.append(part)
                continue
            }
            switch (result[place], part) {
            case (.rates(let known, let batch), .rates(let rates, _)):
                result[place] = .rates(Set(known + rates).sorted(), batch: batch)
            case (.longer(let known), .longer(let batches)):
                result[place] = .longer(batches: Set(known + batches).sorted())
            default: break
            }
        }
        return result
            + Set(seedCounts.values).sorted().map { count in
                .seeds(count, batches: seedCounts.filter { $0.value == count }.keys.sorted())
            }
    }

    /// Returns the runs by batches, rates and seeds.
    fileprivate func sets(_ optima: [BatchOptimum]) -> [RunSet] {
        func optimum(_ batch: Int) -> BatchOptimum? { optima.first { $0.batch == batch } }
        func seeds(_ batch: Int) -> [UInt64] { optimum(batch)?.seeds.map(\.seed) ?? [] }
        switch self {
        case .seeds(let count, let batches):
            let all = Set(optima.flatMap(\.seeds).map(\.seed)).sorted()
            let further = (0..<UInt64(count)).map { (all.last ?? 0) &+ 1 &+ $0 }
            return batches.map { batch in
                let known = seeds(batch)
                let new = (all + further).filter { !known.contains($0) }.prefix(count)
                return RunSet(
                    batches: [batch], rates: optimum(batch)?.usefulRates.sorted() ?? [],
                    seeds: Array(new))
            }
        case .rates(let rates, let batch):
            return [RunSet(batches: [batch], rates: rates.sorted(), seeds: seeds(batch))]
        case .missing(let runs, let batch):
            return runs.map {
                RunSet(batches: [batch], rates: $0.rates.sorted(), seeds: [$0.seed])
            }
        case .longer(let batches):
            return batches.map { RunSet(batches: [$0], rates: [], seeds: seeds($0)) }
        case .runs(let sets): return sets
        }
    }
}
