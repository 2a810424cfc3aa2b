import Compute
import Optimizers
import TestSupport
import Testing

/// Tests of updates compared with PyTorch.
@Suite struct TorchUpdateTests {
    @Test("20 steps of every rule on the same gradients end within 1e-7 of PyTorch's")
    func twentySteps() throws {
        let updates = try golden("updates", as: UpdateCases.self)
        #expect(updates.gradients.count == 20)
        #expect(updates.cases.count == 12)
        var layout = ArenaLayout()
        for shape in updates.shapes {
            // The padding is that of an embedding whose rows are rounded up.
            layout.append(shape.name, shape: shape.shape, padding: 21)
        }
        for reference in updates.cases {
            try check(reference, updates, layout)
        }
    }

    private func check(_ reference: UpdateCases.Case, _ updates: UpdateCases, _ layout: ArenaLayout)
        throws
    {
        let configuration = try reference.configuration()
        try configuration.validate()
        var optimizer = Optimizer(configuration: configuration, layout: layout)
        let parameters = layout.arena(updates.initial)
        for (index, gradient) in updates.gradients.enumerated() {
            optimizer.beginStep()
            optimizer.update(
                parameters: parameters, gradients: layout.arena(gradient),
                learningRate: updates.learningRates[index], range: 0..<layout.count)
            if let expected = reference.parameters["\(index + 1)"] {
                let title = "\(reference.title), step \(index + 1)"
                compare(parameters, expected, layout: layout, title: title)
            }
        }
        #expect(layout.gapsAreZero(in: parameters), "\(reference.title)")
        #expect(Set(optimizer.states.map(\.name)) == Set(reference.state.keys))
        for state in optimizer.states {
            let expected = try #require(reference.state[state.name])
            compare(
                state.buffer, expected, layout: layout, title: "\(reference.title), \(state.name)")
            #expect(layout.gapsAreZero(in: state.buffer), "\(reference.title), \(state.name)")
        }
    }

    private func compare(
        _ arena: Buffer<Float>, _ expected: NamedValues, layout: ArenaLayout, title: String
    ) {
        for tensor in layout.tensors {
            let values = Array(arena.elements[tensor.range])
            guard let reference = expected[tensor.name], reference.count == values.count else {
                Issue.record("\(title): no values for \(tensor.name)")
                continue
            }
            let distance = relativeDistance(values, reference)
            #expect(distance < 1e-7, "\(title), \(tensor.name)")
            let largest = reference.map(abs).max() ?? 0
            for (value, expected) in zip(values, reference) {
                // Sums of 20 numbers that cancel keep the rounding error of the largest one.
                let tolerance = 2e-7 * abs(expected) + 1e-7 * largest
                #expect(abs(value - expected) <= tolerance, "\(title), \(tensor.name)")
            }
        }
    }
}
