import Foundation
import TestSupport

/// The content of `fits.json`.
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

/// Returns the distance of two numbers divided by the size of the larger one.
func relativeDifference(_ value: Double, _ reference: Double) -> Double {
    value == reference ? 0 : abs(value - reference) / max(abs(value), abs(reference))
}
