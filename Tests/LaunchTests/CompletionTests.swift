import Foundation
import TestSupport
import Testing

/// Tests of the completions that `launch/quickstart` installs for shells.
@Suite struct CompletionTests {
    /// A home and a stand-in for the compiler, which has built the program.
    private final class Home {
        let folder: TemporaryFolder

        init() throws {
            folder = try TemporaryFolder()
            for name in ["tools", "work/runs"] {
                try FileManager.default.createDirectory(
                    atPath: "\(folder.path)/\(name)", withIntermediateDirectories: true)
            }
            for name in ["recipe.toml", "results.csv"] { try folder.write("work/\(name)", "") }
            for (name, command) in [
                "swift": """
                case $* in *--version*) echo "Swift version 6.1" ;;
                *--show-bin-path*) echo '\(Launch.products)' ;; esac
                """,
                "dpkg-query": "echo ii",
            ] {
                try folder.write("tools/\(name)", "#!/bin/sh\n\(command)\n")
                try FileManager.default.setAttributes(
                    [.posixPermissions: 0o755], ofItemAtPath: "\(folder.path)/tools/\(name)")
            }
        }

        /// Installs the completions for a shell.
        func install(for shell: String) throws -> Outcome {
            let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
            return try Launch.run(
                "env",
                ["-u", "XDG_DATA_HOME", "-u", "XDG_CONFIG_HOME"]
                    + ["\(Launch.root)/launch/quickstart", "--completions"],
                environment: [
                    "HOME": folder.path, "SHELL": shell, "PATH": "\(folder.path)/tools:\(path)",
                ])
        }

        /// Returns the words with which a shell's script, in a folder with a recipe, a table and a
        /// folder, completes a line.
        func completions(_ shell: String, _ script: String, of line: String) throws -> [String] {
            // fish reads the completions of a command only if the command is in PATH.
            let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
            let outcome = try Launch.run(
                "env",
                ["-u", "XDG_CONFIG_HOME", "--chdir", "\(folder.path)/work"]
                    + [shell, "-c", script, shell, line],
                environment: ["HOME": folder.path, "PATH": "\(Launch.products):\(path)"])
            #expect(outcome.status == 0, "\(outcome.errors)")
            return outcome.output.split(separator: "\n").map { String($0) }
        }
    }

    private static func has(_ shell: String) -> Bool {
        (try? Launch.run("sh", ["-c", "command -v \(shell)"]).status) == 0
    }

    @Test("bash completes commands, options and file names")
    func bash() throws {
        let home = try Home()
        let outcome = try home.install(for: "/bin/bash")
        #expect(outcome.status == 0, "\(outcome.errors)")
        let script = """
            . ~/.local/share/bash-completion/completions/lockstep
            COMP_LINE=$1 COMP_POINT=${#1}; read -ra COMP_WORDS <<<"$1"
            [[ $1 != *' ' ]] || COMP_WORDS+=('')
            COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            read -ra function <<<"$(complete -p lockstep)"
            for i in "${!function[@]}"; do [[ ${function[i]} != -F ]] || name=${function[i + 1]}; done
            "$name" lockstep "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}" 2>/dev/null
            printf '%s\\n' "${COMPREPLY[@]}"
            """
        #expect(try home.completions("bash", script, of: "lockstep tr") == ["train"])
        #expect(try home.completions("bash", script, of: "lockstep train --tra") == ["--trace"])
        #expect(
            try Set(home.completions("bash", script, of: "lockstep train r"))
                == ["recipe.toml", "runs"])
        #expect(try home.completions("bash", script, of: "lockstep sample ") == ["runs"])
        #expect(try home.completions("bash", script, of: "lockstep train --out r") == ["runs"])
    }

    @Test("fish completes commands and file names", .enabled(if: has("fish"), "fish is missing"))
    func fish() throws {
        let home = try Home()
        let outcome = try home.install(for: "/usr/bin/fish")
        #expect(outcome.status == 0, "\(outcome.errors)")
        let script = "complete -C $argv[2] | cut -f 1"
        #expect(try home.completions("fish", script, of: "lockstep tr") == ["train"])
        #expect(
            try home.completions("fish", script, of: "lockstep train rec") == ["recipe.toml"])
        #expect(try home.completions("fish", script, of: "lockstep sample r") == ["runs/"])
    }

    @Test("zsh reads its completions", .enabled(if: has("zsh"), "zsh is missing"))
    func zsh() throws {
        let home = try Home()
        let outcome = try home.install(for: "/bin/zsh")
        #expect(outcome.status == 0, "\(outcome.errors)")
        let script = """
            fpath=(~/.local/share/zsh/site-functions $fpath)
            autoload -U compinit && compinit -u && print $_comps[lockstep]
            autoload -X +X _lockstep
            """
        #expect(try home.completions("zsh", script, of: "") == ["_lockstep"])
    }

    @Test("another shell is refused")
    func otherShell() throws {
        let outcome = try Home().install(for: "/bin/tcsh")
        expectRefusal(outcome, 78, ["SHELL = \"/bin/tcsh\": is not bash, zsh or fish"])
    }
}
