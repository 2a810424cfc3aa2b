extension SweepSpecification {
    /// Every key of a specification with its meaning, for the command line's help.
    package static let reference = """
        recipe = "char.toml"
            The recipe that every run starts from, seen from the specification's folder.
        batches = [8, 16, 32, 64]
            Global batches, in sequences.
        learning_rates = [1e-4, 2e-4, 4e-4, 8e-4, 1.6e-3]
            The grid's rates, at base_batch; a factor of 2 apart or less tells most.
        grid_exponent = 0
            The grid moves with (batch / base_batch)^this, to keep the optimum in its middle.
        seeds = [1, 2, 3]
            Of parameters and data order; two at least for intervals. Rates share them.
        base_batch = 8
            The batch whose best rate the rules scale; if unset, the smallest.
        rules = ["none", "sqrt", "linear"]
            What is judged: names, or tables of [scaling]'s keys such as
            { rule = "power", exponent = 0.7 } or { rule = "formula", formula = "lr*(B/B0)^0.7" }.
            Rules that change more than the rate (adam-sde, beta2-half-life) get runs of their own,
            at the batches that they reach.
        tokens = [262144, 1048576]
            Batches are compared after equal tokens; a multiple of every batch's tokens a step.
        steps = [64, 256]
            Batches are compared after equal steps. tokens or steps must be there; where the other is
            silent, it is what takes no longer runs: the largest batch's steps, or the smallest one's
            tokens. [] is for none.
        evaluations = 8
            Validation losses of a run, each on the full set; more where comparisons need them.
        extend = 3
            Rates by which a batch's grid may grow on each side where its best lies on the edge, and
            by which it may close in on a rate that diverges next to its best.
        tolerance = 0.01
            The regret in nats up to which a rule holds.
        target_losses = [1.8, 1.7]
            Losses whose steps and tokens are compared; if unset, three that all batches reach.

        [set]
        "optimizer.name" = "sgd"
            Keys of the recipe that differ from it. Its [scaling] is not read: rules stand for it.

        A run is compared at several steps, so its rate must be constant: schedule.name = "constant",
        with training.averaging_power = 7 to evaluate averaged parameters.

        """
}
