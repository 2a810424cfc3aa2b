import TestSupport
import Testing

extension CommandLineTests {
    /// Tests of `lockstep bench verdicts`.
    @Suite struct BenchVerdictsTests {
        @Test("only the chosen case is judged, and each row is printed as soon as it is known")
        func rows() throws {
            // The time at which each line arrives, in milliseconds, comes before it.
            let script = """
                "$0" bench verdicts --sweeps 3 --case 'parabola, .004, .05' |
                    while IFS= read -r line; do echo "$(date +%s%3N) $line"; done
                """
            let outcome = try Launch.run("bash", ["-c", script, Workbench.lockstep])
            try #require(outcome.status == 0, "\(outcome.errors)")
            let lines = outcome.output.split(separator: "\n")
            try #require(lines.count == 4, "\(outcome.output)")
            #expect(lines[0].contains(" case ") && lines[0].hasSuffix("coverage  width"))
            for (line, seeds) in zip(lines.dropFirst(), [" 3 ", " 5 ", "10 "]) {
                #expect(line.contains(" parabola, .004, .05     \(seeds)"), "\(line)")
                #expect(line.count == lines[0].count, "\(line)")
            }
            let times = lines.compactMap { $0.split(separator: " ").first.flatMap { Int($0) } }
            try #require(times.count == 4)
            #expect(times[3] - times[0] > 50, "\(times)")
        }

        @Test("an unknown case is refused with the names of all cases")
        func unknownCase() throws {
            let bench = try Workbench()
            let outcome = try bench.lockstep("bench", "verdicts", "--case", "bursts, .9")
            #expect(outcome.status == 64 && outcome.output.isEmpty)
            for name in ["\"bursts, .004, .05\"", "\"leveling, .006, .10\""] {
                #expect(outcome.errors.contains(name), "\(outcome.errors)")
            }
        }
    }
}
