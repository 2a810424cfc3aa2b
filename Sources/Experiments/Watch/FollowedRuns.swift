import Report
import Support
import Training

/// Runs whose page is rewritten until they are over.
package struct FollowedRuns: Sendable {
    private var runs: [RunWatch]
    /// Whether all runs are over, so that the newest page is the last.
    package private(set) var areOver = false

    package init(_ runs: [RunFolder]) { self.runs = runs.map { RunWatch($0) } }

    /// Returns the page about the runs as they are now; nil if a run has no step yet. A browser does
    /// not reload the last page.
    ///
    /// - Parameter seconds: the interval after which a browser reloads the page.
    /// - Throws: `Failure` if a run's files cannot be read, or if a run is over without a step.
    package mutating func nextPage(reloadingAfter seconds: Double) throws(Failure) -> Page? {
        for index in runs.indices { try runs[index].update(at: 0) }
        // The states are older than what the page shows, so the last page is complete.
        areOver = runs.allSatisfy(\.status.isOver)
        guard areOver || runs.allSatisfy(\.history.hasSteps) else { return nil }
        var page = RunReport(
            try runs.map { (watch) throws(Failure) in try RunLog(watch.run) }
        ).page
        page.reloadSeconds = areOver ? nil : max(1, Int(seconds.rounded()))
        return page
    }
}
