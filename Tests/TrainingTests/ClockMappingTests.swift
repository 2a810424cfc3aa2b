import Testing
import Training

@Suite struct ClockMappingTests {
    /// A clock that is 5 ms ahead and loses 1 ms in 10 s.
    private static let mapping = ClockMapping(
        from: ClockOffset(time: 1_000_000_000, offset: 5_000_000, uncertainty: 300),
        to: ClockOffset(time: 11_000_000_000, offset: 4_000_000, uncertainty: 500))

    @Test(
        "drift is spread evenly between two measurements",
        arguments: [
            (1_000_000_000, 995_000_000), (11_000_000_000, 10_996_000_000),
            (6_000_000_000, 5_995_500_000),
            // Beyond the measurements the nearest one counts.
            (500_000_000, 495_000_000), (12_000_000_000, 11_996_000_000),
        ] as [(Int64, Int64)])
    func driftIsSpreadEvenly(time: Int64, expected: Int64) {
        #expect(Self.mapping(time) == expected)
    }

    @Test("mapped times keep their order")
    func orderIsKept() {
        let times = stride(from: Int64(0), to: 20_000_000_000, by: 77_777_777).map(
            Self.mapping.callAsFunction)
        #expect(zip(times, times.dropFirst()).allSatisfy { $0 < $1 })
    }

    @Test("a mapping has the larger uncertainty of its measurements")
    func mappingHasTheLargerUncertainty() {
        #expect(Self.mapping.uncertainty == 500)
        #expect(Self.mapping.offset == 5_000_000)
    }

    @Test("one measurement gives a constant offset")
    func oneMeasurementIsAConstantOffset() {
        let offset = ClockOffset(time: 100, offset: -40, uncertainty: 1)
        #expect(ClockMapping(from: offset, to: offset)(1000) == 1040)
    }
}
