import Telemetry

/// What `lockstep find-lr` was asked to do.
package struct RangeTestRequest: Sendable {
    package var recipePath: String
    package var dataPath: String
    package var ramp: RateRamp
    package var overrides: [String]
    /// The run whose newest checkpoint it begins from; nil for new parameters.
    package var startPath: String?
    /// The folder for the results, which is made; nil for none.
    package var outPath: String?
    /// The file for the recipe with the rate that was found, which is made; nil for none.
    package var writePath: String?
    package var threads: Int
    package var progress: ProgressMode
    /// Whether bf16 may run on a processor that lacks it.
    package var emulatesBF16: Bool

    package init(
        recipePath: String, dataPath: String, ramp: RateRamp, overrides: [String] = [],
        startPath: String? = nil, outPath: String? = nil, writePath: String? = nil,
        threads: Int = 1, progress: ProgressMode = .none, emulatesBF16: Bool = false
    ) {
        self.recipePath = recipePath
        self.dataPath = dataPath
        self.ramp = ramp
        self.overrides = overrides
        self.startPath = startPath
        self.outPath = outPath
        self.writePath = writePath
        self.threads = threads
        self.progress = progress
        self.emulatesBF16 = emulatesBF16
    }
}
