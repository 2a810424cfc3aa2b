import Compute
import Support

extension Recipe {
    /// The sections in the order in which they are written.
    static let sections: [String] = fields.reduce(into: []) { sections, field in
        if sections.last != field.section { sections.append(field.section) }
    }

    /// All keys of a recipe, in the order in which they are written.
    static let fields: [RecipeField] =
        modelFields + trainingFields + dataFields + optimizerFields + scheduleFields + scalingFields
        + reductionFields + evaluationFields + checkpointFields + telemetryFields

    private static let modelFields: [RecipeField] = [
        .init(
            "model.architecture", \.model.architecture,
            "The architecture: \(GPTConfiguration.architectureChoice)."),
        .init("model.layers", \.model.layers, "Transformer blocks."),
        .init("model.heads", \.model.heads, "Attention heads in a block; divides width."),
        .init(
            "model.kv_heads", \.model.kvHeads,
            "llama: heads of keys and values, a divisor of heads; if unset, heads."),
        .init("model.width", \.model.width, "Channels of the residual stream."),
        .init(
            "model.hidden_width", \.model.hiddenWidth,
            "llama: channels of the MLP; if unset, 8/3 width rounded up to a multiple of 256."),
        .init(
            "model.context_length", \.model.contextLength,
            "Tokens in a sequence, and gpt2's learned positions."),
        .init(
            "model.vocabulary_size", \.model.vocabularySize,
            "Number of symbols; 0 for the tokenizer's. Padded to a multiple of 16 internally."),
        .init(
            "model.rope_theta", \.model.ropeTheta,
            "llama: base of the rotary frequencies; if unset, 10000."),
        .init(
            "model.rope_scaling", \.model.ropeScaling,
            "llama: Llama 3's frequency scaling: { factor, low_frequency, high_frequency, original_context }."
        ),
        .init(
            "model.norm_epsilon", \.model.normEpsilon,
            "llama: the number that norms add to the mean square; if unset, 1e-5."),
        .init(
            "model.bias", \.model.biasKey, "gpt2: biases in linear layers and layer norms."),
        .init(
            "model.tied_head", \.model.tiedHead,
            "Whether the head's weight is the token embedding; if unset, only in gpt2."),
        .init(
            "model.dropout", \.model.dropout,
            "gpt2: probability of dropping embeddings, attention and residual branches; in [0, 1)."
        ),
        .init(
            "model.parametrization", \.model.parametrization,
            "How initial values and rates follow the width, and in \"completep\" also the layers."),
        .init(
            "model.base_width", \.model.baseWidth,
            "Width at which \"mup\" and \"completep\" equal \"standard\"; keep the width of a head."
        ),
        .init(
            "model.base_layers", \.model.baseLayers,
            "Number of layers at which \"completep\" equals \"standard\"."),
    ]

    private static let trainingFields: [RecipeField] = [
        .init("training.steps", \.training.steps, "Optimizer steps."),
        .init(
            "training.global_batch", \.training.globalBatch,
            "Sequences in one optimizer step, over all ranks."),
        .init(
            "training.batch_schedule", \.training.batchChanges,
            "Changes of global_batch: [{ after_steps = 1000, batch = 64 }], or after_tokens; the rate follows."
        ),
        .init(
            "training.micro_batch", \.training.microBatch,
            "Sequences through the model at once; divides a lane's; 0: a whole lane, or fewer if memory is short."
        ),
        .init(
            "training.precision", \.training.precision,
            "fp32, or bf16: what enters matrix products is rounded, sums and parameters are not."),
        .init(
            "training.recompute", \.training.recompute,
            "Keep only each block's input and recompute the rest; less memory, the same bits."),
        .init(
            "training.seed", \.training.seed, "Seeds initial parameters, sample order and dropout."),
        .init(
            "training.averaging_power", \.training.averagingPower,
            "Power p of the evaluated average; step t weighs t^(p+1) - (t-1)^(p+1); none if unset."
        ),
        .init(
            "training.patience", \.training.patience,
            "Evaluations in a row without a lower validation loss after which the run stops; never if unset."
        ),
        .init(
            "training.max_skipped_steps", \.training.maximumSkippedSteps,
            "Steps in a row without a finite loss and gradient after which the run stops."),
    ]

    private static let dataFields: [RecipeField] = [
        .init(
            "data.mixture", \.data.mixtureList,
            "Folders whose training tokens are mixed by weight, instead of those of --data: { path, weight }."
        ),
        .init(
            "data.reset_at_documents", \.data.resetsAtDocuments,
            "Whether attention and positions start again at each end-of-text token."),
    ]

    private static let optimizerFields: [RecipeField] = [
        .init(
            "optimizer.name", \.optimizer.name,
            "The update rule; muon: AdamW outside the matrices of the blocks."),
        .init(
            "optimizer.learning_rate", \.optimizer.learningRate,
            "The peak rate at base_batch; see [scaling]."),
        .init(
            "optimizer.adam_learning_rate", \.optimizer.adamLearningRate,
            "muon: the peak rate of embeddings, head and vectors at base_batch; if unset, learning_rate."
        ),
        .init(
            "optimizer.momentum", \.optimizer.momentum,
            "Momentum of SGD and LARS (default 0) and Muon (0.95); 0 for none."),
        .init(
            "optimizer.nesterov", \.optimizer.nesterov,
            "Nesterov's momentum for SGD and LARS (default false) and Muon (true)."),
        .init(
            "optimizer.dampening", \.optimizer.dampening,
            "Fraction of the gradient kept out of the momentum."),
        .init(
            "optimizer.betas", \.optimizer.betas,
            "Decay rates of Adam's and LAMB's moments, and of Muon's outside the matrices of blocks."
        ),
        .init(
            "optimizer.epsilon", \.optimizer.epsilon, "Added to the denominator of these moments."),
        .init(
            "optimizer.weight_decay", \.optimizer.weightDecay,
            "Decoupled for AdamW and Muon (default 0.1) and LAMB (0.01), added to the gradient otherwise (0)."
        ),
        .init(
            "optimizer.decay", \.optimizer.decay,
            "What decays, and what LAMB and LARS fit to norms: matrices and embeddings, or all tensors."
        ),
        .init(
            "optimizer.trust_coefficient", \.optimizer.trustCoefficient,
            "Ratio of LARS's step at a rate of 1 to the tensor's norm."),
        .init(
            "optimizer.clip_norm", \.optimizer.clipNorm,
            "The global gradient norm above which gradients are scaled down; 0 never clips."),
        .init(
            "optimizer.sharded", \.optimizer.sharded,
            "Each rank keeps only its part of the optimizer's state, and each host one copy of the parameters; the same bits."
        ),
    ]

    private static let scheduleFields: [RecipeField] = [
        .init("schedule.name", \.schedule.name, "The shape of the learning rate after warmup."),
        .init(
            "schedule.warmup", \.schedule.warmup,
            "How the rate rises: linear from warmup_start_factor, or nanoGPT's (step+1)/(warmup_steps+1)."
        ),
        .init(
            "schedule.warmup_steps", \.schedule.warmupSteps,
            "Steps of warmup; if unset, 2 % of the training steps."),
        .init(
            "schedule.warmup_start_factor", \.schedule.warmupStartFactor,
            "Fraction of the peak at the start; 0 if unset (Transformers' wsd: min_lr_ratio)."
        ),
        .init(
            "schedule.stable_steps", \.schedule.stableSteps,
            "wsd's steps at the peak; if unset, all but warmup and the last fifth."),
        .init(
            "schedule.decay_steps", \.schedule.decaySteps,
            "Step at which the lowest rate is reached and kept; if unset, the training steps."),
        .init(
            "schedule.minimum_learning_rate", \.schedule.minimumLearningRate,
            "The lowest rate, at base_batch; if unset, a tenth of learning_rate."),
        .init("schedule.decay", \.schedule.decay, "The shape of wsd's decay."),
        .init(
            "schedule.parts", \.schedule.parts,
            "Schedules of sequence, or after decay_steps: { name, steps, start_factor, end_factor }."
        ),
    ]

    private static let scalingFields: [RecipeField] = [
        .init(
            "scaling.rule", \.scaling.rule,
            "How the peak rate, or betas, follow k = global_batch / base_batch."),
        .init(
            "scaling.exponent", \.scaling.exponent,
            "Exponent of k for \"power\" and, 0 if unset, for \"beta2-half-life\"."),
        .init(
            "scaling.base_batch", \.scaling.baseBatch,
            "The batch that learning_rate is for; if unset, the global_batch written here."),
        .init(
            "scaling.noise_scale", \.scaling.noiseScale,
            "Gradient noise scale in sequences, for \"noise-scale\", \"surge\" and a formula's Bn."),
        .init(
            "scaling.noise_exponent", \.scaling.noiseExponent,
            "Exponent of \"noise-scale\", in [0.5, 1]; if unset, 1 for SGD and LARS, otherwise 0.5."
        ),
        .init(
            "scaling.formula", \.scaling.formula,
            "Rule \"formula\"'s peak rate of lr, B, B0, k, Bn: \"lr * (B / B0)^0.7\"."),
        .init(
            "scaling.weight_decay", \.scaling.weightDecay,
            "Kept, or scaled to keep AdamW's timescale in tokens: times k / (rate / base rate)."),
        .init(
            "scaling.warmup", \.scaling.warmup,
            "Whether the warmup keeps its steps or, in steps of base_batch, its tokens."),
        .init(
            "scaling.gradual_warmup", \.scaling.gradualWarmup,
            "Warm up from the base rate to the scaled one, as Goyal et al. 2017 do."),
    ]

    private static let reductionFields: [RecipeField] = [
        .init(
            "reduction.lanes", \.reduction.lanes,
            "Slots of the global batch, the most ranks ever; 0: a divisor >= 8, or >= 2 x ranks if over 8."
        ),
        .init(
            "reduction.bucket_mib", \.reduction.bucketMebibytes,
            "Size of the pieces in which gradients are reduced, in MiB."),
        .init(
            "reduction.wire", \.reduction.wire,
            "fp32, or bf16: half the bytes between hosts, every sum rounded alike on any layout."),
        .init(
            "reduction.balance", \.reduction.balance,
            "auto: lanes move from slow ranks to fast ones; the results stay the same."),
    ]

    private static let evaluationFields: [RecipeField] = [
        .init(
            "evaluation.every", \.evaluation.every,
            "Steps between validation losses; 0 for one at the end."),
        .init(
            "evaluation.at", \.evaluation.marks,
            "Further steps after which to evaluate, such as [0, 100, 200, 400]."),
        .init(
            "evaluation.windows", \.evaluation.windows,
            "Number of windows to evaluate, from the validation set's start; 0 for all."),
    ]

    private static let checkpointFields: [RecipeField] = [
        .init(
            "checkpoint.every", \.checkpoint.every,
            "Steps between checkpoints; 0 for one at the end."),
        .init(
            "checkpoint.keep", \.checkpoint.keep, "Number of newest checkpoints to keep; 0 for all."
        ),
        .init(
            "checkpoint.best", \.checkpoint.best,
            "Also write and keep the checkpoint of the evaluation with the lowest loss."),
        .init(
            "checkpoint.background", \.checkpoint.background,
            "Write checkpoints while training continues, from a copy of the state on rank 0."),
        .init(
            "checkpoint.compare_every", \.checkpoint.compareEvery,
            "Steps between comparisons of all ranks' parameters; 0 for only before checkpoints."),
    ]

    private static let telemetryFields: [RecipeField] = [
        .init(
            "telemetry.tensorboard", \.telemetry.tensorboard,
            "Also write the metrics to event files for TensorBoard, in the run's folder."),
        .init(
            "telemetry.histogram_every", \.telemetry.histogramEvery,
            "Steps between TensorBoard's histograms of weights and gradients; 0 for none."),
        .init(
            "telemetry.sample_every", \.telemetry.sampleEvery,
            "Steps between TensorBoard's samples, which the model generates; 0 for none."),
    ]
}

extension [ScheduleConfiguration.PartConfiguration]: RecipeConvertible {
    static let expectation = "a list of tables { name, steps, start_factor, end_factor }"
    static let remedy = "write [[schedule.parts]] for each table"

    static func read(
        _ value: RecipeValue, key: String
    ) throws(Failure) -> [ScheduleConfiguration.PartConfiguration]? {
        try RecipeTable.list(
            value, key: key, names: ["name", "steps", "start_factor", "end_factor"]
        ) { (table) throws(Failure) in
            .init(
                name: try table.required(
                    "name", remedy: "add name = \"constant\", \"linear\" or \"cosine\""),
                steps: try table.value("steps"), startFactor: try table.value("start_factor"),
                endFactor: try table.value("end_factor"))
        }
    }

    var recipeValue: RecipeValue? {
        guard !isEmpty else { return nil }
        return .list(
            map { part in
                var entries: [String: RecipeValue] = ["name": .text(part.name.rawValue)]
                entries["steps"] = part.steps.map { .integer($0) }
                entries["start_factor"] = part.startFactor.map { .real($0) }
                entries["end_factor"] = part.endFactor.map { .real($0) }
                return .table(entries)
            })
    }
}

/// The parts of a mixture, which a recipe omits if there are none.
struct MixtureList: RecipeConvertible {
    var parts: [DataConfiguration.MixturePart]

    static let expectation = "a list of tables { path, weight }"
    static let remedy = "write [[data.mixture]] for each table"

    static func read(_ value: RecipeValue, key: String) throws(Failure) -> MixtureList? {
        let parts = try RecipeTable.list(value, key: key, names: ["path", "weight"]) {
            (table) throws(Failure) in
            DataConfiguration.MixturePart(
                path: try table.required("path", remedy: "name a data folder"),
                weight: try table.value("weight") ?? 1)
        }
        return parts.map(MixtureList.init)
    }

    var recipeValue: RecipeValue? {
        guard !parts.isEmpty else { return nil }
        return .list(parts.map { .table(["path": .text($0.path), "weight": .real($0.weight)]) })
    }
}

extension DataConfiguration {
    var mixtureList: MixtureList {
        get { MixtureList(parts: mixture) }
        set { mixture = newValue.parts }
    }
}
