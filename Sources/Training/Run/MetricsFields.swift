import Support
import Telemetry

/// A kind of value of a field of metrics.jsonl.
enum MetricsKind: Sendable {
    /// A whole number, 0 or more.
    case count
    /// A number, or null if it is not finite.
    case number
    case text
    /// One of these texts.
    case choice([String])
    /// Always true.
    case truth
}

/// A field of a line of metrics.jsonl: its name, its meaning and the function that computes it.
package struct MetricsField<Record>: Sendable {
    package let name: String
    let kind: MetricsKind
    let meaning: String
    /// The tag under which TensorBoard shows the field; nil if it does not.
    let tag: String?
    /// Whether all lines of its kind have the field.
    let isRequired: Bool
    /// A function that returns the value; nil if the line lacks the field.
    package let value: @Sendable (Record) -> JSONValue?

    init(
        _ name: String, _ kind: MetricsKind, _ meaning: String, tag: String? = nil,
        isRequired: Bool = true, _ value: @escaping @Sendable (Record) -> JSONValue?
    ) {
        self.name = name
        self.kind = kind
        self.meaning = meaning
        self.tag = tag
        self.isRequired = isRequired
        self.value = value
    }
}

/// The fields of metrics.jsonl for a step, an evaluation and a diagnosis.
package enum MetricsFields {
    static let step: [MetricsField<StepRecord>] = [
        .init("step", .count, "Steps taken since the run began.") { .integer($0.step) },
        .init(
            "loss", .number, "Mean cross-entropy over the global batch, nats per token.",
            tag: "train/loss"
        ) { .number($0.loss) },
        .init(
            "learning_rate", .number, "The rate that the step used.", tag: "train/learning_rate"
        ) { .number($0.learningRate) },
        .init(
            "gradient_norm", .number, "Global norm of the gradient, before clipping.",
            tag: "train/gradient_norm"
        ) { .number($0.gradientNorm) },
        .init(
            "gradient_variance", .number,
            "S: trace of the covariance of one sequence's gradient, from the lanes' spread.",
            tag: "noise/gradient_variance", isRequired: false
        ) { $0.noise.map { .number($0.variance) } },
        .init(
            "gradient_signal", .number,
            "|G|^2: squared norm of the gradient over all data; noise can make it negative.",
            tag: "noise/gradient_signal", isRequired: false
        ) { $0.noise.map { .number($0.signal) } },
        .init("tokens", .count, "Tokens seen since the run began, over all ranks.") {
            .integer($0.tokens)
        },
        .init(
            "global_batch", .count,
            "Sequences in the step, over all ranks; only with a batch schedule.",
            tag: "train/global_batch", isRequired: false
        ) { $0.batch.map { .integer($0) } },
        .init(
            "tokens_per_second", .number, "Tokens per second in this step, over all ranks.",
            tag: "speed/tokens_per_second"
        ) { .number(Double($0.tokensInStep) / $0.times.total) },
        .init(
            "step_seconds", .number, "The whole step. All times are those of rank 0.",
            tag: "speed/step_seconds"
        ) { .number($0.times.total) },
        .init("data_seconds", .number, "Reading the sequences.", tag: "speed/data_seconds") {
            .number($0.times[.data])
        },
        .init(
            "forward_seconds", .number, "Forward, without the loss.", tag: "speed/forward_seconds"
        ) { .number($0.times[.forward]) },
        .init(
            "backward_seconds", .number,
            "The loss and backward, without the reduction's work between its layers.",
            tag: "speed/backward_seconds"
        ) { .number($0.times[.backward]) },
        .init(
            "exposed_reduce_seconds", .number,
            "Time that the reduction adds: its work during backward, and reduce_seconds.",
            tag: "speed/exposed_reduce_seconds"
        ) { .number($0.times.exposedReduce) },
        .init(
            "reduce_seconds", .number, "Waiting for other ranks after backward, and the norm.",
            tag: "speed/reduce_seconds"
        ) { .number($0.times[.wait]) },
        .init(
            "update_seconds", .number, "Clipping and the optimizer.", tag: "speed/update_seconds"
        ) { .number($0.times[.update]) },
        .init(
            "slowest_rank", .count,
            "The rank with the most seconds per lane; only with several ranks.",
            tag: "speed/slowest_rank", isRequired: false
        ) { $0.slowest.map { .integer($0.rank) } },
        .init(
            "slowest_rank_share", .number,
            "Its share of the lanes, which move away from a slow rank.",
            tag: "speed/slowest_rank_share", isRequired: false
        ) { $0.slowest.map { .number($0.share) } },
        .init(
            "slowest_rank_slowdown", .number,
            "Its seconds per lane, as a multiple of the median rank's.",
            tag: "speed/slowest_rank_slowdown", isRequired: false
        ) { $0.slowest.map { .number($0.slowdown) } },
        .init(
            "skipped", .truth,
            "true if the loss or the gradient was not finite, so nothing was updated.",
            isRequired: false
        ) { $0.isSkipped ? .bool(true) : nil },
    ]

    /// The fields that follow a step's own fields.
    package static let noise: [MetricsField<NoiseScale>] = [
        .init(
            "noise_scale", .number,
            "S / |G|^2 over the last \(NoiseScaleWindow.capacity) steps, in sequences; "
                + "null while |G|^2 may be 0.",
            tag: "noise/scale", isRequired: false
        ) { scale in
            guard case .determined(let sequences, _) = scale else { return .null }
            return .number(sequences)
        },
        .init(
            "noise_scale_lower", .number, "The lower end of its 95 % interval.",
            tag: "noise/scale_lower", isRequired: false
        ) { scale in
            guard case .determined(_, let interval) = scale else { return nil }
            return .number(interval.lower)
        },
        .init(
            "noise_scale_upper", .number, "The upper end of its 95 % interval.",
            tag: "noise/scale_upper", isRequired: false
        ) { scale in
            guard case .determined(_, let interval) = scale else { return nil }
            return .number(interval.upper)
        },
    ]

    static let evaluation: [MetricsField<(step: Int, evaluation: Evaluation)>] = [
        .init("step", .count, "Steps taken before the evaluation.") { .integer($0.step) },
        .init(
            "validation_loss", .number, "Mean cross-entropy in nats per token.",
            tag: "validation/loss"
        ) { .number($0.evaluation.loss) },
        .init("validation_targets", .count, "Tokens that were predicted.") {
            .integer($0.evaluation.targets)
        },
    ]

    static let diagnosis: [MetricsField<Diagnosis>] = [
        .init("step", .count, "Steps taken when the sign was detected.") { .integer($0.step) },
        .init(
            "diagnosis", .choice(DiagnosisSign.allCases.map(\.rawValue)),
            DiagnosisSign.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
                + "; each at most once in a run."
        ) { .string($0.sign.rawValue) },
        .init("cause", .text, "The observation and its likely cause.") { .string($0.cause) },
        .init("remedy", .text, "The recommended remedy.") { .string($0.remedy) },
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
            fields.map { field in
                let tag = field.tag.map { "      In TensorBoard: \($0).\n" } ?? ""
                return "  \(field.name)\n      \(field.meaning)\n\(tag)"
            }.joined()
        }
        return "A step:\n" + table(step) + table(noise) + "\nAn evaluation:\n" + table(evaluation)
            + "\nA diagnosis:\n" + table(diagnosis)
    }
}

// MARK: - TensorBoard

extension MetricsFields {
    private static let tags = tags(of: step) + tags(of: noise) + tags(of: evaluation)

    private static func tags<Record>(
        of fields: [MetricsField<Record>]
    ) -> [(name: String, tag: String)] {
        fields.compactMap { field in field.tag.map { (field.name, $0) } }
    }

    /// Returns a line's numbers, finite or not, as scalars for TensorBoard.
    static func scalars(_ line: JSONObject) -> [SummaryValue] {
        tags.compactMap { name, tag in
            line[name]?.number.map { SummaryValue(tag, .scalar($0)) }
        }
    }
}
