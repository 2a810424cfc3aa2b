import Support

/// A recipe's `[data]` section: mixtures of data folders, and the treatment of documents.
package struct DataConfiguration: Sendable, Equatable {
    /// `[[data.mixture]]`: the folders whose training tokens are mixed; empty for the tokens of `--data`.
    package var mixture: [MixturePart] = []
    /// `reset_at_documents`: whether attention and positions start again at each document of a sequence.
    package var resetsAtDocuments = false

    /// An entry of `[[data.mixture]]`: a data folder and its share.
    package struct MixturePart: Sendable, Equatable {
        /// The path of the data folder.
        package var path: String
        /// The share of the training tokens, relative to the sum of all weights.
        package var weight: Double

        package init(path: String, weight: Double) {
            self.path = path
            self.weight = weight
        }
    }

    /// Checks every value; a failure names the key, its value and the valid range.
    func validate() throws(Failure) {
        for (index, part) in mixture.enumerated() {
            let key = "[[data.mixture]] \(index + 1):"
            try require(
                !part.path.isEmpty,
                or: .key("\(key) path", "\"\"", "is empty", remedy: "name a data folder"))
            try require(
                part.weight > 0 && part.weight.isFinite,
                or: .key(
                    "\(key) weight", part.weight, "must be a number above 0",
                    remedy: "use the share of its tokens, or remove the part"))
            try require(
                !mixture[..<index].contains { $0.path == part.path },
                or: .key(
                    "\(key) path", "\"\(part.path)\"", "is listed twice",
                    remedy: "add up the weights in one part"))
        }
        try require(
            mixture.reduce(0) { $0 + $1.weight }.isFinite,
            or: .about(
                .configuration, "[[data.mixture]]", "has weights whose sum is too large",
                remedy: "divide all weights by the same number"))
    }
}
