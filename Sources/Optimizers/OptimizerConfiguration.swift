import Failures
import Tensors

/// A recipe's `[optimizer]`: the update rule and its hyper-parameters.
package struct OptimizerConfiguration: Sendable, Equatable {
    /// The update rules, by their names in recipes.
    package enum Name: String, NamedChoice {
        /// Stochastic gradient descent, with momentum and Nesterov's variant; L2 decay.
        case sgd
        /// Adam with L2 decay added to the gradient (Kingma & Ba 2015, Algorithm 1).
        case adam
        /// Adam with decoupled weight decay (Loshchilov & Hutter 2019, Algorithm 2).
        case adamw
    }

    /// The tensors that weight decay shrinks.
    package enum DecayScope: String, NamedChoice {
        /// Tensors of two or more dimensions: matrices and embeddings, not biases or LayerNorm.
        case matrices
        /// Every tensor, as PyTorch does with a single parameter group.
        case all
    }

    /// `name`.
    package var name: Name
    /// `learning_rate`: the rate at the scaling rule's base batch; above 0.
    package var learningRate: Double
    /// `momentum`: SGD's; in [0, 1), 0 for none.
    package var momentum: Double
    /// `nesterov`: whether SGD looks ahead along its momentum.
    package var nesterov: Bool
    /// `dampening`: the part of the gradient that SGD keeps out of its momentum; in [0, 1].
    package var dampening: Double
    /// `betas[0]`: Adam's decay of the mean gradient; in [0, 1).
    package var beta1: Double
    /// `betas[1]`: Adam's decay of the mean squared gradient; in [0, 1).
    package var beta2: Double
    /// `epsilon`: added to Adam's denominator; a normal fp32 number above 0.
    package var epsilon: Double
    /// `weight_decay`: 0 for none.
    package var weightDecay: Double
    /// `decay`: what weight decay applies to.
    package var decay: DecayScope
    /// `clip_norm`: the largest global gradient norm that is left as it is; 0 never clips.
    package var clipNorm: Double
    /// `sharded`: whether each rank keeps the state of, and updates, its own part of the parameters
    /// alone (ZeRO-1, Rajbhandari et al. 2020); changes where the work runs, never its bits.
    package var sharded: Bool

    /// A configuration whose silent values are GPT practice for AdamW.
    ///
    /// Weight decay is 0.1 for AdamW where left out, and 0 for SGD and Adam: their decay is coupled
    /// to the gradient, so that the same number would mean something else.
    package init(
        name: Name = .adamw, learningRate: Double = 3e-4, momentum: Double = 0,
        nesterov: Bool = false, dampening: Double = 0, beta1: Double = 0.9, beta2: Double = 0.95,
        epsilon: Double = 1e-8, weightDecay: Double? = nil, decay: DecayScope = .matrices,
        clipNorm: Double = 1, sharded: Bool = false
    ) {
        self.name = name
        self.learningRate = learningRate
        self.momentum = momentum
        self.nesterov = nesterov
        self.dampening = dampening
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.weightDecay = weightDecay ?? (name == .adamw ? 0.1 : 0)
        self.decay = decay
        self.clipNorm = clipNorm
        self.sharded = sharded
    }

    /// Values of state that the rule keeps for each parameter.
    package var statesPerParameter: Int {
        switch name {
        case .sgd: momentum > 0 ? 1 : 0
        case .adam, .adamw: 2
        }
    }

    /// The tensors that weight decay shrinks, in the layout's order; none when `weightDecay` is 0.
    package func decayedTensors(in layout: ArenaLayout) -> [NamedTensor] {
        weightDecay == 0 ? [] : layout.tensors.filter(decays)
    }

    /// Whether weight decay, if there is any, shrinks this tensor.
    func decays(_ tensor: NamedTensor) -> Bool {
        switch decay {
        case .matrices: tensor.shape.count >= 2
        case .all: true
        }
    }

    /// Checks every value.
    ///
    /// - Throws: a `.configuration` failure that names the first impossible value.
    package func validate() throws(Failure) {
        guard learningRate.isFinite, learningRate > 0 else {
            throw invalid(
                "[optimizer] learning_rate", learningRate, "a number above 0",
                "GPTs of up to 1 billion parameters use 1e-4 to 1e-3")
        }
        guard weightDecay.isFinite, weightDecay >= 0 else {
            throw invalid(
                "[optimizer] weight_decay", weightDecay, "a number from 0 up",
                "use 0 for none, or 0.1 as GPT-3 did")
        }
        guard clipNorm.isFinite, clipNorm >= 0 else {
            throw invalid(
                "[optimizer] clip_norm", clipNorm, "a number from 0 up",
                "use 0 to clip nothing, or 1.0 as GPT-3 did")
        }
        try validateMomentum()
        try validateAdam()
    }

    private func validateMomentum() throws(Failure) {
        guard momentum >= 0, momentum < 1 else {
            throw invalid(
                "[optimizer] momentum", momentum, "in [0, 1)",
                "use \(momentum < 0 ? "0 for none" : "0.9 or another number below 1")")
        }
        guard dampening >= 0, dampening <= 1 else {
            throw invalid(
                "[optimizer] dampening", dampening, "in [0, 1]",
                "use \(dampening > 1 ? "1 at most" : "0 for none")")
        }
        guard name == .sgd || momentum == 0 else {
            throw conflict(
                "[optimizer] momentum", momentum, "does nothing with name = \"\(name.rawValue)\"",
                "set betas instead, or name = \"sgd\"")
        }
        guard !nesterov || momentum > 0 else {
            throw conflict(
                "[optimizer] nesterov", nesterov, "needs momentum",
                "set name = \"sgd\" and momentum = 0.9, or nesterov = false")
        }
        guard dampening == 0 || momentum > 0 else {
            throw conflict(
                "[optimizer] dampening", dampening, "needs momentum",
                "set name = \"sgd\" and momentum = 0.9, or dampening = 0")
        }
        guard !nesterov || dampening == 0 else {
            throw conflict(
                "[optimizer] dampening", dampening, "contradicts nesterov = true",
                "set dampening = 0, or nesterov = false")
        }
    }

    private func validateAdam() throws(Failure) {
        for (beta, usual) in [(beta1, "0.9"), (beta2, "0.95")] where !(beta >= 0 && beta < 1) {
            throw invalid(
                "[optimizer] betas", [beta1, beta2], "two numbers in [0, 1)",
                "use \(usual) for \(beta), or another number below 1")
        }
        guard epsilon.isFinite, epsilon >= Double(Float.leastNormalMagnitude) else {
            throw invalid(
                "[optimizer] epsilon", epsilon, "a number of at least 1.2e-38",
                "use 1e-8; in fp32 a smaller one is zero and would divide by it")
        }
        guard Float(epsilon).isFinite else {
            throw invalid("[optimizer] epsilon", epsilon, "a number that fp32 can hold", "use 1e-8")
        }
    }
}
