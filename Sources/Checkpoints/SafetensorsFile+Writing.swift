import Support

extension SafetensorsFile {
    /// Writes tensors to a file, which appears whole or not at all and replaces an existing one.
    ///
    /// The order of the tensors does not change the bytes.
    ///
    /// - Parameter metadata: free-form strings; Transformers expects `["format": "pt"]`.
    /// - Throws: `.inputOutput`; `.bug` if a name repeats or a size does not match its shape.
    public static func write(
        _ tensors: [TensorSource], metadata: [String: String] = [:], to path: String
    ) throws(Failure) {
        let partial = path + AtomicFolder.partialSuffix
        FileSystem.removeIfPossible(partial)
        do throws(Failure) {
            var file = try HashedFile(creating: partial)
            try SafetensorsWriter.write(tensors, metadata: metadata, to: &file)
            _ = try file.finish()
            try FileSystem.rename(partial, to: path) { .systemCall("written", path) }
        } catch {
            FileSystem.removeIfPossible(partial)
            throw error
        }
    }
}
