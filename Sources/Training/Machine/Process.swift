import Glibc

/// Lockstep's version, as `lockstep --version` prints it.
package let version = "0.1.0"

/// Returns the environment variables of this process.
package func processEnvironment() -> [String: String] {
    var result: [String: String] = [:]
    var entry = environ
    while let pointer = entry.pointee {
        let parts = String(cString: pointer).split(
            separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        if parts.count == 2 { result[String(parts[0])] = String(parts[1]) }
        entry += 1
    }
    return result
}

/// Returns the value of an environment variable; nil if it is unset.
func environmentVariable(_ name: String) -> String? {
    getenv(name).map { String(cString: $0) }
}

/// Returns the absolute form of a path, or the path itself if it cannot be resolved.
package func absolute(_ path: String) -> String {
    guard let resolved = realpath(path, nil) else { return path }
    defer { free(resolved) }
    return String(cString: resolved)
}

/// Returns a word quoted for a shell if necessary, for commands in messages.
package func shellQuoted(_ word: String) -> String {
    let plain = word.unicodeScalars.allSatisfy {
        $0.properties.isAlphabetic || $0.properties.numericType != nil
            || "/._-=+:,@%".unicodeScalars
                .contains($0)
    }
    return plain && !word.isEmpty ? word : "'\(word.replacing("'", with: "'\\''"))'"
}
