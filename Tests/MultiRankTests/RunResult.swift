import Foundation

/// The files of a run.
struct RunResult {
    let folder: URL

    /// Returns the lines of metrics.jsonl without the fields that measure time.
    func metrics() throws -> [String] {
        let text = try String(contentsOf: folder.appending(path: "metrics.jsonl"), encoding: .utf8)
        return text.split(separator: "\n").map {
            String(
                $0.replacing(/,"[a-z_]*(seconds|per_second|slowest_rank[a-z_]*)":[^,}]*/, with: ""))
        }
    }

    /// The number of steps in metrics.jsonl. It is cheap, because tests ask for it while the run
    /// continues.
    var stepsTaken: Int {
        let file = folder.appending(path: "metrics.jsonl")
        let text = (try? String(contentsOf: file, encoding: .utf8)) ?? ""
        return text.components(separatedBy: "\"loss\"").count - 1
    }

    /// Returns the bytes of the checkpoint's files that contain the state.
    func state(step: Int) throws -> [Data] {
        let name = String(repeating: "0", count: 8 - "\(step)".count) + "\(step)"
        let checkpoint = folder.appending(path: "checkpoints/step-\(name)")
        return try ["model.safetensors", "optimizer.safetensors"].map {
            try Data(contentsOf: checkpoint.appending(path: $0))
        }
    }

    /// Returns the number of ranks that wrote a checkpoint according to its manifest.
    func rankCount(step: Int) throws -> Int? {
        let name = String(repeating: "0", count: 8 - "\(step)".count) + "\(step)"
        let manifest = try Data(
            contentsOf: folder.appending(path: "checkpoints/step-\(name)/manifest.json"))
        let object = try JSONSerialization.jsonObject(with: manifest) as? [String: Any]
        return object?["rank_count"] as? Int
    }
}
