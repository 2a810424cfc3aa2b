import Compute
import Support

/// A recipe's `[optimizer]`: the update rule and its hyper-parameters.
public struct OptimizerConfiguration: Sendable, Equatable {
    /// The tensors that weight decay shrinks.
    public enum DecayScope: String, NamedChoice {
        /// Tensors of two or more dimensions: matrices and embeddings, not biases or LayerNorm.
        case matrices
        /// Every tensor, as PyTorch does with a single parameter group.
        case all
    }

    /// `name`: the optimizer.
    public var name: Name
    /// `learning_rate`: the rate at the base batch of the scaling rule; above 0.
    public var learningRate = 3e-4
    /// `adam_learning_rate`: the rate of the tensors that Muon updates as AdamW, at the base batch
    /// of the scaling rule; above 0. Nil stands for `learning_rate`.
    public var adamLearningRate: Double?
    /// `momentum`: the momentum of SGD, LARS and Muon, in [0, 1); 0 for none.
    public var momentum: Double
    /// `nesterov`: whether SGD or Muon looks ahead along its momentum.
    public var nesterov: Bool
    /// `dampening`: the fraction of the gradient that SGD keeps out of its momentum, in [0, 1].
    public var dampening = 0.0
    /// `betas[0]`: Adam's decay of the mean gradient, in [0, 1).
    public var beta1 = 0.9
    /// `betas[1]`: Adam's decay of the mean squared gradient, in [0, 1).
    public var beta2 = 0.95
    /// `epsilon`: the number that Adam adds to its denominator, a normal fp32 number above 0.
    public var epsilon = 1e-8
    /// `weight_decay`: the weight decay; 0 for none.
    public var weightDecay: Double
    /// `decay`: the tensors to which weight decay applies. LAMB and LARS scale only the steps of
    /// these tensors by norms, as in their authors' implementations; the other tensors are updated
    /// as by Adam or SGD.
    public var decay = DecayScope.matrices
    /// `trust_coefficient`: the ratio of LARS's step at a rate of 1 to the tensor's norm; above 0.
    package var trustCoefficient = usualTrustCoefficient
    /// `clip_norm`: the global gradient norm above which gradients are clipped; 0 never clips.
    public var clipNorm = 1.0
    /// `sharded`: whether each rank updates only its own part of the parameters and keeps only the
    /// state of that part (ZeRO-1, Rajbhandari et al. 2020). It never changes bits.
    package var sharded = false

    /// Creates a configuration whose defaults follow GPT practice for AdamW.
    ///
    /// Weight decay defaults to 0.1 for AdamW and Muon, to 0.01 for LAMB as in its paper, and to 0 for the
    /// others. The others couple decay to the gradient, so the same number would have another
    /// meaning. Muon's momentum, Nesterov's, and its decay are those of `torch.optim.Muon`.
    public init(name: Name) {
        self.name = name
        momentum = name.traits.usualMomentum
        nesterov = name.traits.usualNesterov
        weightDecay = name.traits.usualWeightDecay
    }

    /// The rate of the tensors that Muon updates as AdamW, relative to that of the matrices.
    package var adamLearningRateFactor: Double {
        adamLearningRate.map { $0 / learningRate } ?? 1
    }

    /// LARS's default `trust_coefficient`, from its paper.
    package static let usualTrustCoefficient = 0.001

    /// The number of state values that the rule keeps per parameter.
    package var statesPerParameter: Int {
        name.takes(.betas) ? 2 : momentum > 0 ? 1 : 0
    }

    /// The number of steps over which the optimizer averages gradients or their squares: the time
    /// constant of the longest average, or 1 if there is none.
    package var averagingSteps: Double {
        1 / (1 - (name.takes(.betas) ? max(momentum, beta1, beta2) : momentum))
    }

    /// Returns the tensors that weight decay shrinks, in the layout's order; none if `weightDecay`
    /// is 0.
    package func decayedTensors(in layout: ArenaLayout) -> [NamedTensor] {
        weightDecay == 0 ? [] : layout.tensors.filter(decays)
    }

    /// Returns whether weight decay, if there is any, shrinks this tensor.
    package func decays(_ tensor: NamedTensor) -> Bool {
        switch decay {
        case .matrices: tensor.shape.count >= 2
        case .all: true
        }
    }

    /// Returns whether the rule scales its step by this tensor's norm.
    package func adapts(_ tensor: NamedTensor) -> Bool { name.hasTrustRatios && decays(tensor) }

    /// The learning rates that are neither 0 nor infinite in fp32, with which the rules compute.
    package static let learningRates =
        Double(Float.leastNormalMagnitude)...Double(Float.greatestFiniteMagnitude)

    /// Checks every value.
    ///
    /// - Throws: `Failure` (configuration) that names the first impossible value.
    public func validate() throws(Failure) {
        try require(
            Self.learningRates.contains(learningRate),
            or: .key(
                "[optimizer] learning_rate", learningRate,
                "must be a number from 1.2e-38 to 3.4e38, which fp32 can hold",
                remedy: "use 1e-4 to 1e-3 for a GPT of up to 1 billion parameters"))
        try validateAdamLearningRate()
        try require(
            weightDecay.isFinite && weightDecay >= 0,
            or: .key(
                "[optimizer] weight_decay", weightDecay, "must be a finite number, 0 or more",
                remedy: "use 0 for none, or 0.1 as GPT-3 did"))
        try require(
            clipNorm.isFinite && clipNorm >= 0,
            or: .key(
                "[optimizer] clip_norm", clipNorm, "must be a finite number, 0 or more",
                remedy: "use 0 to clip nothing, or 1.0 as GPT-3 did"))
        try validateMomentum()
        try validateAdam()
        try validateTrustRatios()
    }

    private func validateAdamLearningRate() throws(Failure) {
        guard let adamLearningRate else { return }
        try require(
            name.takes(.adamLearningRate),
            or: .key(
                "[optimizer] adam_learning_rate", adamLearningRate,
                "does nothing with name = \"\(name.rawValue)\"",
                remedy: "remove it, or set \(Name.setting { $0.keys.contains(.adamLearningRate) })"
            ))
        try require(
            Self.learningRates.contains(adamLearningRate),
            or: .key(
                "[optimizer] adam_learning_rate", adamLearningRate,
                "must be a number from 1.2e-38 to 3.4e38, which fp32 can hold",
                remedy: "use 1e-4 to 1e-3, or remove it for learning_rate"))
    }

    private func validateMomentum() throws(Failure) {
        let takesMomentum = name.takes(.momentum)
        let takers = Name.setting { $0.keys.contains(.momentum) }
        try require(
            (0..<1).contains(momentum),
            or: .key(
                "[optimizer] momentum", momentum, "must be in [0, 1)",
                remedy: "use \(momentum < 0 ? "0 for none" : "0.9 or another number below 1")"))
        try require(
            (0...1).contains(dampening),
            or: .key(
                "[optimizer] dampening", dampening, "must be in [0, 1]",
                remedy: "use \(dampening > 1 ? "1 at most" : "0 for none")"))
        try require(
            takesMomentum || momentum == 0,
            or: .key(
                "[optimizer] momentum", momentum, "does nothing with name = \"\(name.rawValue)\"",
                remedy: "\(name.takes(.betas) ? "set betas instead" : "remove it"), or \(takers)"))
        let setting = takesMomentum ? "name = \"\(name.rawValue)\"" : takers
        try require(
            !nesterov || momentum > 0,
            or: .key(
                "[optimizer] nesterov", nesterov, "needs momentum",
                remedy: "set \(setting) and momentum = 0.9, or nesterov = false"))
        try require(
            dampening == 0 || momentum > 0,
            or: .key(
                "[optimizer] dampening", dampening, "needs momentum",
                remedy: "set \(setting) and momentum = 0.9, or dampening = 0"))
        try require(
            dampening == 0 || name.takes(.dampening),
            or: .key(
                "[optimizer] dampening", dampening, "does nothing with name = \"\(name.rawValue)\"",
                remedy: "remove it, or set \(Name.setting { $0.keys.contains(.dampening) })"))
        try require(
            !nesterov || dampening == 0,
            or: .key(
                "[optimizer] dampening", dampening, "contradicts nesterov = true",
                remedy: "set dampening = 0, or nesterov = false"))
    }

    private func validateAdam() throws(Failure) {
        for (beta, usual) in [(beta1, "0.9"), (beta2, "0.95")] {
            try require(
                (0..<1).contains(beta),
                or: .key(
                    "[optimizer] betas", [beta1, beta2], "must be two numbers in [0, 1)",
                    remedy: "use \(usual) for \(beta), or another number below 1"))
        }
        try require(
            epsilon.isFinite && epsilon >= Double(Float.leastNormalMagnitude),
            or: .key(
                "[optimizer] epsilon", epsilon,
                "must be at least 1.2e-38, because fp32 rounds smaller numbers to 0",
                remedy: "use 1e-8"))
        try require(
            Float(epsilon).isFinite,
            or: .key(
                "[optimizer] epsilon", epsilon, "must be a number that fp32 can hold",
                remedy: "use 1e-8"))
    }

    private func validateTrustRatios() throws(Failure) {
        try require(
            trustCoefficient.isFinite && trustCoefficient > 0,
            or: .key(
                "[optimizer] trust_coefficient", trustCoefficient,
                "must be a finite number above 0",
                remedy: "use 0.001"))
        try require(
            name.takes(.trustCoefficient) || trustCoefficient == Self.usualTrustCoefficient,
            or: .key(
                "[optimizer] trust_coefficient", trustCoefficient,
                "does nothing with name = \"\(name.rawValue)\"",
                remedy: "remove it, or set \(Name.setting { $0.keys.contains(.trustCoefficient) })")
        )
        try require(
            !sharded || !name.hasTrustRatios,
            or: .key(
                "[optimizer] sharded", sharded,
                "leaves no rank the whole tensors whose norms name = \"\(name.rawValue)\" needs",
                remedy: "set sharded = false, or \(Name.setting { !$0.hasTrustRatios })"))
    }
}
