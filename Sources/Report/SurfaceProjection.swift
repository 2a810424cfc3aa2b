import Glibc

/// A place in the picture, x to the right and y downwards, in units of the box's edge.
package struct PicturePoint: Sendable, Equatable {
    package let x: Double
    package let y: Double
}

/// One tile of a surface's mesh as it appears in the picture.
package struct SurfaceTile: Sendable, Equatable {
    /// Its four corners in turn.
    package let corners: [PicturePoint]
    /// How far it is from the eye, larger being farther.
    package let depth: Double
    /// How much light it gets, from 0 to 1.
    package let shade: Double
    /// The mean of its corners' values.
    package let value: Double
}

/// A parallel projection of a box onto the picture, as seen from above and aside.
///
/// The box spans -1/2 to 1/2 in both directions of the ground and 0 to `height` upwards. The eye
/// turns round the vertical axis by `azimuth`, then looks down by `elevation`.
package struct SurfaceProjection: Sendable {
    /// Radians.
    package var azimuth: Double
    /// Radians; a right angle is a view from above.
    package var elevation: Double
    /// Of the box, for a ground of edge 1.
    package var height: Double

    package init(
        azimuth: Double = -Double.pi / 5, elevation: Double = Double.pi / 6, height: Double = 0.6
    ) {
        self.azimuth = azimuth
        self.elevation = elevation
        self.height = height
    }

    /// Where a place of the box appears, and how far from the eye it is.
    package func project(_ x: Double, _ y: Double, _ z: Double) -> (PicturePoint, depth: Double) {
        let right = x * cos(azimuth) - y * sin(azimuth)
        let away = x * sin(azimuth) + y * cos(azimuth)
        let up = away * sin(elevation) + z * cos(elevation)
        return (PicturePoint(x: right, y: -up), away * cos(elevation) - z * sin(elevation))
    }

    /// The eight corners of the box in the picture.
    var boxCorners: [PicturePoint] {
        [0, height].flatMap { z in
            [-0.5, 0.5].flatMap { y in [-0.5, 0.5].map { x in project(x, y, z).0 } }
        }
    }

    /// The tiles of a grid's surface in the order in which they are painted, the farthest first.
    ///
    /// Tiles with a corner that is not finite are left out; values outside `range` are cut to it.
    package func tiles(of grid: RegularGrid, range: ClosedRange<Double>) -> [SurfaceTile] {
        var tiles: [SurfaceTile] = []
        for row in 0..<(grid.rows - 1) {
            for column in 0..<(grid.columns - 1) {
                let places = [(0, 0), (1, 0), (1, 1), (0, 1)].map { (column + $0.0, row + $0.1) }
                let values = places.map { grid[$0.0, $0.1] }
                guard values.allSatisfy(\.isFinite) else { continue }
                let solid = places.map { place in
                    boxPoint(
                        grid, column: place.0, row: place.1,
                        value: grid[place.0, place.1], range: range)
                }
                let projected = solid.map { project($0.x, $0.y, $0.z) }
                tiles.append(
                    SurfaceTile(
                        corners: projected.map(\.0),
                        depth: projected.reduce(0) { $0 + $1.depth } / 4,
                        shade: shade(solid), value: values.reduce(0) { $0 + $1 / 4 }))
            }
        }
        return tiles.sorted { $0.depth > $1.depth }
    }

    private typealias Solid = SIMD3<Double>

    private func boxPoint(
        _ grid: RegularGrid, column: Int, row: Int, value: Double, range: ClosedRange<Double>
    ) -> Solid {
        let span = range.upperBound - range.lowerBound
        let cut = min(max(value, range.lowerBound), range.upperBound)
        return Solid(
            Double(column) / Double(grid.columns - 1) - 0.5,
            Double(row) / Double(grid.rows - 1) - 0.5,
            span > 0 ? (cut - range.lowerBound) / span * height : 0)
    }

    /// The cosine between a tile's normal and the light (Lambert), which comes from above, from the
    /// left of the eye; what is turned away gets none.
    private func shade(_ corners: [Solid]) -> Double {
        let (first, second) = (corners[2] - corners[0], corners[3] - corners[1])
        let normal = Solid(
            first.y * second.z - first.z * second.y, first.z * second.x - first.x * second.z,
            first.x * second.y - first.y * second.x)
        let light = Solid(
            -cos(azimuth) * 0.5 - sin(azimuth) * 0.4, sin(azimuth) * 0.5 - cos(azimuth) * 0.4, 0.77)
        func dot(_ a: Solid, _ b: Solid) -> Double { (a * b).sum() }
        let lengths = (dot(normal, normal) * dot(light, light)).squareRoot()
        return lengths > 0 ? max(0, dot(normal, light) / lengths) : 0
    }
}
