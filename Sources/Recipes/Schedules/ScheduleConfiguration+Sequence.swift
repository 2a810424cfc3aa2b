import Support

extension ScheduleConfiguration {
    /// One of `[[schedule.parts]]`: a shape between two fractions of the peak rate.
    public struct PartConfiguration: Sendable, Equatable {
        /// The shapes of parts, by their names in recipes.
        public enum Name: String, NamedChoice {
            /// A constant rate: `start_factor` of the peak.
            case constant
            /// A straight line from `start_factor` to `end_factor` of the peak.
            case linear
            /// Half a cosine wave from `start_factor` to `end_factor` of the peak.
            case cosine
        }

        /// `name`: the shape of the part.
        public var name: Name
        /// `steps`: the number of steps in the part; in the last part, nil for the rest of the run.
        public var steps: Int?
        /// `start_factor`: the fraction of the peak rate at the first step. If nil, the part starts at
        /// the rate at which the schedule before it ends; the first part of a sequence starts at 1.
        public var startFactor: Double?
        /// `end_factor`: the fraction of the peak that is reached `steps` later; nil in constant
        /// parts.
        public var endFactor: Double?

        public init(
            name: Name, steps: Int? = nil, startFactor: Double? = nil, endFactor: Double? = nil
        ) {
            self.name = name
            self.steps = steps
            self.startFactor = startFactor
            self.endFactor = endFactor
        }
    }

    /// Returns the parts one after another; the milestones are the running sums of their steps.
    func sequence(_ rate: BatchScaling, trainingSteps: Int) throws(Failure) -> Schedule {
        try refuseKeysOfOtherSchedules(rate)
        try require(
            !parts.isEmpty,
            or: .key(
                "[schedule] name", "\"sequence\"", "has no parts",
                remedy: "add [[schedule.parts]] with name, steps, start_factor and end_factor"))
        return .sequence(
            try resolveParts(rate, after: 0, factor: 1, trainingSteps: trainingSteps))
    }

    /// Returns the schedules of the parts.
    ///
    /// - Parameters:
    ///   - step: the step at which the first part starts.
    ///   - factor: the fraction of the peak rate before that step.
    func resolveParts(
        _ rate: BatchScaling, after step: Int, factor: Double, trainingSteps: Int
    ) throws(Failure) -> [Schedule.Part] {
        var schedules: [Schedule.Part] = []
        var start = step
        var factor = factor
        for (index, part) in parts.enumerated() {
            let isLast = index + 1 == parts.count
            let key = "[[schedule.parts]] \(index + 1):"
            let rest = isLast ? max(1, trainingSteps - start) : nil
            let steps = try part.validatedSteps(key, rest: rest)
            let startFactor = try part.validated(
                part.startFactor ?? factor, "\(key) start_factor")
            let endFactor = try part.validatedEndFactor(key) ?? startFactor
            let from = rate.peakLearningRate * startFactor
            let to = rate.peakLearningRate * endFactor
            let schedule: Schedule =
                switch part.name {
                case .constant: .constant(from)
                case .linear: .change(.linear, from: from, to: to, steps: steps)
                case .cosine: .change(.cosine, from: from, to: to, steps: steps)
                }
            schedules.append(.init(schedule, steps: steps))
            start += steps
            factor = endFactor
        }
        return schedules
    }

    /// Refuses keys that only other schedules use, rather than ignoring them.
    private func refuseKeysOfOtherSchedules(_ rate: BatchScaling) throws(Failure) {
        let given: [(String, String?)] = [
            ("[schedule] warmup_steps", warmupSteps.map { "\($0)" }),
            ("[schedule] warmup_start_factor", warmupStartFactor.map { "\($0)" }),
            ("[schedule] stable_steps", stableSteps.map { "\($0)" }),
            ("[schedule] decay_steps", decaySteps.map { "\($0)" }),
            ("[schedule] minimum_learning_rate", minimumLearningRate.map { "\($0)" }),
            ("[scaling] gradual_warmup", rate.gradualWarmup ? "true" : nil),
            ("[scaling] warmup", rate.warmup == .tokens ? "\"tokens\"" : nil),
        ]
        for case (let key, let value?) in given {
            throw Failure.key(
                key, value, "does nothing with name = \"sequence\"",
                remedy: "remove it, and say the same with [[schedule.parts]]")
        }
    }
}

extension ScheduleConfiguration.PartConfiguration {
    /// Returns `steps`, or `rest` if it is unset.
    fileprivate func validatedSteps(_ key: String, rest: Int?) throws(Failure) -> Int {
        guard let steps = steps ?? rest else {
            throw .about(
                .configuration, "\(key) steps", "is missing, but only the last part may omit it",
                remedy: "set the number of steps that this part lasts")
        }
        try require(
            steps >= 1,
            or: .key(
                "\(key) steps", steps, "must be 1 or more",
                remedy: "use 1, or remove the part"))
        return steps
    }

    fileprivate func validated(_ factor: Double, _ key: String) throws(Failure) -> Double {
        try require(
            factor.isFinite && factor >= 0,
            or: .key(
                key, factor, "must be a finite number, 0 or more",
                remedy: "use 0 for no rate or 1 for the peak"))
        return factor
    }

    /// Returns `end_factor`, or nil in a constant part.
    fileprivate func validatedEndFactor(_ key: String) throws(Failure) -> Double? {
        switch (name, endFactor) {
        case (.constant, nil):
            return nil
        case (.constant, let factor?):
            throw Failure.key(
                "\(key) end_factor", factor, "does nothing with name = \"constant\"",
                remedy: "remove it, or set name = \"linear\"")
        case (_, nil):
            throw .about(
                .configuration, "\(key) end_factor",
                "is missing, but name = \"\(name.rawValue)\" needs it",
                remedy: "add the part of the peak rate that it ends at, such as 0.1")
        case (_, let factor?):
            return try validated(factor, "\(key) end_factor")
        }
    }
}
