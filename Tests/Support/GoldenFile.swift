import Foundation

/// Returns the content of a JSON file in the folder Golden next to the calling test. A script in
/// Tests/Golden wrote the file.
package func golden<Content: Decodable>(
    _ name: String, as type: Content.Type, test: String = #filePath
) throws -> Content {
    let folder = URL(filePath: test).deletingLastPathComponent()
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try decoder.decode(
        type, from: Data(contentsOf: folder.appending(path: "Golden/\(name).json")))
}
