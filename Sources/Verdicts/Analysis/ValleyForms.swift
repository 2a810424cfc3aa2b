import Glibc
import Statistics

/// The standard deviations over batches of the parameters of their valleys' forms; 0 for a
/// parameter that all batches share.
struct FormSpread: Equatable {
    /// The standard deviation of ln(curvature).
    var curvature = 0.0
    /// The standard deviation of the asymmetry of `Valley.Form.linex`.
    var asymmetry = 0.0

    /// The spread with which all batches have the same form.
    static let none = FormSpread()
    /// The spread that hardly pulls the batches' forms together. It allows any form that batches of
    /// one sweep have.
    static let loose = FormSpread(curvature: 1.5, asymmetry: 2)
    /// The spread below which differences are ignored, because they move best rates less than the
    /// errors of forms of their own would.
    private static let least = FormSpread(curvature: 0.2, asymmetry: 0.4)

    /// The spread, with negligible values set to zero.
    var relevant: FormSpread {
        FormSpread(
            curvature: curvature < Self.least.curvature ? 0 : curvature,
            asymmetry: asymmetry < Self.least.asymmetry ? 0 : asymmetry)
    }
}

/// The places of a fit's parameters: ln(best rate) of each batch, then ln(curvature) and the
/// asymmetry, each either shared or of each batch.
struct ValleyParameters {
    let batches: Int
    let form: Valley.Form
    let spread: FormSpread
    /// Whether the asymmetry is fixed at 0.
    let isSymmetric: Bool

    private var hasCurvatures: Bool { spread.curvature > 0 }
    private var hasAsymmetries: Bool { spread.asymmetry > 0 && !isSymmetric }
    private var firstAsymmetry: Int { batches + (hasCurvatures ? batches : 1) }

    /// The number of parameters.
    var count: Int { firstAsymmetry + (isSymmetric ? 0 : hasAsymmetries ? batches : 1) }

    /// Whether all batches share the asymmetry.
    var sharesAsymmetry: Bool { !isSymmetric && !hasAsymmetries }

    /// Returns the place of a batch's ln(curvature).
    func curvature(_ batch: Int) -> Int { batches + (hasCurvatures ? batch : 0) }

    /// Returns the place of a batch's asymmetry, or nil if that is fixed at 0.
    func asymmetry(_ batch: Int) -> Int? {
        isSymmetric ? nil : firstAsymmetry + (hasAsymmetries ? batch : 0)
    }

    /// Returns the parameters of given valleys. A shared parameter is the mean of the valleys'.
    func values(logRates: [Double], valleys: [Valley]) -> [Double] {
        let curvatures = valleys.map { log($0.curvature) }
        let asymmetries = valleys.map(\.asymmetry)
        return logRates + (hasCurvatures ? curvatures : [Sample(curvatures).mean])
            + (isSymmetric ? [] : hasAsymmetries ? asymmetries : [Sample(asymmetries).mean])
    }

    /// Returns the valley of a batch.
    func valley(_ batch: Int, _ values: [Double]) -> Valley {
        Valley(
            form: form, curvature: exp(values[curvature(batch)]),
            asymmetry: asymmetry(batch).map { values[$0] } ?? 0)
    }

    /// A set of parameters, one of each batch, that are shrunk toward their mean.
    private struct Family {
        let places: Range<Int>
        /// The standard deviation over batches.
        let spread: Double
    }

    private var families: [Family] {
        // The asymmetry of the other form is about half as large.
        let scale = form == .linex ? 1 : 0.5
        return [
            hasCurvatures
                ? Family(places: batches..<2 * batches, spread: spread.curvature) : nil,
            hasAsymmetries
                ? Family(places: firstAsymmetry..<count, spread: scale * spread.asymmetry) : nil,
        ].compactMap(\.self)
    }

    /// The number of residuals that shrink parameters toward their mean.
    var shrinkageCount: Int { families.count * batches }

    /// Returns residuals that shrink the forms of the batches toward their mean, as far as the
    /// spread allows.
    ///
    /// - Parameter noise: the standard deviation of the other residuals.
    func shrinkage(_ values: [Double], noise: Double) -> [Double] {
        families.flatMap { family in
            let own = values[family.places]
            let mean = own.reduce(0, +) / Double(batches)
            return own.map { ($0 - mean) * noise / family.spread }
        }
    }

    /// Returns the derivative of a residual of `shrinkage` by a parameter.
    func shrinkageDerivative(_ residual: Int, by place: Int, noise: Double) -> Double {
        let family = families[residual / batches]
        guard family.places.contains(place) else { return 0 }
        let own = family.places.lowerBound + residual % batches == place ? 1.0 : 0
        return (own - 1 / Double(batches)) * noise / family.spread
    }

    /// Returns the number of parameters that the runs determine, without those that the spread
    /// determines.
    ///
    /// - Parameter covariance: the covariance of the parameters.
    func effectiveCount(_ covariance: [[Double]]) -> Double {
        families.reduce(Double(count)) { sum, family in
            let places = family.places
            let own = places.reduce(0) { $0 + covariance[$1][$1] }
            let all = places.reduce(0) { sum, row in
                places.reduce(sum) { $0 + covariance[row][$1] }
            }
            return sum - (own - all / Double(batches)) / (family.spread * family.spread)
        }
    }
}
