import Support
import Testing

/// Tests of SHA-256 on the example messages of FIPS 180-4 and its NIST test vectors.
@Suite struct SHA256Tests {
    @Test(
        "digests equal the published ones",
        arguments: [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
            ),
            (
                "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
                    + "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
                "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"
            ),
        ])
    func knownAnswers(message: String, digest: String) {
        #expect(SHA256.hash(message) == digest)
    }

    @Test("a million letters have the published digest")
    func aMillionLetters() {
        var hash = SHA256()
        for _ in 0..<1000 { hash.update(String(repeating: "a", count: 1000)) }
        #expect(
            hash.finish() == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
    }

    /// The updates end within blocks of 64 bytes or across them.
    @Test(
        "the division into pieces does not change the digest",
        arguments: [1, 3, 55, 56, 63, 64, 65, 127, 1000])
    func divisionIntoPiecesDoesNotMatter(size: Int) {
        let message = (0..<1000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let whole = message.withUnsafeBytes { SHA256.hash($0) }
        var hash = SHA256()
        for start in stride(from: 0, to: message.count, by: size) {
            message[start..<min(start + size, message.count)].withUnsafeBytes { hash.update($0) }
        }
        #expect(hash.finish() == whole)
    }

    @Test("an empty update does not change the digest")
    func emptyUpdateChangesNothing() {
        var hash = SHA256()
        hash.update("")
        hash.update(UnsafeRawBufferPointer(start: nil, count: 0))
        hash.update("abc")
        #expect(hash.finish() == SHA256.hash("abc"))
    }

    @Test("strings are hashed as UTF-8")
    func textIsHashedAsUTF8() {
        let bytes: [UInt8] = [0xC3, 0xA9, 0xF0, 0x9F, 0x99, 0x82]
        #expect(SHA256.hash("é🙂") == bytes.withUnsafeBytes { SHA256.hash($0) })
        #expect(SHA256.hash("a") != SHA256.hash("A"))
    }
}
