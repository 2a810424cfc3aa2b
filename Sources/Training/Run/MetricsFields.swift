import Support

/// A field of a line of metrics.jsonl: its name, its meaning and the function that computes it.
package struct MetricsField<Record>: Sendable {
    package let name: String
    let meaning: String
    /// A function that returns the value; nil if the line lacks the field.
    package let value: @Sendable (Record) -> JSONValue?
}

/// The fields of metrics.jsonl for a step, an evaluation and a diagnosis.
package enum MetricsFields {
    static let step: [MetricsField<StepRecord>] = [
        .init(name: "step", meaning: "Steps taken since the run began.") { .integer($0.step) },
        .init(name: "loss", meaning: "Mean cross-entropy over the global batch, nats per token.") {
            .number($0.loss)
        },
        .init(name: "learning_rate", meaning: "The rate that the step used.") {
            .number($0.learningRate)
        },
        .init(name: "gradient_norm", meaning: "Global norm of the gradient, before clipping.") {
            .number($0.gradientNorm)
        },
        .init(
            name: "gradient_variance",
            meaning:
                "S: trace of the covariance of one sequence's gradient, from the lanes' spread."
        ) { $0.noise.map { .number($0.variance) } },
        .init(
            name: "gradient_signal",
            meaning:
                "|G|^2: squared norm of the gradient over all data; noise can make it negative."
        ) { $0.noise.map { .number($0.signal) } },
        .init(name: "tokens", meaning: "Tokens seen since the run began, over all ranks.") {
            .integer($0.tokens)
        },
        .init(name: "tokens_per_second", meaning: "Tokens per second in this step, over all ranks.")
        {
            .number(Double($0.tokensInStep) / $0.times.total)
        },
        .init(name: "step_seconds", meaning: "The whole step. All times are those of rank 0.") {
            .number($0.times.total)
        },
        .init(name: "data_seconds", meaning: "Reading the sequences.") {
            .number($0.times[.data])
        },
        .init(name: "forward_seconds", meaning: "Forward, without the loss.") {
            .number($0.times[.forward])
        },
        .init(
            name: "backward_seconds",
            meaning: "The loss and backward, without the reduction's work between its layers."
        ) { .number($0.times[.backward]) },
        .init(
            name: "exposed_reduce_seconds",
            meaning: "Time that the reduction adds: its work during backward, and reduce_seconds."
        ) { .number($0.times.exposedReduce) },
        .init(
            name: "reduce_seconds", meaning: "Waiting for other ranks after backward, and the norm."
        ) {
            .number($0.times[.wait])
        },
        .init(name: "update_seconds", meaning: "Clipping and the optimizer.") {
            .number($0.times[.update])
        },
        .init(
            name: "skipped",
            meaning: "true if the loss or the gradient was not finite, so nothing was updated."
        ) { $0.isSkipped ? .bool(true) : nil },
    ]

    /// The fields that follow a step's own fields.
    package static let noise: [MetricsField<NoiseScale>] = [
        .init(
            name: "noise_scale",
            meaning: "S / |G|^2 over the last \(NoiseScaleWindow.capacity) steps, in sequences; "
                + "null while |G|^2 may be 0."
        ) { scale in
            guard case .determined(let sequences, _) = scale else { return .null }
            return .number(sequences)
        },
        .init(name: "noise_scale_lower", meaning: "The lower end of its 95 % interval.") { scale in
            guard case .determined(_, let interval) = scale else { return nil }
            return .number(interval.lower)
        },
        .init(name: "noise_scale_upper", meaning: "The upper end of its 95 % interval.") { scale in
            guard case .determined(_, let interval) = scale else { return nil }
            return .number(interval.upper)
        },
    ]

    static let evaluation: [MetricsField<(step: Int, evaluation: Evaluation)>] = [
        .init(name: "step", meaning: "Steps taken before the evaluation.") { .integer($0.step) },
        .init(name: "validation_loss", meaning: "Mean cross-entropy in nats per token.") {
            .number($0.evaluation.loss)
        },
        .init(name: "validation_targets", meaning: "Tokens that were predicted.") {
            .integer($0.evaluation.targets)
        },
    ]

    static let diagnosis: [MetricsField<Diagnosis>] = [
        .init(name: "step", meaning: "Steps taken when the sign was detected.") {
            .integer($0.step)
        },
        .init(
            name: "diagnosis",
            meaning: DiagnosisSign.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
                + "; each at most once in a run."
        ) { .string($0.sign.rawValue) },
        .init(name: "cause", meaning: "The observation and its likely cause.") {
            .string($0.cause)
        },
        .init(name: "remedy", meaning: "The recommended remedy.") { .string($0.remedy) },
    ]

    static func line(_ record: StepRecord, _ scale: NoiseScale?) -> JSONObject {
        JSONObject(values(step, record) + (scale.map { values(noise, $0) } ?? []))
    }

    static func line(_ record: Evaluation, step: Int) -> JSONObject {
        JSONObject(values(evaluation, (step, record)))
    }

    static func line(_ record: Diagnosis) -> JSONObject {
        JSONObject(values(diagnosis, record))
    }

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
