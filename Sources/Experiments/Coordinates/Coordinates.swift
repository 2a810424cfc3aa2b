import Recipes
import Statistics
import Support

/// The result of a coordinate check (Yang et al. 2022, 2203.03466, appendix D.1): the distances
/// that activations move in the first steps of training, for several sizes of a model.
package struct Coordinates: Sendable {
    package let recipeName: String
    package let axis: CoordinateAxis
    /// The values of the axis in ascending order.
    package let sizes: [Int]
    package let parametrizations: [Parametrization]
    package let seeds: Int
    package let steps: Int
    package let learningRate: Double
    package let runs: [CoordinateRun]
    /// The growth at each place, by parametrization.
    package let slopes: [CoordinateSlope]

    package init(
        recipeName: String, axis: CoordinateAxis, sizes: [Int],
        parametrizations: [Parametrization], seeds: Int, steps: Int, learningRate: Double,
        runs: [CoordinateRun]
    ) {
        self.recipeName = recipeName
        self.axis = axis
        self.sizes = sizes
        self.parametrizations = parametrizations
        self.seeds = seeds
        self.steps = steps
        self.learningRate = learningRate
        self.runs = runs
        slopes = parametrizations.flatMap { parametrization in
            let own = runs.filter { $0.parametrization == parametrization }
            return Self.places(axis, runs).compactMap { CoordinateSlope(own, $0, axis) }
        }
    }

    /// The places whose activations are compared.
    var places: [CoordinatePlace] { Self.places(axis, runs) }

    /// Returns the places of the axis, without the last block if every model has only one block.
    private static func places(
        _ axis: CoordinateAxis, _ runs: [CoordinateRun]
    ) -> [CoordinatePlace] {
        let hasOneBlock = axis == .width && runs.allSatisfy { $0.size.layers == 1 }
        return axis.places.filter { !hasOneBlock || $0 != .lastBlock }
    }

    /// A sentence for each parametrization.
    package var sentences: [String] { parametrizations.map(sentence) }

    /// Whether the activations of a parametrization change equally at every size; nil if that is
    /// undecided.
    package func isFlat(_ parametrization: Parametrization) -> Bool? {
        let findings = slopes.filter { $0.parametrization == parametrization }.map(\.finding)
        if findings.contains(.grows) || findings.contains(.shrinks) { return false }
        return findings.count == places.count
            && findings.allSatisfy { $0 == .flat } ? true : nil
    }

    private func sentence(_ parametrization: Parametrization) -> String {
        "\(parametrization.label): \(finding(parametrization))."
    }

    /// Returns the finding about a parametrization as a clause.
    func finding(_ parametrization: Parametrization) -> String {
        let own = slopes.filter { $0.parametrization == parametrization }
        guard own.count == places.count else {
            return "no exponent can be fitted, because some activations are not finite or do not "
                + "change; use another rate"
        }
        let bent = own.filter { $0.finding == .grows || $0.finding == .shrinks }
        if !bent.isEmpty {
            return "the changes depend on the \(axis.quantity): \(Format.list(bent.map(growth)))"
        }
        let steepest = own.max { abs($0.exponent.value) < abs($1.exponent.value) }
        let steepestText = steepest.map { "; the steepest is \(growth($0))" } ?? ""
        return isFlat(parametrization) == true
            ? "activations change about equally at every \(axis.quantity)\(steepestText)"
            : "undecided\(steepestText); use more seeds or sizes"
    }

    private func growth(_ slope: CoordinateSlope) -> String {
        func number(_ value: Double) -> String { Format.fixed(value, decimals: 2) }
        let interval = slope.exponent.interval.map {
            " (\(number($0.lower)) to \(number($0.upper)) at 95 %)"
        }
        return "the \(slope.place.rawValue), \(axis.rawValue)^\(number(slope.exponent.value))"
            + (interval ?? "")
    }

    /// A row for each run, place and step as comma-separated values.
    package var table: String {
        var lines = ["parametrization,width,layers,seed,step,place,change"]
        for run in runs {
            for (index, changes) in run.changes.enumerated() {
                for place in CoordinatePlace.allCases {
                    let change = changes[place].flatMap { $0.isFinite ? "\($0)" : nil } ?? ""
                    lines.append(
                        "\(run.parametrization.rawValue),\(run.size.width),\(run.size.layers),"
                            + "\(run.seed),\(index + 1),\(place.rawValue),\(change)")
                }
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    package var json: JSONObject {
        [
            "recipe": .string(recipeName), "axis": .string(axis.rawValue),
            "sizes": .array(sizes.map { .integer($0) }), "seeds": .integer(seeds),
            "steps": .integer(steps), "learning_rate": .number(learningRate),
            "flat_bound": .number(CoordinateSlope.flatBound),
            "parametrizations": .array(
                parametrizations.map { parametrization in
                    [
                        "name": .string(parametrization.rawValue),
                        "flat": isFlat(parametrization).map { .bool($0) } ?? .null,
                        "finding": .string(sentence(parametrization)),
                        "slopes": .array(
                            slopes.filter { $0.parametrization == parametrization }.map(Self.json)),
                    ]
                }),
        ]
    }

    private static func json(_ slope: CoordinateSlope) -> JSONValue {
        let interval = slope.exponent.interval
        return [
            "place": .string(slope.place.rawValue),
            "exponent": .number(slope.exponent.value),
            "lower": interval.map { .number($0.lower) } ?? .null,
            "upper": interval.map { .number($0.upper) } ?? .null,
            "finding": .string(slope.finding.rawValue),
        ]
    }
}
