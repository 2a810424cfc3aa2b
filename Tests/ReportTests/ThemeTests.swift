import Foundation
import Report
import Testing

/// Tests of the themes' colors.
@Suite struct ThemeTests {
    /// Linear maps of RGB colors to the colors seen with all cones and without one kind of them
    /// (Machado, Oliveira & Fernandes 2009, severity 1).
    private static let eyes: [(name: String, rows: [SIMD3<Double>])] = [
        ("all", [[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
        (
            "protanopia",
            [
                [0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                [-0.003882, -0.048116, 1.051998],
            ]
        ),
        (
            "deuteranopia",
            [
                [0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                [-0.011820, 0.042940, 0.968881],
            ]
        ),
        (
            "tritanopia",
            [
                [1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                [0.004733, 0.691367, 0.303900],
            ]
        ),
    ]

    /// Returns the linear RGB color of "#rrggbb" (IEC 61966-2-1).
    private func linear(_ color: String) throws -> SIMD3<Double> {
        let number = try #require(Int(color.dropFirst(), radix: 16))
        let parts = [number >> 16, number >> 8 & 255, number & 255].map { Double($0) / 255 }
        let light = parts.map { $0 <= 0.04045 ? $0 / 12.92 : pow(($0 + 0.055) / 1.055, 2.4) }
        return SIMD3(light[0], light[1], light[2])
    }

    private func times(_ rows: [SIMD3<Double>], _ vector: SIMD3<Double>) -> SIMD3<Double> {
        SIMD3((rows[0] * vector).sum(), (rows[1] * vector).sum(), (rows[2] * vector).sum())
    }

    /// Returns the CIE L*a*b* color under D65.
    private func lab(_ linear: SIMD3<Double>) -> SIMD3<Double> {
        let inside = linear.clamped(lowerBound: .zero, upperBound: .one)
        let xyz = times(
            [
                [0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
                [0.0193339, 0.1191920, 0.9503041],
            ], inside)
        let (epsilon, kappa) = (216.0 / 24389, 24389.0 / 27)
        let relative: [Double] = [xyz.x / 0.95047, xyz.y, xyz.z / 1.08883]
        let f = relative.map { part -> Double in
            part > epsilon ? cbrt(part) : (kappa * part + 16) / 116
        }
        return SIMD3(116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2]))
    }

    private func luminance(_ color: String) throws -> Double {
        (try linear(color) * SIMD3(0.2126, 0.7152, 0.0722)).sum()
    }

    /// Returns the contrast ratio of WCAG 2.1.
    private func contrast(_ first: String, _ second: String) throws -> Double {
        let light = [try luminance(first), try luminance(second)].sorted()
        return (light[1] + 0.05) / (light[0] + 0.05)
    }

    @Test(
        "series are distinguishable with every kind of color vision",
        arguments: [Theme.light, .dark])
    func series(theme: Theme) throws {
        #expect(theme.palette.count == 6)
        for (name, rows) in Self.eyes {
            let seen = try theme.palette.map { lab(times(rows, try linear($0))) }
            for (index, first) in seen.enumerated() {
                for second in seen[(index + 1)...] {
                    let difference = first - second
                    // About ten times the just noticeable difference between patches (2.3 according
                    // to Mahy et al. 1994), because lines are thin and far apart.
                    #expect((difference * difference).sum().squareRoot() > 23, "\(name)")
                }
            }
        }
    }

    @Test(
        "verdicts are distinguishable with every kind of color vision, and their words readable",
        arguments: [Theme.light, .dark])
    func verdicts(theme: Theme) throws {
        #expect(theme.verdicts.count == 3)
        for (name, rows) in Self.eyes {
            let seen = try theme.verdicts.map { lab(times(rows, try linear($0))) }
            for (index, first) in seen.enumerated() {
                for second in seen[(index + 1)...] {
                    let difference = first - second
                    #expect((difference * difference).sum().squareRoot() > 23, "\(name)")
                }
            }
        }
        for fill in theme.verdicts {
            // The template's threshold.
            let ink = try luminance(fill) > 0.18 ? "#10141a" : "#ffffff"
            #expect(try contrast(ink, fill) >= 4.5, "\(fill)")
        }
    }

    @Test(
        "colors with an order are visible, and neighbors are distinguishable",
        arguments: [Theme.light, .dark])
    func order(theme: Theme) throws {
        let contrasts = try theme.ordered.map { try contrast($0, theme.surface) }
        #expect(contrasts == contrasts.sorted() && contrasts[0] >= 3)
        for (name, rows) in Self.eyes {
            let seen = try theme.ordered.map { lab(times(rows, try linear($0))) }
            for (first, second) in zip(seen, seen.dropFirst()) {
                let difference = first - second
                #expect((difference * difference).sum().squareRoot() > 10, "\(name)")
            }
        }
    }

    @Test("everything is readable on its background", arguments: [Theme.light, .dark])
    func contrasts(theme: Theme) throws {
        for color in theme.palette {
            #expect(try contrast(color, theme.surface) >= 3, "\(color)")
        }
        for text in [
            theme.ink, theme.muted, theme.accent, theme.good, theme.warning, theme.bad,
        ] {
            #expect(try contrast(text, theme.surface) >= 4.5, "\(text)")
            #expect(try contrast(text, theme.raised) >= 4.5, "\(text)")
        }
    }

    @Test(
        "ramps change steadily in lightness, and their low end stands out",
        arguments: [
            Theme.light, .dark,
        ])
    func ramps(theme: Theme) throws {
        for ramp in [theme.heat, theme.terrain] {
            let contrasts = try ramp.map { try contrast($0, theme.surface) }
            #expect(contrasts == contrasts.sorted(by: >))
        }
    }
}
