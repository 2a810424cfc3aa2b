import Recipes

extension OptimizerConfiguration {
    /// Creates a configuration with these values and the defaults of recipes for the others.
    package init(
        name: Name = .adamw, learningRate: Double = 3e-4, momentum: Double = 0,
        nesterov: Bool = false, dampening: Double = 0, beta1: Double = 0.9, beta2: Double = 0.95,
        epsilon: Double = 1e-8, weightDecay: Double? = nil, decay: DecayScope = .matrices,
        trustCoefficient: Double = usualTrustCoefficient, clipNorm: Double = 1,
        sharded: Bool = false
    ) {
        self.init(name: name)
        self.learningRate = learningRate
        self.momentum = momentum
        self.nesterov = nesterov
        self.dampening = dampening
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.weightDecay = weightDecay ?? self.weightDecay
        self.decay = decay
        self.trustCoefficient = trustCoefficient
        self.clipNorm = clipNorm
        self.sharded = sharded
    }
}

extension ScheduleConfiguration {
    /// Creates a configuration with these values and the defaults of recipes for the others.
    package init(
        name: Name = .cosine, warmup: Warmup = .linear, warmupSteps: Int? = nil,
        warmupStartFactor: Double? = nil, stableSteps: Int? = nil, decaySteps: Int? = nil,
        minimumLearningRate: Double? = nil, decay: Schedule.Shape = .linear,
        parts: [PartConfiguration] = []
    ) {
        self.init()
        self.name = name
        self.warmup = warmup
        self.warmupSteps = warmupSteps
        self.warmupStartFactor = warmupStartFactor
        self.stableSteps = stableSteps
        self.decaySteps = decaySteps
        self.minimumLearningRate = minimumLearningRate
        self.decay = decay
        self.parts = parts
    }
}

extension ScalingConfiguration {
    /// Creates a configuration with these values and the defaults of recipes for the others.
    package init(
        rule: Rule = .linear, exponent: Double? = nil, baseBatch: Int? = nil,
        noiseScale: Double? = nil, noiseExponent: Double? = nil, formula: String? = nil,
        weightDecay: WeightDecay = .kept, warmup: Warmup = .steps, gradualWarmup: Bool = false
    ) {
        self.init()
        self.rule = rule
        self.exponent = exponent
        self.baseBatch = baseBatch
        self.noiseScale = noiseScale
        self.noiseExponent = noiseExponent
        self.formula = formula
        self.weightDecay = weightDecay
        self.warmup = warmup
        self.gradualWarmup = gradualWarmup
    }
}
