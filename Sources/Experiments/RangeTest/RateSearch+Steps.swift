import Support
import Training

extension Job {
    /// Takes the probes of a search and returns it finished; nil if a signal stopped it.
    /// Collective: every rank must call this.
    func probe(
        _ search: RateSearch, _ runner: StepRunner, _ batches: StepRunner.Batches
    ) throws(Failure) -> RateSearch? {
        let steps = search.probeSteps
        let line = progressLine(
            "probing rates", total: search.usualProbes * steps,
            unit: .things("steps", showsRate: true))
        defer { line.finish() }
        var search = search
        while let next = search.next {
            let finished = search.probes.count
            let total = max(search.usualProbes, finished + 1) * steps
            let probe = try runner.run(
                next,
                observe: { probe in
                    line.update(
                        done: finished * steps + probe.losses.count, total: total,
                        details: rateDetails(rate: probe.rate, loss: probe.losses.last ?? .nan))
                },
                isStopped: { () throws(Failure) in try isStopRequested() }, batches: batches)
            guard let probe else { return nil }
            search.add(probe)
        }
        return search
    }
}

/// Returns the details of a progress line about steps at a rate.
func rateDetails(rate: Double, loss: Double) -> [String] {
    [
        "lr \(Format.scientific(rate, digits: 3))",
        "loss \(Format.fixed(loss, decimals: 4))",
    ]
}
