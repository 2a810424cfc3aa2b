/// An event of a TensorBoard event file.
package struct ReadEvent {
    package var time = 0.0
    package var step = 0
    package var version: String?
    package var isStart = false
    package var scalars: [String: Float] = [:]
    package var histograms: [String: ReadHistogram] = [:]
    package var texts: [String: String] = [:]
}

/// A histogram of a TensorBoard event file.
package struct ReadHistogram: Equatable {
    package var minimum = 0.0
    package var maximum = 0.0
    package var count = 0.0
    package var sum = 0.0
    package var sumOfSquares = 0.0
    package var limits: [Double] = []
    package var counts: [Double] = []

    package init() {}
}

/// A reader of TensorBoard event files that shares no code with the writer. It follows the formats
/// of tf_record and of event.proto, summary.proto, histogram.proto and tensor.proto.
package enum EventReader {
    /// A reason why a file cannot be read.
    package enum Problem: Error { case truncated, checksum, number, text }

    /// Returns the events of a file.
    package static func events(_ file: [UInt8]) throws -> [ReadEvent] {
        var events: [ReadEvent] = []
        var rest = file[...]
        while !rest.isEmpty {
            let length = try take(8, &rest)
            try requireChecksum(of: length, try take(4, &rest))
            let data = try take(Int(number(length)), &rest)
            try requireChecksum(of: data, try take(4, &rest))
            events.append(try event(data))
        }
        return events
    }

    private static func take(
        _ count: Int, _ rest: inout ArraySlice<UInt8>
    ) throws -> ArraySlice<UInt8> {
        guard rest.count >= count else { throw Problem.truncated }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// Computes the checksum bit by bit, as a division of polynomials.
    private static func requireChecksum(
        of bytes: ArraySlice<UInt8>, _ stated: ArraySlice<UInt8>
    ) throws {
        var rest: UInt32 = 0xFFFF_FFFF
        for byte in bytes {
            for bit in 0..<8 {
                let isSet = (rest ^ UInt32(byte >> bit)) & 1 == 1
                rest = (rest >> 1) ^ (isSet ? 0x82F6_3B78 : 0)
            }
        }
        let sum = rest ^ 0xFFFF_FFFF
        let masked = ((sum >> 15) | (sum << 17)) &+ 0xA282_EAD8
        guard UInt64(masked) == number(stated) else { throw Problem.checksum }
    }

    // MARK: - Messages

    private enum Value {
        case number(UInt64)
        case bytes(ArraySlice<UInt8>)

        func number() throws -> UInt64 {
            guard case .number(let number) = self else { throw Problem.number }
            return number
        }

        func bytes() throws -> ArraySlice<UInt8> {
            guard case .bytes(let bytes) = self else { throw Problem.number }
            return bytes
        }

        func double() throws -> Double { Double(bitPattern: try number()) }

        func text() throws -> String {
            guard let text = String(validating: try bytes(), as: UTF8.self) else {
                throw Problem.text
            }
            return text
        }

        func fields() throws -> [(Int, Value)] { try EventReader.fields(try bytes()) }

        func doubles() throws -> [Double] {
            var rest = try bytes()
            var doubles: [Double] = []
            while !rest.isEmpty {
                doubles.append(Double(bitPattern: EventReader.number(try take(8, &rest))))
            }
            return doubles
        }
    }

    private static func fields(_ message: ArraySlice<UInt8>) throws -> [(Int, Value)] {
        var fields: [(Int, Value)] = []
        var rest = message
        func varint() throws -> UInt64 {
            var (value, shift) = (UInt64(0), UInt64(0))
            while true {
                guard let byte = rest.popFirst() else { throw Problem.truncated }
                value |= UInt64(byte & 0x7F) << shift
                if byte < 0x80 { return value }
                shift += 7
            }
        }
        while !rest.isEmpty {
            let key = try varint()
            let value: Value
            switch key & 7 {
            case 0: value = .number(try varint())
            case 1: value = .number(number(try take(8, &rest)))
            case 2: value = .bytes(try take(Int(try varint()), &rest))
            case 5: value = .number(number(try take(4, &rest)))
            default: throw Problem.number
            }
            fields.append((Int(key >> 3), value))
        }
        return fields
    }

    private static func event(_ message: ArraySlice<UInt8>) throws -> ReadEvent {
        var event = ReadEvent()
        for (field, value) in try fields(message) {
            switch field {
            case 1: event.time = try value.double()
            case 2: event.step = Int(try value.number())
            case 3: event.version = try value.text()
            case 5:
                for (field, value) in try value.fields() where field == 1 {
                    try add(try value.fields(), to: &event)
                }
            case 7:
                event.isStart = try value.fields().contains {
                    try $0.0 == 1 && $0.1.number() == 1
                }
            default: break
            }
        }
        return event
    }

    private static func add(_ fields: [(Int, Value)], to event: inout ReadEvent) throws {
        let tag = try fields.first { $0.0 == 1 }?.1.text() ?? ""
        let plugin = try fields.first { $0.0 == 9 }?.1.fields().first { $0.0 == 1 }?.1.fields()
            .first { $0.0 == 1 }?.1.text()
        for (field, value) in fields {
            switch field {
            case 2: event.scalars[tag] = Float(bitPattern: UInt32(try value.number()))
            case 5: event.histograms[tag] = try histogram(try value.fields())
            case 8:
                let tensor = try value.fields()
                let isString = try tensor.contains { try $0.0 == 1 && $0.1.number() == 7 }
                guard plugin == "text", isString else { throw Problem.text }
                event.texts[tag] = try tensor.first { $0.0 == 8 }?.1.text()
            default: break
            }
        }
    }

    private static func histogram(_ fields: [(Int, Value)]) throws -> ReadHistogram {
        var histogram = ReadHistogram()
        for (field, value) in fields {
            switch field {
            case 1: histogram.minimum = try value.double()
            case 2: histogram.maximum = try value.double()
            case 3: histogram.count = try value.double()
            case 4: histogram.sum = try value.double()
            case 5: histogram.sumOfSquares = try value.double()
            case 6: histogram.limits = try value.doubles()
            case 7: histogram.counts = try value.doubles()
            default: break
            }
        }
        return histogram
    }
}
