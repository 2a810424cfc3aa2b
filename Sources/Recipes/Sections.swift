import Compute
import Support

/// A recipe's `[training]` section: the length of the run, its batches and its arithmetic.
package struct TrainingConfiguration: Sendable, Equatable {
    /// The number of optimizer steps.
    package var steps = 2000
    /// The number of sequences in one optimizer step, over all ranks.
    package var globalBatch = 12
    /// The changes of the global batch during the run, in order.
    package var batchSchedule: [BatchChangeConfiguration] = []
    /// The number of sequences that go through the model at once; 0 for the largest number that divides a
    /// lane of every batch, or fewer if memory is short.
    package var microBatch = 0
    /// The precision of the inputs of matrix products.
    package var precision = Precision.fp32
    /// Whether backward recomputes each block's activations, so that only its input is kept.
    package var recompute = false
    /// The seed of the initial parameters, the order of samples, and dropout.
    package var seed: UInt64 = 1337
    /// The power p of the average of the parameters that evaluations use, in which step t has the
    /// weight t^(p + 1) - (t - 1)^(p + 1), about (p + 1) t^p; nil for the parameters themselves.
    package var averagingPower: Double?
    /// The number of evaluations in a row that may not lower the validation loss before the run
    /// stops early; nil if it takes all its steps.
    package var patience: Int?
    /// The number of consecutive skipped steps after which the run stops.
    package var maximumSkippedSteps = 10

    /// The maximum number of steps, and of sequences in a step.
    package static let largestCount = 1_000_000_000

    /// The batches of the run, in order.
    package var batches: [Int] { [globalBatch] + batchSchedule.map(\.batch) }

    /// Checks every value; a failure names the key, its value and the valid range.
    func validate() throws(Failure) {
        let counts = [
            ("steps", steps), ("global_batch", globalBatch),
            ("max_skipped_steps", maximumSkippedSteps),
        ]
        for (key, value) in counts {
            try require(
                value >= 1,
                or: .key(
                    "[training] \(key)", value, "must be a whole number, 1 or more",
                    remedy: "use 1 or more"))
        }
        // Numbers of tokens are products of these and the context length, which must not overflow.
        for (key, value) in counts.prefix(2) {
            try require(
                value <= Self.largestCount,
                or: .key(
                    "[training] \(key)", value, "must be at most \(Self.largestCount)",
                    remedy: "use \(Self.largestCount) or less"))
        }
        for (index, change) in batchSchedule.enumerated() {
            try change.validate(index + 1, largest: Self.largestCount)
        }
        if let averagingPower {
            try require(
                (0...1000).contains(averagingPower),
                or: .key(
                    "[training] averaging_power", averagingPower, "must be in [0, 1000]",
                    remedy: "use 7 for about the last tenth of the run, or remove it for no average"
                ))
        }
        if let patience {
            try require(
                patience >= 1,
                or: .key(
                    "[training] patience", patience, "must be a number of evaluations, 1 or more",
                    remedy: "use 5, or remove it to take all steps"))
        }
        try require(
            microBatch >= 0,
            or: .key(
                "[training] micro_batch", microBatch, "must be a whole number, 0 or more",
                remedy: "use 0 for a whole lane at once"))
    }
}

/// A recipe's `[reduction]` section: the division of the global batch into lanes and the sum of
/// their gradients.
package struct ReductionConfiguration: Sendable, Equatable {
    /// The number of lanes, which is also the maximum number of ranks; 0 for the smallest divisor
    /// of the global batch that is at least 8, or on more than 8 ranks at least two per rank.
    package var lanes = 0
    /// The size of the pieces in which gradients are reduced, in MiB.
    package var bucketMebibytes = 1.0
    /// The format of gradients between hosts; bf16 rounds every lane's gradient and every sum.
    package var wire = WireFormat.fp32
    /// The division of the lanes among ranks, which never changes a result.
    package var balance = Balance.auto

    /// A way to divide the lanes among ranks.
    package enum Balance: String, NamedChoice {
        /// Lanes move from slow ranks to fast ones.
        case auto
        /// Ranks have the same number of lanes, or differ by one.
        case off
    }

    /// Checks every value; a failure names the key, its value and the valid range.
    func validate() throws(Failure) {
        try require(
            lanes >= 0,
            or: .key(
                "[reduction] lanes", lanes, "must be a whole number, 0 or more",
                remedy: "use 0 for a default"))
        try require(
            bucketMebibytes > 0 && bucketMebibytes <= 1024,
            or: .key(
                "[reduction] bucket_mib", bucketMebibytes, "must be above 0 and at most 1024",
                remedy: "use 1"))
    }
}

/// A recipe's `[evaluation]` section: the steps and the data of the validation loss.
package struct EvaluationConfiguration: Sendable, Equatable {
    /// The number of steps between evaluations; 0 for only one after the last step.
    package var every = 250
    /// Further steps after which to evaluate, in ascending order; 0 evaluates before the first
    /// step.
    package var at: [Int] = []
    /// The number of windows of the context length to evaluate, from the start of the validation
    /// set; 0 for all.
    package var windows = 0

    /// Checks every value; a failure names the key, its value and the valid range.
    func validate() throws(Failure) {
        for (key, value) in [("every", every), ("windows", windows)] {
            try require(
                value >= 0,
                or: .key(
                    "[evaluation] \(key)", value, "must be a whole number, 0 or more",
                    remedy: "use 0 or more"))
        }
        try require(
            at.allSatisfy { $0 >= 0 } && zip(at, at.dropFirst()).allSatisfy(<),
            or: .key(
                "[evaluation] at", at, "must be an ascending list of steps",
                remedy: "write one such as [100, 200, 400]"))
    }
}

/// A recipe's `[checkpoint]` section: when checkpoints are written and how many are kept.
package struct CheckpointConfiguration: Sendable, Equatable {
    /// The number of steps between checkpoints; 0 for only one after the last step.
    package var every = 500
    /// The number of newest checkpoints to keep; 0 for all.
    package var keep = 2
    /// Whether the checkpoint of the evaluation with the lowest loss is also written and kept.
    package var best = true
    /// Whether checkpoints before the last are written in the background, from a copy of the state.
    package var background = true
    /// The number of steps between comparisons of all ranks' parameters; 0 to compare them only
    /// before a checkpoint.
    package var compareEvery = 0

    /// Checks every value; a failure names the key, its value and the valid range.
    func validate() throws(Failure) {
        try require(
            every >= 0,
            or: .key(
                "[checkpoint] every", every, "must be a whole number, 0 or more",
                remedy: "use 0 or more"))
        try require(
            compareEvery >= 0,
            or: .key(
                "[checkpoint] compare_every", compareEvery, "must be a whole number, 0 or more",
                remedy: "use 0 or more"))
        try require(
            keep == 0 || keep >= 2,
            or: .key(
                "[checkpoint] keep", keep, "must be 0 or at least 2",
                remedy: "use 2, so that one is whole while the next is written, or 0 to keep all"))
    }
}

/// A recipe's `[telemetry]` section: what a run records in addition to metrics.jsonl. It never
/// affects a result.
package struct TelemetryConfiguration: Sendable, Equatable {
    /// Whether the run writes event files for TensorBoard.
    package var tensorboard = false
    /// The number of steps between histograms of all weights and gradients; 0 for none.
    package var histogramEvery = 0
    /// The number of steps between samples that the model generates; 0 for none.
    package var sampleEvery = 0

    /// Checks every value; a failure names the key, its value and the valid range.
    func validate() throws(Failure) {
        for (key, value) in [("histogram_every", histogramEvery), ("sample_every", sampleEvery)] {
            try require(
                value >= 0,
                or: .key(
                    "[telemetry] \(key)", value, "must be a whole number, 0 or more",
                    remedy: "use 0 or more"))
            try require(
                value == 0 || tensorboard,
                or: .key(
                    "[telemetry] \(key)", value,
                    "is written to TensorBoard's files, but tensorboard = false",
                    remedy: "set tensorboard = true, or \(key) = 0"))
        }
    }
}
