import Compute

/// The model y = w x + b with 8 inputs and 2 outputs, and examples of a known one.
struct LinearModel {
    static let inputs = 8
    static let outputs = 2

    let layout: ArenaLayout
    let weight: NamedTensor  // (outputs, inputs)
    let bias: NamedTensor  // (outputs)

    init() {
        var layout = ArenaLayout()
        weight = layout.append("weight", shape: [Self.outputs, Self.inputs])
        bias = layout.append("bias", shape: [Self.outputs])
        self.layout = layout
    }

    /// Returns a parameter of the known model, a multiple of 1/16 from -1 to 1.
    static func knownWeight(_ output: Int, _ input: Int) -> Float {
        Float((7 * output + 5 * input) % 33 - 16) / 16
    }

    static func knownBias(_ output: Int) -> Float { Float(output) - 0.25 }

    /// Returns the inputs of an example, from -1 to 1. They depend only on its number.
    static func example(_ number: Int) -> [Float] {
        (0..<inputs).map { input in
            // The finalizer of SplitMix64.
            var bits = UInt64(number * inputs + input + 1) &* 0x9E37_79B9_7F4A_7C15
            bits = (bits ^ bits >> 30) &* 0xBF58_476D_1CE4_E5B9
            bits = (bits ^ bits >> 27) &* 0x94D0_49BB_1331_11EB
            return Float((bits ^ bits >> 31) >> 40) / 8_388_608 - 1
        }
    }

    /// Adds the gradient of half the squared error of an example, and returns the error.
    func addGradient(
        of number: Int, parameters: Buffer<Float>, to gradients: Buffer<Float>
    ) -> Double {
        let x = Self.example(number)
        var loss = 0.0
        for output in 0..<Self.outputs {
            let row = weight.offset + output * Self.inputs
            var error = parameters.elements[bias.offset + output] - Self.knownBias(output)
            for input in 0..<Self.inputs {
                error +=
                    (parameters.elements[row + input] - Self.knownWeight(output, input)) * x[input]
            }
            for input in 0..<Self.inputs { gradients.elements[row + input] += error * x[input] }
            gradients.elements[bias.offset + output] += error
            loss += Double(error * error) / 2
        }
        return loss
    }
}
