import Glibc
import Support

/// The JavaScript that draws Vega 5 specifications, assembled from Debian's libjs-vega.
///
/// The package has a file in UMD form for each of Vega's modules, including d3. Modules that no
/// chart template uses, such as force layouts, word clouds and hierarchies, are omitted.
package enum VegaLibrary {
    /// The folders above `share`: that of an archive which `launch/package` made, and the system's.
    private static let prefixes = [programPrefix, "/usr"].compactMap { $0 }

    /// The folders in which the modules may be.
    package static let folders = prefixes.map { "\($0)/share/javascript/vega" }

    /// The paths at which Vega's license may be, which must be kept with its text.
    private static let licenses = prefixes.map { "\($0)/share/doc/libjs-vega/copyright" }

    /// The folder that holds the program's `bin`, or nil if the program is in no such folder.
    private static var programPrefix: String? {
        guard let program = realpath("/proc/self/exe", nil) else { return nil }
        defer { free(program) }
        let parts = String(cString: program).split(separator: "/")
        guard parts.dropLast().last == "bin" else { return nil }
        return parts.dropLast(2).map { "/\($0)" }.joined()
    }

    /// The modules in an order in which each follows the modules that it requires.
    private static let modules = [
        "vega-util", "vega-canvas", "vega-time", "vega-format", "vega-loader", "vega-statistics",
        "vega-dataflow", "vega-scale", "vega-scenegraph", "vega-expression", "vega-selection",
        "vega-functions", "vega-event-selector", "vega-runtime", "vega-parser", "vega-view",
        "vega-transforms", "vega-view-transforms", "vega-encode", "vega-projection", "vega-geo",
        "vega-interpreter",
    ]

    /// Returns the script that defines `vega` with `parse`, `View` and `expressionInterpreter`.
    ///
    /// - Throws: `Failure` (missing input) with the remedy if a module is in none of the folders;
    ///   (input/output) if one cannot be read.
    package static func script(from folders: [String] = folders) throws(Failure) -> String {
        let first = "/\(modules[0]).min.js"
        guard let folder = folders.first(where: { FileSystem.exists($0 + first) }) else {
            throw missing(folders.joined(separator: " or "))
        }
        var script = "/* Vega and d3, of Debian's package libjs-vega:\n\(licenseText)\n*/\n"
        // A module requires modules that were defined before it. The package requires one module by
        // a wrong name, and lacks a module for exotic maps, whose function is never called.
        script += """
            "use strict";
            (() => {
            const defined = { "d3-geo-projection": {} };
            const require = (name) => defined[name === "vega-selections" ? "vega-selection" : name];

            """
        for module in modules {
            let path = "\(folder)/\(module).min.js"
            let lines = try content(of: path).split(separator: "\n")
            // A browser would request a source map over the network.
            let code = lines.filter { !$0.hasPrefix("//# sourceMappingURL") }
            script += """
                ((exports, module, require) => {
                \(code.joined(separator: "\n"))
                })(defined["\(module)"] = {}, {}, require);

                """
        }
        return script + """
            Object.assign(defined["vega-dataflow"].transforms, defined["vega-transforms"],
              defined["vega-view-transforms"], defined["vega-encode"], defined["vega-geo"]);
            window.vega = {
              parse: defined["vega-parser"].parse, View: defined["vega-view"].View,
              expressionInterpreter: defined["vega-interpreter"].expressionInterpreter,
            };
            })();
            """
    }

    /// The package's license text, or the license's name if no documentation is installed.
    private static var licenseText: String {
        // The text must not end the comment that contains it.
        licenses.lazy.compactMap { try? content(of: $0) }.first?
            .split(separator: "*/", omittingEmptySubsequences: false).joined(separator: "* /")
            ?? "Copyright UW Interactive Data Lab and others; BSD-3-Clause."
    }

    private static func missing(_ place: String) -> Failure {
        .file(
            .missingInput, place, "does not hold the JavaScript that draws a report's charts",
            remedy: "run 'apt-get install libjs-vega'")
    }

    private static func content(of path: String) throws(Failure) -> String {
        guard FileSystem.exists(path) else { throw missing(path) }
        return try readText(path)
    }
}
