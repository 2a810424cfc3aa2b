import Foundation

/// The content of a file that `Tests/Golden/make_statistics_goldens.py` wrote.
func golden<Content: Decodable>(_ name: String, as type: Content.Type) throws -> Content {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    let data = try Data(contentsOf: folder.appendingPathComponent("Golden/\(name).json"))
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try decoder.decode(type, from: data)
}

/// What `fits.json` holds.
struct GoldenFits: Decodable {
    struct Sample: Decodable {
        let values: [Double]
        let mean: Double
        let variance: Double
        let interval: [Double]
    }
    struct Fit: Decodable {
        let x: [Double]
        let y: [Double]
        let weights: [Double]?
        let parameters: [Double]
        let residualSumOfSquares: Double
        let covariance: [[Double]]
        let intervals: [[Double]]?
    }
    let sample: Sample
    let linear: Fit
    let weighted: Fit
    let nonlinear: Fit

    static func load() throws -> GoldenFits { try golden("fits", as: GoldenFits.self) }
}

/// The distance of two numbers over the larger one's size.
func relativeDifference(_ value: Double, _ reference: Double) -> Double {
    value == reference ? 0 : abs(value - reference) / max(abs(value), abs(reference))
}

/// SplitMix64 (Steele, Lea & Flood 2014), with normal numbers by Box & Muller 1958.
struct SeededNoise {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    /// Uniform in (0, 1].
    mutating func uniform() -> Double {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return Double(((z ^ (z >> 31)) >> 11) + 1) * 0x1p-53
    }

    /// Normal, with mean 0 and variance 1.
    mutating func normal() -> Double {
        (-2 * log(uniform())).squareRoot() * cos(2 * Double.pi * uniform())
    }
}
