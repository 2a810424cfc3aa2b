import Support

/// A field of a line of metrics.jsonl: its name, its meaning and the function that computes it.
package struct MetricsField<Record>: Sendable {
    package let name: String
    let meaning: String
    /// A function that returns the value; nil if the line lacks the field.
    package let value: @Sendable (Record) -> JSONValue?

    init(_ name: String, _ meaning: String, _ value: @escaping @Sendable (Record) -> JSONValue?) {
        self.name = name
        self.meaning = meaning
        self.value = value
    }
}

/// The fields of metrics.jsonl for a step, an evaluation and a diagnosis.
package enum MetricsFields {
    static let step: [MetricsField<StepRecord>] = [
        .init("step", "Steps taken since the run began.") { .integer($0.step) },
        .init("loss", "Mean cross-entropy over the global batch, nats per token.") {
            .number($0.loss)
        },
        .init("learning_rate", "The rate that the step used.") { .number($0.learningRate) },
        .init("gradient_norm", "Global norm of the gradient, before clipping.") {
            .number($0.gradientNorm)
        },
        .init(
            "gradient_variance",
            "S: trace of the covariance of one sequence's gradient, from the lanes' spread."
        ) { $0.noise.map { .number($0.variance) } },
        .init(
            "gradient_signal",
            "|G|^2: squared norm of the gradient over all data; noise can make it negative."
        ) { $0.noise.map { .number($0.signal) } },
        .init("tokens", "Tokens seen since the run began, over all ranks.") { .integer($0.tokens) },
        .init("tokens_per_second", "Tokens per second in this step, over all ranks.") {
            .number(Double($0.tokensInStep) / $0.times.total)
        },
        .init("step_seconds", "The whole step. All times are those of rank 0.") {
            .number($0.times.total)
        },
        .init("data_seconds", "Reading the sequences.") { .number($0.times[.data]) },
        .init("forward_seconds", "Forward, without the loss.") { .number($0.times[.forward]) },
        .init(
            "backward_seconds",
            "The loss and backward, without the reduction's work between its layers."
        ) { .number($0.times[.backward]) },
        .init(
            "exposed_reduce_seconds",
            "Time that the reduction adds: its work during backward, and reduce_seconds."
        ) { .number($0.times.exposedReduce) },
        .init("reduce_seconds", "Waiting for other ranks after backward, and the norm.") {
            .number($0.times[.wait])
        },
        .init("update_seconds", "Clipping and the optimizer.") { .number($0.times[.update]) },
        .init("slowest_rank", "The rank with the most seconds per lane; only with several ranks.") {
            $0.slowest.map { .integer($0.rank) }
        },
        .init("slowest_rank_share", "Its share of the lanes, which move away from a slow rank.") {
            $0.slowest.map { .number($0.share) }
        },
        .init("slowest_rank_slowdown", "Its seconds per lane, as a multiple of the median rank's.")
        { $0.slowest.map { .number($0.slowdown) } },
        .init(
            "skipped", "true if the loss or the gradient was not finite, so nothing was updated."
        ) { $0.isSkipped ? .bool(true) : nil },
    ]

    /// The fields that follow a step's own fields.
    package static let noise: [MetricsField<NoiseScale>] = [
        .init(
            "noise_scale",
            "S / |G|^2 over the last \(NoiseScaleWindow.capacity) steps, in sequences; "
                + "null while |G|^2 may be 0."
        ) { scale in
            guard case .determined(let sequences, _) = scale else { return .null }
            return .number(sequences)
        },
        .init("noise_scale_lower", "The lower end of its 95 % interval.") { scale in
            guard case .determined(_, let interval) = scale else { return nil }
            return .number(interval.lower)
        },
        .init("noise_scale_upper", "The upper end of its 95 % interval.") { scale in
            guard case .determined(_, let interval) = scale else { return nil }
            return .number(interval.upper)
        },
    ]

    static let evaluation: [MetricsField<(step: Int, evaluation: Evaluation)>] = [
        .init("step", "Steps taken before the evaluation.") { .integer($0.step) },
        .init("validation_loss", "Mean cross-entropy in nats per token.") {
            .number($0.evaluation.loss)
        },
        .init("validation_targets", "Tokens that were predicted.") {
            .integer($0.evaluation.targets)
        },
    ]

    static let diagnosis: [MetricsField<Diagnosis>] = [
        .init("step", "Steps taken when the sign was detected.") { .integer($0.step) },
        .init(
            "diagnosis",
            DiagnosisSign.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
                + "; each at most once in a run."
        ) { .string($0.sign.rawValue) },
        .init("cause", "The observation and its likely cause.") { .string($0.cause) },
        .init("remedy", "The recommended remedy.") { .string($0.remedy) },
    ]

    static func line(_ record: StepRecord, _ scale: NoiseScale?) -> JSONObject {
        JSONObject(values(step, record) + (scale.map { values(noise, $0) } ?? []))
    }

    static func line(_ record: Evaluation, step: Int) -> JSONObject {
        JSONObject(values(evaluation, (step, record)))
    }

    static func line(_ record: Diagnosis) -> JSONObject { JSONObject(values(diagnosis, record)) }

    private static func values<Record>(
        _ fields: [MetricsField<Record>], _ record: Record
    ) -> [(String, JSONValue)] {
        fields.compactMap { field in field.value(record).map { (field.name, $0) } }
    }

    /// A table of all fields, for the command line's help.
    package static var reference: String {
        func table<Record>(_ fields: [MetricsField<Record>]) -> String {
            fields.map { "  \($0.name)\n      \($0.meaning)\n" }.joined()
        }
        return "A step:\n" + table(step) + table(noise) + "\nAn evaluation:\n" + table(evaluation)
            + "\nA diagnosis:\n" + table(diagnosis)
    }
}
