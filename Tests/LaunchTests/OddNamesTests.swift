import Foundation
import TestSupport
import Testing

/// Tests of the launch scripts with spaces, quotes, line breaks, dashes and shell syntax in the names
/// of files and in arguments.
@Suite struct OddNamesTests {
    private static let oddName = "-a 'b\" $(touch made)\n;c"
    private static let arguments = [
        "a  b", "'\"", "new\nline", "-x", "--", "", "$HOME", "*", "`id`",
    ]
    /// A script that prints each of its arguments between brackets.
    private static let shown = arguments.map { "[\($0)]" }.joined() + "\n"

    private let folder: TemporaryFolder
    /// The path of a script with an odd name in a folder with an odd name.
    private let command: String

    init() throws {
        folder = try TemporaryFolder()
        let odd = "\(folder.path)/\(Self.oddName)"
        try FileManager.default.createDirectory(atPath: odd, withIntermediateDirectories: false)
        command = try folder.write(
            // One write, so that the outputs of two ranks do not mix.
            "\(Self.oddName)/\(Self.oddName)",
            "#!/bin/sh\nprintf '%s\\n' \"$(printf '[%s]' \"$@\")\"\n")
        try FileManager.default.setAttributes(
            [.posixPermissions: 0o755], ofItemAtPath: command)
    }

    private func run(
        _ script: String, _ arguments: [String], environment: [String: String] = [:]
    ) throws -> Outcome {
        // The scripts run in the folder, so that relative names begin with a dash.
        let outcome = try Launch.run(
            "env", ["-C", folder.path, script] + arguments, environment: environment)
        #expect(try !FileManager.default.subpathsOfDirectory(atPath: folder.path).contains("made"))
        return outcome
    }

    @Test("the launcher passes on names and arguments as they are", arguments: [false, true])
    func launcher(hasHostfile: Bool) throws {
        try folder.write("-hosts '1\"\n", "localhost slots=2\n")
        let hosts = hasHostfile ? ["--hosts", "-hosts '1\"\n"] : []
        let outcome = try run(
            "\(Launch.root)/launch/mpirun",
            hosts + ["--ranks", "1", "--oversubscribe", "--", command] + Self.arguments,
            environment: ["TMPDIR": "\(folder.path)/\(Self.oddName)"])
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(outcome.output == Self.shown)
        #expect(!outcome.errors.contains("invalid option"), "\(outcome.errors)")
    }

    @Test("a checkout may have any name")
    func checkout() throws {
        for name in ["launch", "cluster"] {
            try FileManager.default.copyItem(
                atPath: "\(Launch.root)/\(name)",
                toPath: "\(folder.path)/\(Self.oddName)/\(name)")
        }
        let scripts = "\(folder.path)/\(Self.oddName)"
        let outcome = try run(
            "\(scripts)/launch/mpirun",
            ["--ranks", "1", "--oversubscribe", "--", command] + Self.arguments)
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(outcome.output == Self.shown)
        for script in ["launch/quickstart", "launch/docs", "launch/test", "cluster/emulate"] {
            let help = try run("\(scripts)/\(script)", ["--help"])
            #expect(help.status == 0 && help.errors.isEmpty, "\(help.errors)")
        }
    }

    @Test(
        "emulated hosts pass on names and arguments as they are",
        .enabled(if: EmulatedCluster.isPossible, "root cannot make network namespaces here"))
    func emulatedHosts() throws {
        let name = "t\(getpid())o"
        defer { _ = try? Launch.run(EmulatedCluster.script, ["down", "--name", name]) }
        let up = try Launch.run(EmulatedCluster.script, ["up", "2", "--name", name])
        #expect(up.status == 0, "\(up.errors)")
        let outcome = try run(
            EmulatedCluster.script, ["run", "--name", name, "--", command] + Self.arguments,
            environment: ["TMPDIR": "\(folder.path)/\(Self.oddName)"])
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(outcome.output == Self.shown + Self.shown)
    }
}
