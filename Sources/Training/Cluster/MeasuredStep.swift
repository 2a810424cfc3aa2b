import Support

/// A training step that was measured on one host, as `lockstep bench step --json` prints it.
package struct MeasuredStep: JSONReadable, Sendable, Equatable {
    package let size: String
    package let precision: String
    package let ranks: Int
    package let threads: Int
    package let sequenceLength: Int
    package let parameters: Int
    /// The tokens of a rank in a step.
    package let tokensPerRank: Double
    /// The median duration of a step, and those of its parts.
    package let seconds: Double
    package let forward: Double
    package let backward: Double
    /// The time that the reduction within the host adds, waits for other ranks included.
    package let exposedReduce: Double
    package let update: Double
    /// The data and all other work, which the batch does not change much.
    package let other: Double
    /// The standard deviation of a step.
    package let deviation: Double
    /// The memory of a rank, in bytes.
    package let rankBytes: Int

    package init(json: JSONValue) throws(JSONProblem) {
        size = try json.read("size")
        precision = try json.read("precision")
        ranks = try json.read("ranks")
        threads = try json.read("threads_per_rank")
        sequenceLength = try json.read("sequence_length")
        parameters = try json.read("parameters")
        seconds = try json.read("step_seconds")
        let rate: Double = try json.read("tokens_per_second")
        let mean: Double = try json.read("mean_step_seconds")
        guard ranks >= 1, threads >= 1, sequenceLength >= 1, seconds > 0, mean > 0, rate > 0 else {
            throw .mismatch("measured step")
        }
        tokensPerRank = rate * seconds / Double(ranks)
        // The parts are means, which a single slow step can make larger than those of the median.
        let scale = seconds / mean
        func part(_ name: String) throws(JSONProblem) -> Double {
            let seconds: Double = try json.read("\(name)_seconds")
            return seconds * scale
        }
        forward = try part("forward")
        backward = try part("backward")
        exposedReduce = try part("exposed_reduce")
        update = try part("update")
        other = try part("data") + part("other")
        let deviation: Double? = try json.read("step_seconds_deviation")
        self.deviation = deviation ?? 0
        let memory: Double = try json.read("planned_gib")
        rankBytes = Int(min(0x1p62, max(0, memory * 0x1p30)))
    }

    /// Reads the file of a measured step.
    ///
    /// - Throws: `Failure` (missing input; I/O; bad data) that names what the file lacks.
    package init(path: String) throws(Failure) {
        self = try readJSON(
            path, remedy: "write it with `lockstep bench step --json`")
    }
}
