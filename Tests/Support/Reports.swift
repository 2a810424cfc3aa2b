/// A rank's report of the probe's `environment` program.
package struct EnvironmentReport: Codable {
    package var rank: Int
    package var size: Int
    package var host: String
    package var threadLevel: String
    package var launchedRank: Int
    package var isSingleton: Bool
    package var libraryVersion: String
    package var sharedRank: Int
    package var sharedSize: Int

    package init(
        rank: Int, size: Int, host: String, threadLevel: String, launchedRank: Int,
        isSingleton: Bool, libraryVersion: String, sharedRank: Int, sharedSize: Int
    ) {
        self.rank = rank
        self.size = size
        self.host = host
        self.threadLevel = threadLevel
        self.launchedRank = launchedRank
        self.isSingleton = isSingleton
        self.libraryVersion = libraryVersion
        self.sharedRank = sharedRank
        self.sharedSize = sharedSize
    }
}

/// A rank's report of the probe's `collectives` program.
package struct CollectivesReport: Codable {
    package var rank = 0
    package var size = 0
    package var gathered: [Int64] = []
    package var gatheredBytes: [[UInt8]] = []
    package var minimum: Int64 = 0
    package var maximum: Double = 0
    package var sums: [Int64] = []
    package var broadcastBytes: [UInt8] = []
    package var broadcastFloats: [Float] = []
    /// The rank whose blocking message arrived, and whether all of it did.
    package var blockingSource = -1
    package var blockingIsWhole = false
    /// The ranks whose nonblocking messages arrived completely, in ascending order.
    package var nonblockingSources: [Int] = []
    package var splitRank = -1
    package var splitSize = -1
    /// The message with the same tag that arrived on the duplicate communicator.
    package var duplicateMessage: UInt8 = 0

    package init() {}
}

/// A rank's report of the probe's `texts` program.
package struct TextsReport: Codable {
    package var gathered: [String] = []
    package var gatheredOnTwo: [String] = []
    package var first: String?
    package var none: String?
    package var broadcast = ""
    package var empty = "not empty"
    package var areSame = false
    package var areSameOnSome = false
    package var lastDiffers = false
    /// The sum of the ranks that are even or odd like this one.
    package var groupSum: Int64 = -1

    package init() {}
}

/// A rank's report of the probe's `window` program.
package struct WindowReport: Codable {
    package var rank = 0
    package var size = 0
    /// Whether all parts were zero at first, and began on pages.
    package var wasZero = false
    package var isOnPages = false
    /// The number that each rank wrote into this rank's part.
    package var received: [UInt64] = []
    /// The bytes of the file system that the window used, and the bytes that were missing after it
    /// was freed.
    package var bytesTaken = 0
    package var bytesKept = 0

    package init() {}
}

/// A rank's report of the probe's `reduce` program.
package struct ReduceReport: Codable {
    package var rank = 0
    package var size = 0
    package var host = ""
    package var lanes: [Int] = []
    /// The number of lanes of each rank at each step, if the lanes moved.
    package var divisions: [[Int]] = []
    /// The hash of the sum's bytes at each step.
    package var hashes: [String] = []
    /// The number of elements whose bits differ from the naive recursive sum of all lanes.
    package var elementsOffTree = 0
    /// The number of elements whose bits would differ if the lanes were added from first to last.
    package var elementsOrderSensitive = 0
    /// The number of distinct gradient buffers that were used in all steps.
    package var buffers = 0
    package var bytesSent = 0
    package var messagesSent = 0
    /// The number of groups of ranks that share memory.
    package var hosts = 0
    /// The reason why ranks share no memory, or an empty string.
    package var notice = ""
    /// The bits of the sum of squares at each step.
    package var squares: [UInt64] = []
    /// The number of steps whose sum of squares differed from one computed afterward.
    package var wrongSquares = 0
    /// The number of elements of the arena that the rank owns.
    package var owned = 0

    package init() {}
}

/// A rank's report of the probe's `statistics` program.
package struct StatisticsReport: Codable {
    package var rank = 0
    package var size = 0
    /// The bits of the summed loss.
    package var lossBits: UInt64 = 0
    package var targets = 0.0
    package var laneLosses: [Double] = []
    package var requests: [UInt64] = []
    package var anyRequest: UInt64 = 0

    package init() {}
}

/// A rank's report of the probe's `range-test` program.
package struct RangeTestReport: Codable {
    package var rank = 0
    package var size = 0
    /// The hashes of parameters and moments, and the counters, before the test, at its last step
    /// and after it.
    package var before: [String] = []
    package var during: [String] = []
    package var after: [String] = []
    /// The bits of the test's losses.
    package var losses: [UInt64] = []
    package var ending = ""
    /// The bits of the losses of the training steps after the test.
    package var following: [UInt64] = []

    package init() {}
}
