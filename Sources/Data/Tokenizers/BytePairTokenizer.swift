import Support

/// GPT-2's byte-level byte-pair encoding (Radford et al. 2019), with the vocabulary of any model of
/// that family. It equals tiktoken's `encode_ordinary` on all Unicode text.
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

    package var huggingFaceForm: String { savedForm }
    package var vocabularyFiles: [HuggingFaceFile] { vocabulary.files }

    package func makeEncoder(source: String) -> any TokenEncoder {
        BytePairEncoder(vocabulary: vocabulary, source: source)
    }

    package func bytes(of id: UInt32) -> [UInt8]? {
        id < vocabularySize ? vocabulary.tokens[Int(id)] : nil
    }
}
