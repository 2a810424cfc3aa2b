import Recipes
import Support

/// A training step that was measured on one host, as `lockstep bench step --json` prints it.
package struct MeasuredStep: JSONReadable, Sendable, Equatable {
    /// The measured recipe, with every key set.
    package let recipe: Recipe
    package let ranks: Int
    package let threads: Int
    package let sequenceLength: Int
    /// The median duration of a step, and those of its parts.
    package let seconds: Double
    /// Reading the sequences and the forward pass.
    package let forward: Double
    package let backward: Double
    /// The time that the reduction within the host adds, including waits for other ranks.
    package let reduction: Double
    package let update: Double
    package let other: Double
    /// The standard deviation of a step.
    package let deviation: Double
    /// The memory of a rank, in bytes.
    package let rankBytes: Int

    /// The number of lanes of the rank with most.
    var lanes: Int { (recipe.reduction.lanes + ranks - 1) / ranks }
    /// The number of tokens of the rank with most.
    var tokens: Int {
        lanes * (recipe.training.globalBatch / recipe.reduction.lanes) * sequenceLength
    }

    /// The threads of a rank, and the seconds of a step, that are taken for possible.
    private static let threadLimits = 1...65_536
    private static let secondLimits = 1e-9...1e9

    /// The host of a measured rank.
    private struct Place: JSONReadable {
        let host: String
        init(json: JSONValue) throws(JSONProblem) { host = try json.read("host") }
    }

    package init(json: JSONValue) throws(JSONProblem) {
        let toml: String = try json.read("recipe")
        do throws(Failure) { recipe = try Recipe(toml: toml, name: "recipe") } catch {
            throw .mismatch("recipe", path: "recipe")
        }
        ranks = try json.read("ranks")
        threads = try json.read("threads_per_rank")
        sequenceLength = try json.read("sequence_length")
        seconds = try json.read("step_seconds")
        let mean: Double = try json.read("mean_step_seconds")
        guard ranks >= 1, ranks <= recipe.reduction.lanes, Self.threadLimits.contains(threads),
            sequenceLength >= 1, sequenceLength <= recipe.model.contextLength,
            Self.secondLimits.contains(seconds), Self.secondLimits.contains(mean)
        else { throw .mismatch("measured step") }
        let places: [Place] = try json.read("rank_times")
        guard Set(places.map(\.host)).count == 1 else {
            throw .mismatch("step of a single host", path: "rank_times")
        }
        // The parts are means, which a single slow step can make larger than those of the median.
        let scale = seconds / mean
        func part(_ name: String) throws(JSONProblem) -> Double {
            let seconds: Double = try json.read("\(name)_seconds")
            guard seconds <= Self.secondLimits.upperBound else { throw .mismatch("measured step") }
            return max(0, seconds * scale)
        }
        forward = try part("data") + part("forward")
        backward = try part("backward")
        reduction = try part("exposed_reduce")
        update = try part("update")
        other = try part("other")
        guard forward > 0, backward > 0 else { throw .mismatch("measured step") }
        deviation = try json.read("step_seconds_deviation")
        guard (0...Self.secondLimits.upperBound).contains(deviation) else {
            throw .mismatch("measured step")
        }
        let memory: Double = try json.read("planned_gib")
        rankBytes = Int(min(0x1p62, max(0, memory * 0x1p30)))
    }

    /// Reads the file of a measured step.
    ///
    /// - Throws: `Failure` (missing input; I/O; bad data) that names what the file lacks.
    package init(path: String) throws(Failure) {
        self = try readJSON(
            path, remedy: "write it with `lockstep bench step RECIPE --json` on one host")
    }
}
