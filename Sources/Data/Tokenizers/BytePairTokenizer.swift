import Support

/// A byte-level byte-pair encoding (Radford et al. 2019) with the vocabulary, the pattern and the
/// added tokens of a model.
///
/// The ids equal those of Hugging Face's library with `encode_special_tokens`, and for GPT-2's
/// vocabulary those of tiktoken's `encode_ordinary`, on all Unicode text.
package struct BytePairTokenizer: Tokenizer {
    package let kind = "byte pairs"
    package let savedForm: String
    package let fingerprint: String

    let vocabulary: BytePairVocabulary

    init(vocabulary: BytePairVocabulary) {
        self.vocabulary = vocabulary
        savedForm = HuggingFaceTokenizer.text(of: vocabulary)
        fingerprint = SHA256.hash(savedForm)
    }

    package var vocabularySize: Int { vocabulary.tokens.count }
    package var endOfText: UInt32? { vocabulary.endOfText }
    package var endOfTextName: String? { endOfText.map { vocabulary.names[Int($0)] } }
    /// Normalization form C can triple a character's bytes, and every byte can be a token.
    package var mostTokensPerByte: Int { vocabulary.settings.composes ? 3 : 1 }

    package var huggingFaceForm: String { savedForm }
    package var vocabularyFiles: [HuggingFaceFile] {
        // Without the other settings, the two files would describe another tokenizer.
        vocabulary.settings.isPlain ? vocabulary.files : []
    }

    package func makeEncoder(source: String) -> any TokenEncoder {
        let hasOrdinaryTokens = vocabulary.settings.addedTokens.contains { !$0.isSpecial }
        guard hasOrdinaryTokens || vocabulary.settings.composes else {
            return BytePairEncoder(vocabulary: vocabulary, source: source)
        }
        return AddedTokenEncoder(
            vocabulary: vocabulary, source: source, findsSpecialTokens: false)
    }

    package func encodeWithSpecialTokens(
        _ text: String, source: String
    ) throws(Failure) -> [UInt32] {
        var encoder: any TokenEncoder = AddedTokenEncoder(
            vocabulary: vocabulary, source: source, findsSpecialTokens: true)
        return try encoder.encodeAll(text)
    }

    package func bytes(of id: UInt32) -> [UInt8]? {
        id < vocabularySize ? vocabulary.tokens[Int(id)] : nil
    }
}
