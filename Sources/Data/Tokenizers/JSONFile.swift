import FoundationEssentials
import Support

/// Reads a JSON file as a value of a type.
///
/// - Throws: `Failure` (missing input, input/output, or bad data that names the place where the
///   type does not fit, or states that the file is not JSON).
func decodeJSONFile<Value: Decodable>(
    _ type: Value.Type, at path: String, remedy: String = tokenizeAgain
) throws(Failure) -> Value {
    let bytes = try readBytes(path)
    do {
        return try JSONDecoder().decode(type, from: Data(bytes))
    } catch let error as DecodingError {
        throw Failure.badData(path, problem(in: error), remedy: remedy)
    } catch {
        throw Failure.badData(path, "is not valid JSON", remedy: remedy)
    }
}

/// Returns the name of a Swift type's form in JSON.
private func kind(of type: any Any.Type) -> String {
    switch type {
    case is String.Type: "string"
    case is Bool.Type: "true or false"
    case is any BinaryInteger.Type: "whole number"
    case is any BinaryFloatingPoint.Type: "number"
    default: "\(type)".hasPrefix("Array") ? "array" : "object"
    }
}

private func problem(in error: DecodingError) -> String {
    func name(_ path: [any CodingKey]) -> String {
        path.isEmpty ? "its top level" : path.map(\.stringValue).joined(separator: ".")
    }
    switch error {
    case .keyNotFound(let key, let context):
        return "has no \"\(name(context.codingPath + [key]))\""
    case .typeMismatch(let type, let context), .valueNotFound(let type, let context):
        return "has no \(kind(of: type)) at \(name(context.codingPath))"
    case .dataCorrupted(let context):
        return context.codingPath.isEmpty
            ? "is not valid JSON" : "has a value that cannot be used at \(name(context.codingPath))"
    @unknown default:
        return "is not valid JSON"
    }
}
