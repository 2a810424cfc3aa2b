/// The options of `lockstep find-lr`.
package struct RangeTestRequest: Sendable {
    package var recipePath: String
    package var dataPath: String
    package var ramp: RateRamp
    package var overrides: [String]
    /// The run from whose newest checkpoint the test begins; nil for new parameters.
    package var startPath: String?
    /// The folder to create for the results; nil for none.
    package var outPath: String?
    /// The file to create for the recipe with the recommended rate; nil for none.
    package var writePath: String?

    package init(
        recipePath: String, dataPath: String, ramp: RateRamp, overrides: [String],
        startPath: String?, outPath: String?, writePath: String?
    ) {
        self.recipePath = recipePath
        self.dataPath = dataPath
        self.ramp = ramp
        self.overrides = overrides
        self.startPath = startPath
        self.outPath = outPath
        self.writePath = writePath
    }
}
