extension AtomicFile {
    /// Copies a file, whole or not at all.
    ///
    /// - Throws: `.missingInput` if there is no such file; `.inputOutput`; nothing is left behind.
    package static func copy(_ source: String, to path: String) throws(Failure) {
        let input = try Descriptor(reading: source)
        try write(to: path) { (file) throws(Failure) in
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
            defer { buffer.deallocate() }
            while true {
                let count = try input.read(into: buffer)
                if count == 0 { return }
                try file.write(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            }
        }
    }
}
