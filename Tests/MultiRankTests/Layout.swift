import Foundation
import TestSupport
import Testing

/// The ranks, hosts and threads of a run, which must not affect its results.
struct Layout: CustomStringConvertible, Sendable {
    let ranks: Int
    /// The number of ranks on each emulated host; 0 puts all on one.
    let perHost: Int
    let threads: Int

    init(_ ranks: Int, perHost: Int = 0, threads: Int = 1) {
        self.ranks = ranks
        self.perHost = perHost
        self.threads = threads
    }

    var description: String { "\(ranks) ranks, \(perHost) a host, x \(threads)" }

    /// The environment that emulates the hosts.
    var environment: [String: String] {
        perHost == 0 ? [:] : ["LOCKSTEP_RANKS_PER_NODE": "\(perHost)"]
    }
}

extension Workbench {
    /// Trains to the end on a layout and expects success.
    func train(_ arguments: [String], layout: Layout, into run: RunResult) throws {
        let outcome = try train(
            arguments, ranks: layout.ranks, threads: layout.threads, into: run,
            environment: layout.environment)
        try #require(outcome.status == 0, "\(layout): \(outcome.errors)")
        let threads = "\(layout.threads) thread"
        #expect(outcome.errors.contains(" x \(threads)"), "the run used \(layout)")
    }
}

/// Compares every run with the bits of the first one.
struct FirstRun {
    private var results: (metrics: [String], state: [Data])?

    /// Expects that a run has the first one's metrics and its state at some steps, and returns the
    /// metrics.
    @discardableResult
    mutating func expectSame(
        _ run: RunResult, steps: [Int], _ name: String,
        location: SourceLocation = #_sourceLocation
    ) throws -> [String] {
        let metrics = try run.metrics()
        let state = try steps.flatMap { try run.state(step: $0) }
        if let results {
            #expect(metrics == results.metrics, "\(name)", sourceLocation: location)
            #expect(state == results.state, "\(name)", sourceLocation: location)
        } else {
            results = (metrics, state)
        }
        return metrics
    }
}
