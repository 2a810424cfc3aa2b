import Support
import Testing

/// Returns the failure that `body` ends with, or nil if it succeeds.
package func caughtFailure<E: Error>(of body: () throws(E) -> Void) -> Failure? {
    do throws(E) {
        try body()
        return nil
    } catch {
        if let failure = error as? Failure { return failure }
        Issue.record(error, "not a Failure")
        return nil
    }
}

/// Expects a failure with a code, whose single sentence contains `words`.
package func expectFailure<E: Error>(
    _ code: Failure.Code, _ words: [String], location: SourceLocation = #_sourceLocation,
    of body: () throws(E) -> Void
) {
    guard let failure = caughtFailure(of: body) else {
        Issue.record("no failure with \(words)", sourceLocation: location)
        return
    }
    #expect(failure.code == code, "\(failure)", sourceLocation: location)
    #expect(
        failure.line.hasSuffix(".") || failure.line.hasSuffix("?"), "\(failure)",
        sourceLocation: location)
    #expect(!failure.sentence.contains("\n"), "\(failure)", sourceLocation: location)
    for word in words {
        #expect(failure.sentence.contains(word), "\(failure)", sourceLocation: location)
    }
}

/// Expects a failure with a code, whose single sentence contains `words`.
package func expectFailure<E: Error>(
    _ code: Failure.Code, _ words: String..., location: SourceLocation = #_sourceLocation,
    of body: () throws(E) -> Void
) {
    expectFailure(code, words, location: location, of: body)
}
