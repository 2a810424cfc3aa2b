import Foundation
import Report
import Testing

/// Tests of the parts of charts.
@Suite struct DrawingTests {
    @Test(
        "numbers are readable",
        arguments: [
            (NumberStyle.plain, 1.8857, "1.886"), (.plain, 2000, "2,000"), (.plain, 3e-6, "3e-6"),
            (.plain, -0.5, "-0.5"), (.plain, 1.5e7, "1.5e7"), (.plain, .nan, "n/a"),
            (.scientific, 3e-4, "3e-4"), (.scientific, 1.25e-3, "1.25e-3"),
            (.scientific, 0.5, "0.5"),
            (.scientific, 0, "0"), (.count, 950, "950"), (.count, 12_300_000, "12.3 M"),
            (.count, 999_600, "1 M"), (.count, 4e12, "4 T"), (.duration, 4800, "1 h 20 min"),
            (.duration, 0.42, "420 ms"), (.duration, 90, "1 min 30 s"), (.percent, 0.125, "12.5 %"),
            (.count, .infinity, "n/a"),
        ])
    func numbers(style: NumberStyle, value: Double, text: String) {
        #expect(style.text(value) == text)
    }

    @Test("an axis covers all its values")
    func domains() {
        let linear = ChartAxis("y")
        #expect(linear.domain(of: [1, .nan, 3, .infinity]) == 1...3)
        #expect(linear.domain(of: []) == 0...1)
        #expect(linear.domain(of: [5, 5]).contains(5))
        let log = ChartAxis("y", scale: .log)
        #expect(log.domain(of: [-1, 0, 10, 1000]) == 10...1000)
        #expect(log.domain(of: [0]) == 1...10)
        #expect(ChartAxis("y", fromZero: true).domain(of: [2, 4]) == 0...4)
        #expect(ChartAxis("y", fromZero: true).domain(of: [0]) == 0...1)
    }

    @Test("thinning keeps ends, extremes, gaps and the order")
    func thinning() {
        var values: [Double?] = (0..<100_000).map { sin(Double($0) / 1000) }
        values[31_415] = 50
        values[27_182] = -50
        values[60_000] = nil
        values[70_000] = .nan
        let kept = thinned(values)
        #expect(kept.count <= 1500 && kept.count > 900)
        #expect(kept == kept.sorted() && Set(kept).count == kept.count)
        #expect(kept.first == 0 && kept.last == 99_999)
        for place in [31_415, 27_182, 60_000, 70_000] { #expect(kept.contains(place)) }
        #expect(thinned([1, nil, 2]) == [0, 1, 2])
        #expect(thinned(Array(repeating: nil, count: 4000)).count <= 1500)
    }
}
