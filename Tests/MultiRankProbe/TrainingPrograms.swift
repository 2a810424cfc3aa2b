import Compute
import Experiments
import MPI
import Model
import Recipes
import Support
import TestSupport
import Training

/// Runs a range test in the middle of a training on made-up tokens and reports the state around it.
///
/// The arguments are `steps` and `to` (the last rate) of the test, `optimizer`, and `sharded` and
/// `averaged` (0 or 1).
func testRange(_ world: Communicator, _ arguments: Arguments) throws(Failure) {
    let isSharded = arguments.number("sharded", default: 0) == 1
    let recipe = try Recipe(
        toml: """
            [model]
            layers = 1
            heads = 2
            width = 16
            context_length = 8
            vocabulary_size = 11
            [training]
            steps = 6
            global_batch = 4
            \(arguments.number("averaged", default: 0) == 1 ? "averaging_power = 8.0" : "")
            [optimizer]
            name = "\(arguments.text("optimizer", default: "adamw"))"
            sharded = \(isSharded)
            [reduction]
            lanes = 4
            """, name: "the probe's recipe")
    let plan = try TrainingPlan(recipe, ranks: world.size)
    let runner = try StepRunner(plan: plan, communicator: world, engine: ComputeEngine())
    try runner.initialize()
    let tokens = Buffer<Int32>(count: 9)
    let batches: StepRunner.Batches = { sample, sequence in
        for place in 0..<9 { tokens.base[place] = Int32((sample * 7 + place * place) % 11) }
        return TokenBatch(
            inputs: tokens.base, targets: tokens.base + 1, firstSequence: sequence)
    }
    for _ in 0..<3 { _ = try runner.take(batches: batches) }

    var report = RangeTestReport()
    report.rank = world.rank
    report.size = world.size
    report.before = hashes(runner.state)
    let ramp = try RateRamp(
        from: 1e-4, to: Double(arguments.text("to", default: "10")) ?? 10,
        steps: arguments.number("steps", default: 30))
    let curve = try runner.run(
        RangeCurve(ramp), observe: { _ in report.during = hashes(runner.state) }, batches: batches)
    report.after = hashes(runner.state)
    report.losses = curve?.points.map(\.loss.bitPattern) ?? []
    report.ending = curve?.ending?.rawValue ?? ""
    for _ in 0..<3 {
        report.following.append(try runner.take(batches: batches).record.loss.bitPattern)
    }
    try runner.free()
    try printReports(report, on: world)
}

/// Returns the hashes of the state that a step changes, and its counters.
private func hashes(_ state: TrainingState) -> [String] {
    let buffers = [state.parameters.values] + state.optimizer.states.map(\.buffer)
    return buffers.map { SHA256.hash(UnsafeRawBufferPointer($0.bytes)) }
        + ["\(state.step) \(state.optimizer.step)"]
}
