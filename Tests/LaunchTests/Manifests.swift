import Foundation
import TestSupport
import Testing

/// The pods that the files in `launch/kubernetes` describe.
struct Manifests: Decodable {
    /// The pods of the job, by role.
    let job: [String: Pod]
    /// The pod that copies files.
    let files: Pod

    struct Pod: Decodable {
        let containers: [Container]
        let securityContext: SecurityContext
        let volumes: [[String: Ignored]]
        let automountServiceAccountToken: Bool
        let terminationGracePeriodSeconds: Int
    }

    struct Container: Decodable {
        let command: [String]
        let args: [String]?
        let env: [Variable]?
        let securityContext: SecurityContext
        let lifecycle: Lifecycle?
    }

    struct SecurityContext: Decodable {
        let runAsNonRoot: Bool?
        let runAsUser: Int?
        let allowPrivilegeEscalation: Bool?
        let capabilities: [String: [String]]?
    }

    struct Variable: Decodable {
        let name: String
        let value: String
    }

    struct Lifecycle: Decodable {
        let preStop: Hook
        struct Hook: Decodable {
            let exec: Command
            struct Command: Decodable { let command: [String] }
        }
    }

    /// Whatever a key has as its value.
    struct Ignored: Decodable { init(from decoder: any Decoder) {} }

    static let canBeRead =
        (try? Launch.run("python3", ["-c", "import yaml"]).status) == 0

    /// Reads the files.
    static func read() throws -> Manifests {
        let script = """
            import json, sys, yaml
            job, = yaml.safe_load_all(open(sys.argv[1] + "/train.yaml"))
            claim, pod = yaml.safe_load_all(open(sys.argv[1] + "/volume.yaml"))
            roles = job["spec"]["mpiReplicaSpecs"].items()
            pods = {name: role["template"]["spec"] for name, role in roles}
            print(json.dumps({"job": pods, "files": pod["spec"]}))
            """
        let outcome = try Launch.run(
            "python3", ["-c", script, "\(Launch.root)/launch/kubernetes"])
        try #require(outcome.status == 0, "\(outcome.errors)")
        return try JSONDecoder().decode(Manifests.self, from: Data(outcome.output.utf8))
    }

    /// The only container of a role's pods.
    func container(_ role: String) throws -> Container {
        let containers = try #require(job[role]).containers
        try #require(containers.count == 1)
        return containers[0]
    }
}
