import Checkpoints
import Logging
import Support
import Telemetry

/// A choice among the checkpoints of a run.
package enum CheckpointChoice: Sendable, Equatable {
    /// The newest good checkpoint.
    case newest
    /// The checkpoint whose evaluation had the lowest loss.
    case best
    case step(Int)

    /// Parses "best" or a step; nil means the newest checkpoint.
    ///
    /// - Parameter option: the option with the text, for messages.
    /// - Throws: `Failure` (usage) if the text is neither.
    package init(_ text: String?, option: String = "--checkpoint") throws(Failure) {
        switch text {
        case nil: self = .newest
        case "best"?: self = .best
        case let text?:
            guard let step = Int(text), step >= 0 else {
                throw Failure.option(
                    option, text, "is neither a step nor \"best\"",
                    remedy: "give a step such as 1000, or best")
            }
            self = .step(step)
        }
    }
}

extension CheckpointStore {
    /// Verifies that a checkpoint is whole and that training can use it.
    ///
    /// - Throws: the same as `verify`; `Failure` (bad data) if its step was skipped.
    func requireGood(_ candidate: Candidate) throws(Failure) -> Checkpoint {
        let checkpoint = try verify(candidate)
        let skipped = checkpoint.manifest.extra[CheckpointCounter.skippedStepsInARow.rawValue]
        guard skipped.flatMap({ Int($0) }) ?? 0 <= 0 else {
            throw .file(
                .badData, checkpoint.folder,
                "is of a step that was skipped because its loss or gradient was not finite",
                remedy: "use an earlier checkpoint")
        }
        return checkpoint
    }

    /// Returns the newest good checkpoint before a step; nil if there is none.
    ///
    /// - Parameter reject: called for each newer checkpoint that cannot be used, with its step and
    ///   the reason.
    /// - Throws: `Failure` (I/O) if the store's folder cannot be listed.
    func newestGood(
        before limit: Int = .max, reject: (_ step: Int, _ reason: Failure) -> Void = { _, _ in }
    ) throws(Failure) -> Checkpoint? {
        try newestValid(
            before: limit,
            by: { (candidate) throws(Failure) in try requireGood(candidate) }, reject: reject)
    }
}

extension RunFolder {
    /// Returns the store of the run's checkpoints.
    func checkpointStore(keep: Int = 0) throws(Failure) -> CheckpointStore {
        try CheckpointStore(folder: checkpoints, keep: keep)
    }

    /// Opens one of the run's checkpoints; warns if newer ones cannot be used.
    ///
    /// - Throws: `Failure` (missing input) if there is no such checkpoint; (bad data) if the
    ///   requested one is damaged or not finite.
    func checkpoint(_ choice: CheckpointChoice) throws(Failure) -> Checkpoint {
        let store = try checkpointStore()
        let step: Int
        switch choice {
        case .newest:
            let newest = try store.newestGood { step, reason in
                Logger(label: "lockstep").warning(
                    "the checkpoint of step \(step) is rejected: \(reason.sentence)")
            }
            guard let newest else { throw noWholeCheckpoint() }
            try warnOfDivergence(after: newest.step)
            return newest
        case .best: step = try bestStep(in: store)
        case .step(let given): step = given
        }
        let candidates = try store.candidates()
        guard let candidate = candidates.first(where: { $0.step == step }) else {
            let steps = candidates.map { "\($0.step)" }.reversed().joined(separator: ", ")
            throw .file(
                .missingInput, checkpoints, "has no checkpoint of step \(step)",
                remedy: steps.isEmpty ? "train the run first" : "give one of the steps \(steps)")
        }
        return try store.requireGood(candidate)
    }

    /// Returns the last step of a run whose last loss is not finite, or nil if it is.
    ///
    /// - Throws: `Failure` (I/O) if the metrics cannot be read.
    func divergenceStep() throws(Failure) -> Int? {
        let end = try MetricsLog.last(of: metrics) {
            $0.fields["loss"] != nil || $0.fields["validation_loss"] != nil
        }
        let isFinite =
            end?.fields["skipped"] != .bool(true) && end?.fields["validation_loss"] != .null
        return isFinite ? nil : end?.step
    }

    /// Warns if the run diverged after a checkpoint.
    ///
    /// - Throws: `Failure` (I/O) if the metrics cannot be read.
    package func warnOfDivergence(after step: Int) throws(Failure) {
        guard let lastStep = try divergenceStep(), lastStep > step else { return }
        Logger(label: "lockstep").warning(
            """
            \(path): the run diverged before step \(lastStep); the newest good checkpoint is that \
            of step \(step)
            """)
    }

    /// Returns the step of the store's checkpoint with the lowest validation loss; warns if a step
    /// without a checkpoint had a lower loss.
    ///
    /// - Throws: `Failure` (missing input) if no step with a checkpoint was evaluated.
    private func bestStep(in store: CheckpointStore) throws(Failure) -> Int {
        let steps = Set(try store.candidates().map(\.step))
        let records = FileSystem.exists(metrics) ? try MetricsLog.read(metrics) : []
        let evaluations = records.compactMap { BestEvaluation($0) }
        func best(_ evaluations: [BestEvaluation]) -> BestEvaluation? {
            evaluations.reduce(nil) { best, next in next.better(than: best) }
        }
        guard let kept = best(evaluations.filter { steps.contains($0.step) }) else {
            throw .file(
                .missingInput, checkpoints, "has no checkpoint of an evaluated step",
                remedy: "omit --checkpoint to use the newest one")
        }
        if let best = best(evaluations), best.loss < kept.loss {
            Logger(label: "lockstep").warning(
                """
                \(checkpoints): has no checkpoint of step \(best.step), which had the lowest validation \
                loss; the best of the others is that of step \(kept.step)
                """)
        }
        return kept.step
    }

    /// Returns the failure for a checkpoint whose parameters give a result that is not finite. Its
    /// remedy names the newest good checkpoint before it, if there is one.
    package func diverged(at step: Int, result: String) -> Failure {
        let good = try? checkpointStore().newestGood(before: step)
        return .about(
            .badData, "\(path), step \(step)",
            "gives \(result) that is not a number, because the training diverged",
            remedy: good.map { "use the newest good checkpoint, that of step \($0.step)" }
                ?? "train the run again with a lower [optimizer] learning_rate, because no earlier "
                + "checkpoint is good")
    }
}

/// An evaluation of a run whose loss is finite, as a candidate for the best one.
struct BestEvaluation: Equatable {
    let step: Int
    let loss: Double

    /// Returns the evaluation with the lower loss; if the losses are equal, returns the earlier
    /// one, `other`.
    func better(than other: BestEvaluation?) -> BestEvaluation {
        guard let other, loss >= other.loss else { return self }
        return other
    }
}

extension BestEvaluation {
    /// Reads a line of the metrics; nil if it is not an evaluation or its loss is not finite.
    init?(_ record: MetricsRecord) {
        guard let loss = record["validation_loss"], loss.isFinite, let step = record.step else {
            return nil
        }
        self.init(step: step, loss: loss)
    }
}
