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
