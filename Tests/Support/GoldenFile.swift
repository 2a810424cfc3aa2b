import Foundation

/// Returns the path of a file or folder in the folder Golden next to the calling test. A script in
/// Tests/Golden wrote it.
package func goldenPath(_ name: String, test: String = #filePath) -> String {
    URL(filePath: test).deletingLastPathComponent().appending(path: "Golden/\(name)").path
}

/// Returns the content of a JSON file in the folder Golden next to the calling test.
package func golden<Content: Decodable>(
    _ name: String, as type: Content.Type, test: String = #filePath
) throws -> Content {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try decoder.decode(type, from: Data(bytes(of: goldenPath("\(name).json", test: test))))
}
