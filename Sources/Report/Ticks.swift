import Glibc

/// A place on an axis and what is written there.
package struct Tick: Sendable, Equatable {
    package let value: Double
    package let label: String
}

extension ChartAxis {
    /// Round places between the ends of a domain, at most about `most` of them, with labels.
    package func ticks(in domain: ClosedRange<Double>, most: Int) -> [Tick] {
        let places: [Double]
        if let chosen {
            let inside = chosen.filter(domain.contains)
            let every = max(1, (inside.count + most - 1) / most)
            places = stride(from: 0, to: inside.count, by: every).map { inside[$0] }
        } else {
            places = scale == .log ? logTicks(in: domain, most: most) : linear(domain, most: most)
        }
        return places.map { Tick(value: $0, label: style.text($0)) }
    }

    /// Multiples of one round step.
    private func linear(_ domain: ClosedRange<Double>, most: Int) -> [Double] {
        let span = domain.upperBound - domain.lowerBound
        guard span > 0 else { return [domain.lowerBound] }
        let step = roundStep(atLeast: span / Double(max(1, most)))
        let first = (domain.lowerBound / step - 1e-9).rounded(.up)
        let last = (domain.upperBound / step + 1e-9).rounded(.down)
        guard first <= last else { return [] }
        // Dividing by a whole number where the step is below one gives 0.3 and not
        // 0.30000000000000004.
        let inverse = (1 / step).rounded()
        return stride(from: first, through: last, by: 1).map {
            step < 1 ? $0 / inverse : $0 * step
        }
    }

    /// The smallest of 1, 2 and 5 times a power of ten that is large enough; for times what clocks
    /// show.
    private func roundStep(atLeast least: Double) -> Double {
        if style == .duration, least > 1 {
            let clock: [Double] = [
                2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200,
                86400,
            ]
            if let step = clock.first(where: { $0 >= least }) { return step }
        }
        let power = pow(10, floor(log10(least)))
        return [1, 2, 5, 10].map { $0 * power }.first { $0 >= least * (1 - 1e-9) } ?? least
    }

    /// Powers of ten, with 2 and 5, or all digits, between them where there is room.
    private func logTicks(in domain: ClosedRange<Double>, most: Int) -> [Double] {
        let (low, high) = (domain.lowerBound, domain.upperBound)
        guard low > 0 else { return [] }
        let exponents = Int(floor(log10(low)))...Int(ceil(log10(high)))
        func multiples(_ digits: [Int]) -> [Double] {
            exponents.flatMap { exponent in
                digits.compactMap { Double("\($0)e\(exponent)") }
            }.filter { domain.contains($0) }
        }
        for digits in [Array(1...9), [1, 2, 5], [1, 3], [1]] {
            let places = multiples(digits)
            if places.count <= most {
                // A domain within one digit's reach has no round place; an even division then
                // serves.
                return places.count >= 2 ? places : linear(domain, most: most)
            }
        }
        let powers = multiples([1])
        let every = (powers.count + most - 1) / most
        return stride(from: 0, to: powers.count, by: every).map { powers[$0] }
    }
}
