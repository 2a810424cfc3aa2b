import Foundation
import MPI
import Support

/// The name of a program and its `key=value` words.
struct Arguments {
    let program: String
    private let values: [String: String]

    init(_ words: [String]) {
        program = words.first ?? ""
        var values: [String: String] = [:]
        for word in words.dropFirst() {
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2 { values[String(parts[0])] = String(parts[1]) }
        }
        self.values = values
    }

    func text(_ key: String, default value: String = "") -> String { values[key] ?? value }

    func number(_ key: String, default value: Int) -> Int {
        values[key].flatMap { Int($0) } ?? value
    }
}

/// Prints every rank's report, in rank order, from rank 0.
func printReports<Report: Codable>(
    _ report: Report, on communicator: Communicator
) throws(Failure) {
    let own = (try? JSONEncoder().encode(report)).map(Array.init) ?? []
    let all = try communicator.allGatherBytes(own)
    guard communicator.rank == 0 else { return }
    for line in all { print(String(decoding: line, as: UTF8.self)) }
}
