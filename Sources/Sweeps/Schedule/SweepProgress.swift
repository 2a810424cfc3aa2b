import Support
import Telemetry
import Training

/// The progress line of a sweep on rank 0, which shows how many of the points known so far have
/// ended.
struct SweepProgress {
    private let line: ProgressLine?
    private var details: [String] = []

    init(isShown: Bool, mode: ProgressMode, ledger: SweepLedger) {
        line = (isShown ? try? ledger.progress() : nil).map {
            ProgressLine(
                "sweeping", done: $0.done, total: $0.total,
                unit: .things("runs", showsRate: false), mode: mode,
                environment: processEnvironment())
        }
    }

    func update(_ progress: SweepLedger.Progress) {
        line?.update(done: progress.done, total: progress.total, details: details)
    }

    /// Sets the details of the line to the result of a point that this rank's group has trained.
    mutating func ended(_ result: PointResult) {
        let loss = result.curve.last?.validationLoss ?? .nan
        details = [
            "batch \(result.point.batch)",
            "lr \(Format.scientific(result.learningRate, digits: 3))",
            result.diverged ? "diverged" : "validation \(Format.fixed(loss, decimals: 4))",
        ]
    }

    func finish() { line?.finish() }
}
