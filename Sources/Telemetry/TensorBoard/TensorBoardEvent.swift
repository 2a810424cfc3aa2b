/// A histogram of values, in the form that TensorBoard shows.
package struct HistogramSummary: Sendable, Equatable {
    package var minimum: Double
    package var maximum: Double
    package var sum: Double
    package var sumOfSquares: Double
    /// The bins in ascending order: the exclusive upper limit of each and the number of its values.
    /// The lower limit of a bin is the upper limit of the bin before it.
    package var bins: [(limit: Double, count: Int)]

    package init(
        minimum: Double, maximum: Double, sum: Double, sumOfSquares: Double,
        bins: [(limit: Double, count: Int)]
    ) {
        self.minimum = minimum
        self.maximum = maximum
        self.sum = sum
        self.sumOfSquares = sumOfSquares
        self.bins = bins
    }

    package static func == (left: Self, right: Self) -> Bool {
        left.minimum == right.minimum && left.maximum == right.maximum && left.sum == right.sum
            && left.sumOfSquares == right.sumOfSquares
            && left.bins.elementsEqual(right.bins, by: ==)
    }
}

/// A value that TensorBoard shows under a tag, such as "train/loss".
package struct SummaryValue: Sendable, Equatable {
    /// A kind of value, each with its own page in TensorBoard.
    package enum Content: Sendable, Equatable {
        case scalar(Double)
        case histogram(HistogramSummary)
        /// A text in Markdown.
        case text(String)
    }

    package let tag: String
    package let content: Content

    package init(_ tag: String, _ content: Content) {
        self.tag = tag
        self.content = content
    }
}

/// A record of a TensorBoard event file: the message `Event` of TensorFlow's event.proto.
struct TensorBoardEvent {
    /// The content of an event.
    enum Content {
        /// The format of the file; its first event.
        case version
        /// The start of a resumed run. TensorBoard discards earlier events from its step on.
        case start
        case values([SummaryValue])
    }

    /// The seconds since 1970.
    let time: Double
    let step: Int
    let content: Content

    /// The version from which TensorBoard respects `start`.
    private static let version = "brain.Event:2"

    /// The event as a record of the file: its length, the event, and a checksum of each.
    var record: [UInt8] {
        let event = message.bytes
        let length = Self.littleEndian(UInt64(event.count))
        return length + Self.littleEndian(MaskedCRC32C.of(length)) + event
            + Self.littleEndian(MaskedCRC32C.of(event))
    }

    private static func littleEndian(_ number: some FixedWidthInteger) -> [UInt8] {
        withUnsafeBytes(of: number.littleEndian) { Array($0) }
    }

    private var message: ProtobufMessage {
        var event = ProtobufMessage()
        event.add(1, time)
        event.add(2, step)
        switch content {
        case .version: event.add(3, Self.version)
        case .start:
            var session = ProtobufMessage()
            session.add(1, 1)  // SessionStatus.START
            event.add(7, session)
        case .values(let values):
            var summary = ProtobufMessage()
            for value in values { summary.add(1, value.message) }
            event.add(5, summary)
        }
        return event
    }
}

extension SummaryValue {
    /// The value as the message `Summary.Value` of summary.proto.
    fileprivate var message: ProtobufMessage {
        var value = ProtobufMessage()
        value.add(1, tag)
        switch content {
        case .scalar(let number): value.add(2, Float(number))
        case .histogram(let histogram): value.add(5, histogram.message)
        case .text(let text):
            // The text plugin takes a tensor of strings without dimensions.
            var tensor = ProtobufMessage()
            tensor.add(1, 7)  // DataType.DT_STRING
            tensor.add(2, ProtobufMessage())
            tensor.add(8, text)
            value.add(8, tensor)
            var plugin = ProtobufMessage()
            plugin.add(1, "text")
            var metadata = ProtobufMessage()
            metadata.add(1, plugin)
            value.add(9, metadata)
        }
        return value
    }
}

extension HistogramSummary {
    /// The histogram as the message `HistogramProto` of histogram.proto.
    fileprivate var message: ProtobufMessage {
        var histogram = ProtobufMessage()
        histogram.add(1, minimum)
        histogram.add(2, maximum)
        histogram.add(3, Double(bins.reduce(0) { $0 + $1.count }))
        histogram.add(4, sum)
        histogram.add(5, sumOfSquares)
        histogram.add(6, bins.map(\.limit))
        histogram.add(7, bins.map { Double($0.count) })
        return histogram
    }
}
