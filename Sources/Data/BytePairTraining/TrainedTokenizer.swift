import Support

/// Learns byte pairs from the train split of the texts, and returns their tokenizer.
///
/// Documents and the separators between them are kept apart, as when the text is encoded.
///
/// - Parameter trainUnits: the number of characters in the train split, or nil if the validation split
///   has texts of its own.
/// - Throws: `Failure` (input/output) if a text can no longer be read or has changed; (bad data) if
///   the split has too many different words or too long a word; (requeue) if the work must stop.
func trainedTokenizer(
    _ training: BytePairTraining, options: TokenizeOptions, survey: TextSurvey, trainUnits: Int?,
    progress: (TokenizeProgress) -> Void
) throws(Failure) -> BytePairTokenizer {
    let counter = WordCounter(pattern: training.pattern, threads: options.threads)
    var pass = EncodingPass(
        counting: counter, options: options, survey: survey, trainUnits: trainUnits,
        endOfText: UInt32(training.vocabularySize - 1))
    try pass.encodeAll(progress)
    var trainer = try BytePairTrainer(words: try counter.total())
    let bytes = 256
    let merges = training.vocabularySize - 1 - bytes
    var done = 0
    try trainer.merge(until: training.vocabularySize - 1) { (tokens) throws(Failure) in
        done = tokens - bytes
        progress(TokenizeProgress(phase: .merging, done: done, total: merges))
        if options.stopRequested() { throw options.stopped }
    }
    if done < merges {
        progress(TokenizeProgress(phase: .merging, done: merges, total: merges))
    }
    return try trainer.tokenizer(pattern: training.pattern)
}
