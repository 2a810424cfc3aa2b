import Support
import Testing

@Suite struct FormatTests {
    @Test(
        "durations have their two largest units",
        arguments: [
            (0, "0 ms"), (-3, "0 ms"), (0.0004, "0.4 ms"), (0.0032, "3.2 ms"), (0.42, "420 ms"),
            (0.9994, "999 ms"),
            (0.9996, "1.0 s"), (4.23, "4.2 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"),
            (59.6, "1 min"), (80, "1 min 20 s"), (3599.7, "1 h"), (7500, "2 h 5 min"),
            (86_399.9, "1 d"), (273_600, "3 d 4 h"), (Double.nan, "unknown"),
            (.infinity, "unknown"),
        ])
    func durations(_ seconds: Double, _ text: String) {
        #expect(Format.duration(seconds) == text)
    }

    @Test("durations without tenths are in whole seconds")
    func durationsWithoutTenths() {
        #expect(Format.duration(4.2, tenths: false) == "4 s")
        #expect(Format.duration(0.3, tenths: false) == "0 s")
        #expect(Format.duration(80, tenths: false) == "1 min 20 s")
    }

    @Test(
        "counts have separators between thousands",
        arguments: [
            (0, "0"), (7, "7"), (999, "999"), (1000, "1,000"), (123_456, "123,456"),
            (1_234_567, "1,234,567"), (-1000, "-1,000"), (-999, "-999"),
            (Int.min, "-9,223,372,036,854,775,808"),
        ])
    func counts(_ number: Int, _ text: String) { #expect(Format.count(number) == text) }

    @Test(
        "byte counts have binary units",
        arguments: [
            (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"),
            (1_048_575, "1.0 MiB"), (24_536_678, "23.4 MiB"), (5 << 30, "5.0 GiB"),
            (3 << 40, "3.0 TiB"),
            (5000 << 40, "5000.0 TiB"),
        ])
    func byteCounts(_ count: Int, _ text: String) { #expect(Format.bytes(count) == text) }

    @Test(
        "rates have suitable precision",
        arguments: [
            (12_345.4, "12,345 tokens/s"), (100, "100 tokens/s"), (99.97, "100 tokens/s"),
            (3.42, "3.4 tokens/s"), (0.0213, "0.021 tokens/s"), (0, "0 tokens/s"),
            (Double.infinity, "unknown tokens/s"),
        ])
    func rates(_ rate: Double, _ text: String) { #expect(Format.rate(rate, of: "tokens") == text) }

    @Test("counts, bytes, rates and lists have their formats")
    func otherNumbers() {
        #expect(Format.fixed(1.88566, decimals: 4) == "1.8857")
        #expect(Format.fixed(-0.5, decimals: 0) == "0", "nothing has no sign")
        #expect(Format.fixed(-0.5, decimals: 1) == "-0.5")
        #expect(Format.fixed(.greatestFiniteMagnitude, decimals: 2).count == 312)
        #expect(Format.scientific(0.000981, digits: 3) == "9.81e-04")
        #expect(Format.scientific(0, digits: 3) == "0.00e+00")
    }
}
