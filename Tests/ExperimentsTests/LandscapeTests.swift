import Compute
import Experiments
import Foundation
import Model
import Recipes
import Testing

/// A small model's layout and parameters.
private struct SmallModel {
    let layout: GPTLayout
    let parameters: Buffer<Float>

    init() {
        var configuration = GPTConfiguration()
        configuration.layers = 2
        configuration.heads = 2
        configuration.width = 16
        configuration.contextLength = 8
        configuration.vocabularySize = 29
        layout = GPTLayout(configuration)
        parameters = Buffer(count: layout.arena.count)
        layout.initialize(parameters, seed: 5)
    }
}

/// Tests of filter-normalized directions.
@Suite struct FilterDirectionsTests {
    private func norm(_ values: Buffer<Float>, _ places: some Sequence<Int>) -> Double {
        places.reduce(0) { $0 + pow(Double(values.base[$1]), 2) }.squareRoot()
    }

    /// In fp32 each square has a relative rounding error of 1e-7.
    @Test("filters have the norms of the parameters' filters")
    func filtersHaveTheNormsOfTheParameters() {
        let model = SmallModel()
        let direction = FilterDirections.direction(
            1, seed: 1, at: model.parameters, layout: model.layout)
        for tensor in model.layout.arena.tensors where tensor.shape.count == 2 {
            let (rows, columns) = (tensor.shape[0], tensor.shape[1])
            let byRow = ["wte.weight", "wpe.weight"].contains(tensor.name)
            for filter in 0..<(byRow ? rows : columns) {
                let places =
                    byRow
                    ? Array((0..<columns).map { tensor.offset + filter * columns + $0 })
                    : (0..<rows).map { tensor.offset + $0 * columns + filter }
                let wanted = norm(model.parameters, places)
                #expect(abs(norm(direction, places) - wanted) < 1e-6 * wanted)
            }
        }
    }

    @Test("biases, norms and padding have no direction")
    func biasesNormsAndPaddingHaveNoDirection() {
        let model = SmallModel()
        let direction = FilterDirections.direction(
            1, seed: 1, at: model.parameters, layout: model.layout)
        let matrices = model.layout.arena.tensors.filter { $0.shape.count == 2 }
        let inMatrices = Set(matrices.flatMap(\.range))
        for place in 0..<direction.count where !inMatrices.contains(place) {
            #expect(direction.base[place] == 0)
        }
    }

    @Test("each seed and number has its own direction")
    func eachSeedAndNumberHasItsOwnDirection() {
        let model = SmallModel()
        func direction(_ number: Int, _ seed: UInt64) -> [Float] {
            let direction = FilterDirections.direction(
                number, seed: seed, at: model.parameters, layout: model.layout)
            return Array(direction.elements)
        }
        #expect(direction(1, 1) == direction(1, 1))
        #expect(direction(1, 1) != direction(2, 1))
        #expect(direction(1, 1) != direction(1, 2))
    }

    @Test("a filter of zeros stays zero")
    func aFilterOfZerosStaysZero() {
        for (values, other, axis) in [
            ([1, 2, 3, 4], [0, 0, 3, 4], .rows), ([3, 1, 4, 1], [6, 0, 8, 0], .columns),
        ] as [([Float], [Float], Matrix.FilterAxis)] {
            let (direction, parameters) = (Buffer<Float>(count: 4), Buffer<Float>(count: 4))
            _ = direction.elements.update(fromContentsOf: values)
            _ = parameters.elements.update(fromContentsOf: other)
            Matrix(direction.base, rows: 2, columns: 2).scaleFilters(
                axis, toLengthsOf: Matrix(parameters.base, rows: 2, columns: 2))
            #expect(Array(direction.elements) == other)
        }
    }
}

/// Tests of principal planes.
@Suite struct PrincipalPlaneTests {
    private static let layout: ArenaLayout = {
        var layout = ArenaLayout()
        layout.append("first", shape: [5, 7])
        layout.append("second", shape: [3])
        return layout
    }()

    /// Orthonormal directions over both tensors.
    private static let planted: (first: [Float], second: [Float]) = {
        var first = [Float](repeating: 0, count: layout.count)
        var second = first
        first[2] = 0.6
        first[layout.tensors[1].offset] = 0.8
        second[10] = 1
        return (first, second)
    }()

    private static func path(_ places: [(Float, Float)]) -> ParameterPath {
        ParameterPath(layout: layout, count: places.count) { point, tensor, values in
            for index in 0..<tensor.count {
                let place = tensor.offset + index
                values.base[index] =
                    0.5 + places[point].0 * planted.first[place]
                    + places[point].1 * planted.second[place]
            }
        }
    }

    private static let origin: Buffer<Float> = {
        let origin = Buffer<Float>(count: layout.count)
        for tensor in layout.tensors { for place in tensor.range { origin.base[place] = 0.5 } }
        return origin
    }()

    /// The sums of squares along the planted directions are 20 (9 + 9 + 1 + 1) and 1 (4 x 0.25);
    /// the coordinates in fp32 have a relative error of 1e-7.
    @Test("a planted plane is found")
    func aPlantedPlaneIsFound() throws {
        let places: [(Float, Float)] = [(3, 0.5), (-3, 0.5), (1, -0.5), (-1, -0.5)]
        let path = Self.path(places)
        let products = try path.products(from: Self.origin)
        let plane = try #require(PrincipalPlane(products: products, isCentered: true))
        #expect(abs(plane.explained[0] - 20.0 / 21) < 1e-6)
        #expect(abs(plane.explained[1] - 1.0 / 21) < 1e-6)
        let directions = try path.directions(plane.weights, from: Self.origin)
        let signs = (
            directions[0].base[2] > 0 ? 1.0 : -1, directions[1].base[10] > 0 ? 1.0 : -1
        )
        for place in 0..<Self.layout.count {
            #expect(
                abs(directions[0].base[place] - Float(signs.0) * Self.planted.first[place]) < 1e-6)
            #expect(
                abs(directions[1].base[place] - Float(signs.1) * Self.planted.second[place]) < 1e-6)
        }
        for (found, planted) in zip(plane.coordinates, places) {
            #expect(abs(found.x - signs.0 * Double(planted.0)) < 1e-6)
            #expect(abs(found.y - signs.1 * Double(planted.1)) < 1e-6)
        }
    }

    /// A distant mean adds nothing to a centered variance and dominates one about the origin.
    @Test("centering subtracts the mean")
    func centeringSubtractsTheMean() throws {
        let path = Self.path([(10, 0.5), (10, -0.5), (12, 0), (8, 0)])
        let products = try path.products(from: Self.origin)
        let centered = try #require(PrincipalPlane(products: products, isCentered: true))
        #expect(abs(centered.explained[0] - 8 / 8.5) < 1e-6)
        let plain = try #require(PrincipalPlane(products: products, isCentered: false))
        #expect(abs(plain.explained[0] - 408 / 408.5) < 1e-6)
        #expect(abs(abs(centered.coordinates[2].x) - 12) < 1e-5, "places are from the origin")
    }

    /// The directions are neither orthogonal nor of length 1, and one point lies off the plane.
    @Test("points are projected onto a plane of any directions")
    func projections() throws {
        let (first, second) = (Buffer<Float>(count: 64), Buffer<Float>(count: 64))
        for place in 0..<Self.layout.count {
            first.base[place] = 2 * Self.planted.first[place]
            second.base[place] = Self.planted.first[place] + Self.planted.second[place]
        }
        let plane = ParameterPlane(origin: Self.origin, first: first, second: second)
        let path = ParameterPath(layout: Self.layout, count: 2) { point, tensor, values in
            for index in 0..<tensor.count {
                let place = tensor.offset + index
                // Along the directions, then perpendicular to both.
                values.base[index] =
                    0.5 + 3 * first.base[place] - 2 * second.base[place]
                    + (point == 1 && place == 0 ? 4 : 0)
            }
        }
        let (places, held) = try path.projected(onto: plane)
        for place in places {
            #expect(abs(place.x - 3) < 1e-5 && abs(place.y + 2) < 1e-5)
        }
        // Both differences have squares of 4^2 + 2^2 in the plane, and the second another 16.
        #expect(abs(held - 40.0 / 56) < 1e-6)
    }

    @Test("scales weight the points")
    func scalesWeightThePoints() throws {
        let products = [[10000.0, 0], [0, 1]]
        let plain = try #require(PrincipalPlane(products: products, isCentered: false))
        #expect(abs(plain.explained[1] - 1 / 10001.0) < 1e-12)
        let scaled = try #require(
            PrincipalPlane(products: products, scales: [0.01, 1], isCentered: false))
        #expect(abs(scaled.explained[1] - 0.5) < 1e-12)
        // The directions are orthonormal nevertheless, so the coordinates are those of the unscaled
        // points.
        #expect(abs(scaled.coordinates[0].x - 100) < 1e-9)
        #expect(abs(scaled.coordinates[1].y - 1) < 1e-12)
    }

    @Test("a line is not a plane")
    func lineIsNotAPlane() throws {
        let path = Self.path([(0, 0), (1, 0), (2, 0), (5, 0)])
        let products = try path.products(from: Self.origin)
        #expect(PrincipalPlane(products: products, isCentered: true) == nil)
        #expect(PrincipalPlane(products: [[0, 0], [0, 0]], isCentered: false) == nil)
    }
}

/// Tests of losses on a grid.
@Suite struct LossSurfaceTests {
    private let grid = PlaneGrid(x: -1...1, y: -2...2, size: 5)

    @Test("grid points are numbered by rows")
    func gridPointsAreNumberedByRows() {
        #expect(grid.count == 25)
        #expect(grid.place(0) == (-1, -2))
        #expect(grid.place(3) == (0.5, -2))
        #expect(grid.place(12) == (0, 0))
        #expect(grid.place(24) == (1, 2))
    }

    @Test("a grid around a path contains the path")
    func gridAroundAPathContainsIt() {
        let grid = PlaneGrid(around: [(0, 5), (4, 5), (2, 5)], margin: 0.25, size: 3)
        #expect(grid.x == -1...5)
        #expect(grid.y == 4...6, "a path without extent has one all the same")
    }

    @Test("lines are cut at the edge")
    func linesAreCutAtTheEdge() {
        #expect(grid.edge(from: (0, 0), to: (4, 4)) == (1, 1))
        #expect(grid.edge(from: (0, 1), to: (0.5, -7)) == (0.1875, -2))
        #expect(grid.edge(from: (0, 0), to: (0.5, 0.5)) == (0.5, 0.5))
    }

    @Test("a path ends where it leaves the grid")
    func pathEndsAtTheEdge() {
        let inside = grid.beginning(of: [(0, 0), (0.5, 1), (3, 1), (0, 0)])
        #expect(inside.map(\.x) == [0, 0.5, 1] && inside.map(\.y) == [0, 1, 1])
        #expect(grid.beginning(of: [(9, 9), (0, 0)]).isEmpty)
    }

    /// The quadratic loss (p0 - 1)^2 + 3 (p1 + 2)^2 + p0 p1 is exact in fp32 with the origin (1,
    /// -2) and the directions (2, 0) and (0.5, 1).
    @Test("the surface of a quadratic loss is exact")
    func aQuadraticIsExact() {
        func buffer(_ values: [Float]) -> Buffer<Float> {
            let buffer = Buffer<Float>(count: values.count)
            for (index, value) in values.enumerated() { buffer.base[index] = value }
            return buffer
        }
        let plane = ParameterPlane(
            origin: buffer([1, -2]), first: buffer([2, 0]), second: buffer([0.5, 1]))
        let loss = LossSurface.pointLoss(of: grid, on: plane) { parameters in
            let (p, q) = (Double(parameters.base[0]), Double(parameters.base[1]))
            return (p - 1) * (p - 1) + 3 * (q + 2) * (q + 2) + p * q
        }
        let surface = LossSurface(grid: grid, losses: (0..<grid.count).map(loss))
        for index in 0..<grid.count {
            let (x, y) = grid.place(index)
            let (p, q) = (2 * x + 0.5 * y, y)
            let wanted = p * p + 3 * q * q + (1 + p) * (q - 2)
            #expect(surface.losses[index] == wanted)
        }
        // The lowest point of the quadratic on the grid, found by hand, is p = 1, q = 0.
        #expect(surface.least?.loss == -3)
        #expect(surface.least?.x == 0.5 && surface.least?.y == 0)
        #expect(abs(plane.cosine - 1 / 5.0.squareRoot()) < 1e-15)
    }

    @Test("a value that is not finite is never the lowest")
    func nonFiniteValueIsNeverTheLowest() {
        let small = PlaneGrid(x: 0...1, y: 0...1, size: 2)
        #expect(LossSurface(grid: small, losses: [.nan, 2, -.infinity, 3]).least?.loss == 2)
        let none = [Double](repeating: .nan, count: 4)
        #expect(LossSurface(grid: small, losses: none).least == nil)
    }
}
