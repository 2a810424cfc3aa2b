import Glibc
import Support

/// The JavaScript that draws Vega 5 specifications, put together from Debian's libjs-vega.
///
/// The package has no single file but one for each of Vega's modules, in UMD form, with d3 inside.
/// What specifications here never use (force layouts, word clouds, hierarchies, ...) is left out.
package enum VegaLibrary {
    /// Where distributions keep the modules.
    package static let folders = ["/usr/share/javascript/vega"]

    /// Vega's licence, which asks to be kept with its text.
    private static let licence = "/usr/share/doc/libjs-vega/copyright"

    /// The modules, each after those it needs.
    private static let modules = [
        "vega-util", "vega-canvas", "vega-time", "vega-format", "vega-loader", "vega-statistics",
        "vega-dataflow", "vega-scale", "vega-scenegraph", "vega-expression", "vega-selection",
        "vega-functions", "vega-event-selector", "vega-runtime", "vega-parser", "vega-view",
        "vega-transforms", "vega-view-transforms", "vega-encode", "vega-projection", "vega-geo",
        "vega-interpreter",
    ]

    /// The script, which defines `vega` with `parse`, `View` and `expressionInterpreter`.
    ///
    /// - Throws: `.missingInput` with the remedy where a module is in none of the folders,
    ///   `.inputOutput` where one cannot be read.
    package static func script(from folders: [String] = folders) throws(Failure) -> String {
        let first = "/\(modules[0]).min.js"
        guard let folder = folders.first(where: { FileSystem.exists($0 + first) }) else {
            throw missing(folders.joined(separator: " or "))
        }
        var script = "/* Vega and d3, of Debian's package libjs-vega:\n\(licenceText)\n*/\n"
        // What a module requires is what was defined before it. The package's build calls one
        // module by a wrong name, and one whose function is never called, for exotic maps, is not
        // in it.
        script += """
            "use strict";
            (() => {
            const defined = { "d3-geo-projection": {} };
            const require = (name) => defined[name === "vega-selections" ? "vega-selection" : name];

            """
        for module in modules {
            let path = "\(folder)/\(module).min.js"
            let lines = try content(of: path).split(separator: "\n")
            // A source map would be asked for over the network.
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

    /// What the package says about its licence, or its name where documentation is not installed.
    private static var licenceText: String {
        do throws(Failure) {
            // Nothing in it may end the comment that it stands in.
            return try content(of: licence).split(separator: "*/", omittingEmptySubsequences: false)
                .joined(separator: "* /")
        } catch {
            return "Copyright UW Interactive Data Lab and others; BSD-3-Clause."
        }
    }

    private static func missing(_ place: String) -> Failure {
        Failure(
            .missingInput,
            "the JavaScript that draws a report's charts is not in \(place): run "
                + "'apt-get install libjs-vega'")
    }

    private static func content(of path: String) throws(Failure) -> String {
        guard FileSystem.exists(path) else { throw missing(path) }
        return try readText(path)
    }
}
