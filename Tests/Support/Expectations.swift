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

/// Expects that a command was refused with a code, a single sentence that contains `words`, and no
/// output.
///
/// `notices` are the beginnings of lines that may precede the sentence.
package func expectRefusal(
    _ outcome: Outcome, _ code: Int32, _ words: [String], after notices: [String] = [],
    location: SourceLocation = #_sourceLocation
) {
    #expect(outcome.status == code, "\(outcome.errors)", sourceLocation: location)
    #expect(outcome.output.isEmpty, sourceLocation: location)
    let sentences = outcome.sentences.filter { line in
        !notices.contains { line.hasPrefix($0) }
    }
    #expect(sentences.count == 1, "\(outcome.errors)", sourceLocation: location)
    let sentence = sentences.last ?? ""
    #expect(sentence.hasPrefix("lockstep: "), "\(sentence)", sourceLocation: location)
    for word in words {
        #expect(sentence.contains(word), "\(sentence)", sourceLocation: location)
    }
}
