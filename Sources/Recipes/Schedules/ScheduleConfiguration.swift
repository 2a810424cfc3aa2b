import Support

/// A recipe's `[schedule]`: the learning rate as a function of the step.
///
/// If all keys are unset, the rate warms up over 2 % of the training steps and then follows a
/// cosine to a tenth of the peak at the last step.
public struct ScheduleConfiguration: Sendable, Equatable {
    /// The shapes after warmup, by their names in recipes.
    public enum Name: String, NamedChoice {
        /// The peak until the end.
        case constant
        /// A straight line to the lowest rate.
        case linear
        /// Half a cosine wave to the lowest rate.
        case cosine
        /// Warmup, stable, decay: the peak for `stable_steps`, then `decay` to the lowest rate.
        ///
        /// Warmup starts from `warmup_start_factor` of the peak, or from 0 if that is unset.
        /// Transformers' `get_wsd_schedule` starts from its `min_lr_ratio`; set
        /// `warmup_start_factor` to that ratio for the same rates.
        case wsd
        /// The schedules of `parts`, one after another.
        case sequence
    }

    /// The ways in which the rate rises to its peak, by their names in recipes.
    public enum Warmup: String, NamedChoice {
        /// A straight line from `warmup_start_factor` of the peak at step 0 to the peak at step
        /// `warmup_steps`.
        case linear
        /// The fraction (step + 1) / (warmup_steps + 1) of the peak, as in nanoGPT.
        case nanogpt
    }

    /// `name`: the shape of the schedule after warmup.
    public var name = Name.cosine
    /// `warmup`: the way in which the rate rises.
    public var warmup = Warmup.linear
    /// `warmup_steps`: the number of warmup steps; nil for 2 % of the training steps, rounded down;
    /// 0 for none. If `[scaling] warmup` keeps the tokens, these are steps of the base batch.
    public var warmupSteps: Int?
    /// `warmup_start_factor`: the fraction of the peak at which warmup starts, in [0, 1]; nil for
    /// 0, or for the value of gradual warmup.
    public var warmupStartFactor: Double?
    /// `stable_steps`: the number of steps that `wsd` stays at the peak; nil for the number that
    /// leaves the last fifth to the decay.
    public var stableSteps: Int?
    /// `decay_steps`: the step, counted from the run's first, at which the rate is at its lowest
    /// and stays there; nil for the training steps, or for the step after warmup if that is later.
    /// Constant schedules ignore it.
    public var decaySteps: Int?
    /// `minimum_learning_rate`: the lowest rate; nil for a tenth of the peak. Like `learning_rate`
    /// it is the rate at the base batch and scales with it, so that scaling keeps the schedule's
    /// shape. Constant schedules ignore it.
    public var minimumLearningRate: Double?
    /// `decay`: the shape of `wsd`'s decay.
    public var decay = Schedule.Shape.linear
    /// `[[schedule.parts]]`: the schedules of `sequence`, in order. With another `name`, they
    /// follow after `decay_steps`, as in a run that is extended.
    public var parts: [PartConfiguration] = []

    public init() {}

    /// Returns the `warmup_steps` of a run of `trainingSteps`, with the default if unset. A
    /// sequence's warmup is in its parts.
    package func warmupSteps(trainingSteps: Int) -> Int {
        name == .sequence ? 0 : warmupSteps ?? trainingSteps / 50
    }

    /// Returns the steps of warmup that a run of `trainingSteps` takes at its batch.
    package func warmupSteps(trainingSteps: Int, at rate: BatchScaling) -> Int {
        rate.warmupSteps(warmupSteps(trainingSteps: trainingSteps))
    }

    /// Returns the step at which the rate is lowest in a run of `trainingSteps`.
    ///
    /// A run that is shorter than its warmup, such as a trial of a long recipe, ends during warmup.
    package func decaySteps(trainingSteps: Int, at rate: BatchScaling) -> Int {
        decaySteps ?? max(trainingSteps, warmupSteps(trainingSteps: trainingSteps, at: rate) + 1)
    }

    /// Returns the step at which the schedule of a run of `trainingSteps` ends; from then on the
    /// rate stays constant. Returns nil for a constant schedule and for a last part without an end.
    package func end(trainingSteps: Int, at rate: BatchScaling) -> Int? {
        guard name != .constant else { return nil }
        var end = name == .sequence ? 0 : decaySteps(trainingSteps: trainingSteps, at: rate)
        for part in parts {
            guard let steps = part.steps else { return nil }
            end += steps
        }
        return end
    }

    /// Returns the schedule of a run.
    ///
    /// - Parameters:
    ///   - rate: the scaling rule's result.
    ///   - trainingSteps: `[training] steps`.
    /// - Throws: `Failure` (configuration) that names the first impossible value.
    public func resolve(_ rate: BatchScaling, trainingSteps: Int) throws(Failure) -> Schedule {
        try require(
            trainingSteps >= 1,
            or: .key(
                "[training] steps", trainingSteps, "must be 1 or more",
                remedy: "set the number of steps"))
        try require(
            name != .constant || parts.isEmpty,
            or: .key(
                "[schedule] name", "\"\(name.rawValue)\"", "leaves out the [[schedule.parts]]",
                remedy: "set name = \"sequence\", or remove them"))
        if name == .sequence { return try sequence(rate, trainingSteps: trainingSteps) }
        let steps = try validatedWarmupSteps(rate, trainingSteps: trainingSteps)
        var body = try body(rate, warmupSteps: steps, trainingSteps: trainingSteps)
        if !parts.isEmpty {
            body += try resolveParts(
                rate, after: decaySteps(trainingSteps: trainingSteps, at: rate),
                factor: try lowestRate(rate) / rate.peakLearningRate, trainingSteps: trainingSteps)
        }
        guard steps > 0 else { return .sequence(body) }
        let peak = rate.peakLearningRate
        let rise: Schedule
        switch warmup {
        case .linear:
            let factor = rate.gradualWarmup ? rate.gradualStartFactor : warmupStartFactor ?? 0
            rise = .change(.linear, from: peak * factor, to: peak, steps: steps)
        case .nanogpt:
            rise = .offsetWarmup(to: peak, steps: steps)
        }
        return .sequence([.init(rise, steps: steps)] + body)
    }

    /// Returns the schedule after warmup.
    private func body(_ rate: BatchScaling, warmupSteps: Int, trainingSteps: Int) throws(Failure)
        -> [Schedule.Part]
    {
        let peak = rate.peakLearningRate
        try require(
            name == .wsd || stableSteps == nil,
            or: .key(
                "[schedule] stable_steps", stableSteps ?? 0,
                "does nothing with name = \"\(name.rawValue)\"",
                remedy: "remove it, or set name = \"wsd\""))
        if name == .constant { return [.init(.constant(peak), steps: trainingSteps)] }
        let lowest = try lowestRate(rate)
        let decaySteps = try validatedDecaySteps(rate, warmupSteps, trainingSteps: trainingSteps)
        var length = decaySteps - warmupSteps
        var parts: [Schedule.Part] = []
        if name == .wsd {
            let stable = try validatedStableSteps(warmupSteps, decaySteps: decaySteps)
            parts.append(.init(.constant(peak), steps: stable))
            length -= stable
        }
        let shape = name == .wsd ? decay : name == .linear ? .linear : .cosine
        let fall = Schedule.change(shape, from: peak, to: lowest, steps: length)
        return parts + [.init(fall, steps: length)]
    }

    /// Returns the lowest rate at the run's batch.
    private func lowestRate(_ rate: BatchScaling) throws(Failure) -> Double {
        // The default is a tenth of the rate before scaling, as in the run's stored recipe, which a
        // resumed run reads.
        let minimumLearningRate = minimumLearningRate ?? rate.baseLearningRate / 10
        try require(
            minimumLearningRate >= 0 && minimumLearningRate <= rate.baseLearningRate,
            or: .key(
                "[schedule] minimum_learning_rate", minimumLearningRate,
                "must be in [0, learning_rate = \(rate.baseLearningRate)]",
                remedy:
                    "\(minimumLearningRate < 0 ? "use 0, or " : "")leave it out for a tenth of the "
                    + "learning rate"))
        return minimumLearningRate * rate.factor
    }

    private func validatedWarmupSteps(_ rate: BatchScaling, trainingSteps: Int) throws(Failure)
        -> Int
    {
        let steps = warmupSteps(trainingSteps: trainingSteps)
        try require(
            steps >= 0,
            or: .key(
                "[schedule] warmup_steps", steps, "must be a number, 0 or more",
                remedy: "use 0 for no warmup"))
        if let warmupStartFactor {
            let key = "[schedule] warmup_start_factor"
            try require(
                (0...1).contains(warmupStartFactor),
                or: .key(
                    key, warmupStartFactor, "must be in [0, 1]",
                    remedy: "use \(warmupStartFactor > 1 ? 1 : 0)"))
            try require(
                warmup == .linear,
                or: .key(
                    key, warmupStartFactor, "does nothing with warmup = \"\(warmup.rawValue)\"",
                    remedy: "remove it, or set warmup = \"linear\""))
            try require(
                !rate.gradualWarmup,
                or: .key(
                    key, warmupStartFactor,
                    "contradicts gradual_warmup = true, which starts from the base rate",
                    remedy: "remove it, or set gradual_warmup = false"))
        }
        if rate.gradualWarmup {
            try require(
                warmup == .linear,
                or: .key(
                    "[scaling] gradual_warmup", true, "needs a linear warmup",
                    remedy: "set warmup = \"linear\" in [schedule], or gradual_warmup = false"))
            try require(
                steps > 0,
                or: .key(
                    "[scaling] gradual_warmup", true, "needs steps to warm up in",
                    remedy: "set warmup_steps in [schedule] to 1 or more, or gradual_warmup = false"
                ))
        }
        return rate.warmupSteps(steps)
    }

    private func validatedDecaySteps(
        _ rate: BatchScaling, _ warmupSteps: Int, trainingSteps: Int
    ) throws(Failure) -> Int {
        let steps = decaySteps(trainingSteps: trainingSteps, at: rate)
        try require(
            steps >= 1,
            or: .key(
                "[schedule] decay_steps", steps, "must be 1 or more",
                remedy: "use \(trainingSteps), the training steps, or leave it out"))
        let written = self.warmupSteps(trainingSteps: trainingSteps)
        let scaled = written == warmupSteps ? "" : ", or \(warmupSteps) at this global_batch"
        try require(
            warmupSteps < steps,
            or: .key(
                "[schedule] warmup_steps", "\(written)\(scaled)",
                "must be below decay_steps = \(steps)",
                remedy: "use \(steps - 1) at most, so that the rate can fall after it has risen"))
        return steps
    }

    private func validatedStableSteps(_ warmupSteps: Int, decaySteps: Int) throws(Failure) -> Int {
        let length = decaySteps - warmupSteps
        let steps = stableSteps ?? max(0, length - max(1, decaySteps / 5))
        try require(
            steps >= 0 && steps < length,
            or: .key(
                "[schedule] stable_steps", steps, "must be in [0, \(length))",
                remedy: steps < 0
                    ? "use 0 or more"
                    : "use \(length - 1) at most, because warmup_steps = \(warmupSteps) and "
                        + "decay_steps = \(decaySteps) leave no room for more"))
        return steps
    }
}
