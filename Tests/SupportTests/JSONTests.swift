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
    func writesNumbersSoThatTheyReadBackToTheSameBits() throws {
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
    func writesNullForWhatIsNotFinite(_ value: Double) {
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
}
