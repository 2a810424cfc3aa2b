import Foundation
import Support
import Testing

@Suite struct JSONTests {
    @Test("an object keeps the order of its fields")
    func keepsTheOrderOfFields() {
        let object: JSONObject = [
            "step": 12, "loss": 1.5, "ok": true, "note": nil, "name": "a", "list": [1, [2.5], nil],
            "nested": ["z": 1, "a": 2],
        ]
        #expect(
            object.text
                == #"{"step":12,"loss":1.5,"ok":true,"note":null,"name":"a","list":[1,[2.5],null],"nested":{"z":1,"a":2}}"#
        )
    }

    @Test("an object replaces, adds and removes members")
    func replacesAddsAndRemovesMembers() {
        var object: JSONObject = ["a": 1, "b": 2, "a": 3]
        #expect(object.text == #"{"a":3,"b":2}"#)
        object["c"] = "new"
        object["b"] = nil
        object["none"] = nil
        #expect(object.text == #"{"a":3,"c":"new"}"#)
        #expect(object["c"] == "new" && object["b"] == nil)
        #expect(JSONObject().text == "{}")
    }

    @Test("written numbers read back to the same bits")
    func numbersReadBackToTheSameBits() throws {
        var doubles: [Double] = [
            0, -0.0, 1, 0.1, 1 / 3, 1e-7, 1e22, .leastNonzeroMagnitude, .greatestFiniteMagnitude,
            -1.8857,
            123_456_789,
        ]
        // Numbers with all kinds of exponents and digits.
        var bits: UInt64 = 0x9E37_79B9_7F4A_7C15
        for _ in 0..<2000 {
            bits = bits &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let value = Double(bitPattern: bits)
            if value.isFinite { doubles.append(value) }
        }
        for value in doubles {
            let text = JSONValue.number(value).text
            #expect(Double(text)?.bitPattern == value.bitPattern, "\(text)")
            let single = Float(value)
            guard single.isFinite else { continue }
            let singleText = JSONValue.single(single).text
            #expect(Float(singleText)?.bitPattern == single.bitPattern, "\(singleText)")
            #expect(singleText.count <= 16, "\(singleText)")
        }
        // An independent parser accepts every spelling and finds the same number.
        let array = JSONValue.array(doubles.map { .number($0) }).text
        let read = try JSONDecoder().decode([Double].self, from: Data(array.utf8))
        #expect(read == doubles)
        #expect(JSONValue.single(0.1).text == "0.1")
        #expect(JSONValue.integer(.min).text == "-9223372036854775808")
    }

    @Test(
        "numbers that are not finite are written as null",
        arguments: [Double.nan, .infinity, -.infinity])
    func nonFiniteNumbersAreNull(_ value: Double) {
        #expect(JSONValue.number(value).text == "null")
        #expect(JSONValue.single(Float(value)).text == "null")
    }

    @Test("strings are escaped")
    func escapesStrings() throws {
        let all = String(String.UnicodeScalarView((0..<0x250).compactMap(Unicode.Scalar.init)))
        let string = all + "\u{1F600} \u{2028} / \\ \" e\u{301}"
        let text = JSONValue.array([.string(string)]).text
        #expect(!text.utf8.contains { $0 < 0x20 })
        let read = try JSONDecoder().decode([String].self, from: Data(text.utf8))
        #expect(read.first.map { Array($0.utf8) } == Array(string.utf8))
        #expect(JSONValue.string("a\"\\\n\u{01}ü").text == #""a\"\\\n\u0001ü""#)
        let key: JSONObject = ["a\"b": 1]
        #expect(key.text == #"{"a\"b":1}"#)
    }

    @Test("indented text has the layout of Foundation's encoder")
    func indentedTextHasFoundationsLayout() throws {
        let all = String(String.UnicodeScalarView((0..<0x250).compactMap(Unicode.Scalar.init)))
        let object: JSONObject = [
            "b": [1, [], [[2.5, 1e-5], ["x": nil]], true], "a_b": [:],
            "a": .string(all + "🙂 / e\u{301}"),
            "A": false, "a.b": 1e22, "k10": .integer(.min), "k9": .single(0.1),
            "é\"/": [["z": [[:]]]],
        ]
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        let expected = String(
            decoding: try encoder.encode(Encoded(value: .object(object))), as: UTF8.self)
        #expect(object.prettyText == expected)
        #expect(JSONObject().prettyText == "{\n\n}")
    }

    /// A value as Foundation encodes it.
    private struct Encoded: Encodable {
        let value: JSONValue

        func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            switch value {
            case .null: try container.encodeNil()
            case .bool(let value): try container.encode(value)
            case .integer(let value): try container.encode(value)
            case .number(let value): try container.encode(value)
            case .single(let value): try container.encode(value)
            case .string(let value): try container.encode(value)
            case .array(let values): try container.encode(values.map(Encoded.init))
            case .object(let object):
                let members = object.members.map { ($0.key, Encoded(value: $0.value)) }
                try container.encode(Dictionary(uniqueKeysWithValues: members))
            }
        }
    }
}

@Suite struct JSONReadingTests {
    private enum Color: String, JSONReadable { case red, green }

    private struct Part: JSONReadable, Equatable {
        let name: String
        let sizes: [Int]

        init(json: JSONValue) throws(JSONProblem) {
            name = try json.read("name")
            sizes = try json.read("sizes")
        }
    }

    private static let json = JSONValue.object([
        "count": 3, "share": 0.5, "whole": 2, "on": true, "color": "green", "none": nil,
        "seed": "18446744073709551615", "part": ["name": "a", "sizes": [1, 2]],
        "pair": [7, "seven"], "ids": ["x": 1, "y": 2],
    ])

    @Test("values are read by the type that is asked for")
    func readsValues() throws {
        let json = Self.json
        #expect(try json.read("count") == 3)
        #expect(try json.read("share") == 0.5 && json.read("whole") == 2.0)
        #expect(try json.read("on") == true)
        #expect(try json.read("color") == Color.green)
        #expect(try json.read("seed") == UInt64.max && json.read("count") == UInt64(3))
        #expect(try json.read("ids") == ["x": 1, "y": 2])
        let part: Part = try json.read("part")
        #expect(part.name == "a" && part.sizes == [1, 2])
        let pair: JSONValue = try #require(JSONObject(json: json)["pair"])
        #expect(try pair.read(0) == 7 && pair.read(1) == "seven")
        #expect(try Part(parsing: #"{"sizes": [], "name": "b", "other": 1}"#.utf8).name == "b")
    }

    @Test("an optional is nil if the key is missing or null, and its value otherwise")
    func readsOptionals() throws {
        let missing: Int? = try Self.json.read("missing")
        let null: String? = try Self.json.read("none")
        let count: Int? = try Self.json.read("count")
        #expect(missing == nil && null == nil && count == 3)
        #expect(try Self.json.read("missing") ?? 4.0 == 4)
        #expect(throws: JSONProblem.mismatch("whole number", path: "share")) {
            let _: Int? = try Self.json.read("share")
        }
    }

    @Test(
        "problems name the form and the place",
        arguments: [
            ("[]", "has no object at its top level"),
            ("{}", "has no string at name"),
            (#"{"name": 1}"#, "has no string at name"),
            (#"{"name": null}"#, "has no string at name"),
            (#"{"name": "a", "sizes": {}}"#, "has no array at sizes"),
            (#"{"name": "a", "sizes": [1, 2.5]}"#, "has no whole number at sizes.1"),
            (#"{"name": truth}"#, "is not valid JSON (an unknown word at byte 9)"),
            ("", "is not valid JSON (text that ends too early at byte 0)"),
        ])
    func namesProblems(text: String, predicate: String) {
        #expect(predicate == problem { () throws(JSONProblem) in try Part(parsing: text.utf8) })
    }

    @Test("problems name every kind of value")
    func namesForms() {
        let json = Self.json
        #expect(
            problem { () throws(JSONProblem) in try json.read("color") as Bool }
                == "has no true or false at color")
        #expect(
            problem { () throws(JSONProblem) in try json.read("color") as Double }
                == "has no number at color")
        #expect(
            problem { () throws(JSONProblem) in
                try JSONValue(parsing: "[1e400]".utf8).read(0) as Double
            }
                == "has no finite number at 0")
        #expect(
            problem { () throws(JSONProblem) in try json.read("part") as Color }
                == "has no string at part")
        #expect(
            problem { () throws(JSONProblem) in try json.read(0) as Int }
                == "has no array at its top level")
    }

    /// Returns the predicate of the problem that is thrown; nil if there is none.
    private func problem<Value>(_ body: () throws(JSONProblem) -> Value) -> String? {
        do throws(JSONProblem) {
            _ = try body()
            return nil
        } catch { return error.predicate }
    }
}
