extension SweepSpecification {
    /// Every key of a specification with its meaning, for the command line's help.
    package static let reference = """
        recipe = "char.toml"
            The recipe of all runs, relative to the specification's folder.
        batches = [8, 16, 32, 64]
            Global batches, in sequences.
        learning_rates = [1e-4, 2e-4, 4e-4, 8e-4, 1.6e-3]
            The grid's rates at base_batch, best a factor of 2 apart or less.
        widths = [64, 128, 256]
            Widths of the model, to learn whether a rate transfers to larger models. Heads keep
            their width. If widths and layers are unset, the sweep has the recipe's model only.
        layers = [2, 4, 8]
            Numbers of layers; every width is trained with every one of them.
        parametrizations = ["standard", "mup"]
            The parametrizations to compare: "standard", "mup" or "completep". They set how initial
            values and rates depend on the size. All are identical at the base size, which is
            trained once: the recipe's base_width and base_layers or, if unset, the largest.
        tokens_per_parameter = [20]
            Instead of tokens: tokens for each parameter outside the embeddings and the head.
        grid_exponent = 0
            The grid moves with (batch / base_batch)^grid_exponent, to keep the optimum in its
            middle.
        seeds = [1, 2, 3]
            Seeds of parameters and data order, the same for all rates; at least two for intervals.
        base_batch = 8
            The batch whose best rate the rules scale; if unset, the smallest.
        rules = ["none", "sqrt", "linear"]
            The rules to judge: names, or tables of [scaling]'s keys such as
            { rule = "power", exponent = 0.7 } or { rule = "formula", formula = "lr*(B/B0)^0.7" }.
            Rules that change more than the rate (adam-sde, beta2-half-life) get runs of their own,
            at the batches that they reach.
        tokens = [262144, 1048576]
            The numbers of tokens after which batches are compared, each a multiple of every
            batch's tokens per step.
        steps = [64, 256]
            The numbers of steps after which batches are compared. Set tokens, steps or both. If
            one is unset, it defaults to the value that requires no longer runs: the largest
            batch's steps, or the smallest one's tokens. Use [] for none.
        evaluations = 8
            Validation losses of a run, each on the full set; more if comparisons need them.
        extend = 3
            Rates that a batch's grid may gain on each side if its best rate lies on that edge, and
            between the best rate and one next to it that diverges.
        tolerance = 0.01
            The regret, in nats, up to which a rule holds.
        target_losses = [1.8, 1.7]
            Losses whose steps and tokens are compared; if unset, three that all batches reach.

        [set]
        "optimizer.name" = "sgd"
            Changes to the recipe. Its [scaling] is ignored, because rules replace it.

        A run is compared at several steps, so its rate must be constant: schedule.name = "constant",
        with training.averaging_power = 7 to evaluate averaged parameters.

        """
}
