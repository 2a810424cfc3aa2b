import Foundation
import TestSupport
import Testing

/// The pages of the documentation catalog.
private struct Catalog {
    static let folder = "\(Launch.root)/Sources/lockstep/Lockstep.docc"

    /// The names of all pages, in the order in which the root page lists them. Pages that
    /// `launch/docs` generates have no file.
    let names: [String]
    /// The pages that are files, in the same order.
    let pages: [Page]

    init() throws {
        let root = try String(contentsOfFile: "\(Self.folder)/Lockstep.md", encoding: .utf8)
        let topics = try #require(root.components(separatedBy: "## Topics").last)
        names = topics.matches(of: /<doc:(\w+)>/).map { String($0.1) }
        pages = try names.filter { FileManager.default.fileExists(atPath: Self.path(of: $0)) }
            .map { try Page(name: $0) }
    }

    static func path(of page: String) -> String { "\(folder)/\(page).md" }

    /// The names of all page files except the root page.
    static func files() throws -> Set<String> {
        let names = try FileManager.default.contentsOfDirectory(atPath: folder)
        return Set(names.filter { $0.hasSuffix(".md") }.map { String($0.dropLast(3)) })
            .subtracting(["Lockstep"])
    }
}

private struct Page {
    let name: String
    let text: String
    /// The fenced blocks and their languages.
    let blocks: [(language: String, text: String)]

    init(name: String) throws {
        self.name = name
        text = try String(contentsOfFile: Catalog.path(of: name), encoding: .utf8)
        blocks = text.matches(of: /(?m)^```(\w*)\n((?s).*?)^```$/).map {
            (String($0.1), String($0.2))
        }
    }

    /// The exit codes that the page shows as output of its commands.
    var exitCodes: [Substring] {
        blocks.filter { $0.language == "text" }.flatMap {
            $0.text.split(separator: "\n").filter { $0.hasPrefix("exit code ") }
        }
    }

    /// The lines of output that the page shows and that the reductions leave as they are: refusals,
    /// and lines without a number.
    var unreducedOutput: [Substring] {
        // Earlier blocks are formulas.
        blocks.drop { $0.language != "sh" }.filter { $0.language == "text" }.flatMap { block in
            let refusals = block.text.matches(of: #/(?m)^(lockstep: .*)\nexit code/#).map(\.1)
            return refusals + block.text.split(separator: "\n").filter { !$0.contains(/\b\d/) }
        }
    }

    /// Whether the page is about the code rather than about using the program.
    var isAboutCode: Bool { name == "Architecture" || name.hasPrefix("AddA") }

    /// The commands of the page, as one script.
    var commands: String { blocks.filter { $0.language == "sh" }.map(\.text).joined() }
}

/// A change to the commands of pages that makes their work small or possible on one machine.
private struct Reduction {
    /// The page to change; nil for all pages that have the text.
    let page: String?
    let text: String
    let replacement: String

    init(in page: String? = nil, _ text: String, _ replacement: String) {
        self.page = page
        self.text = text
        self.replacement = replacement
    }

    /// All reductions, in the order in which they are applied.
    static let all = [
        Reduction("launch/mpirun ", "launch/mpirun --oversubscribe "),
        Reduction("launch/supervise ", "launch/supervise --oversubscribe "),
        Reduction(
            "train launch/recipes/quickstart.toml",
            "train launch/recipes/quickstart.toml --set model.layers=1 --set model.width=16"
                + " --set model.context_length=8 --set training.steps=20"),
        // The page sets the steps itself.
        Reduction(in: "LanesAndTheReductionTree", "--set training.steps=20", ""),
        // The run is long enough to be stopped midway.
        Reduction(
            in: "StopAndResume",
            "model.width=16 --set model.context_length=8 --set training.steps=20",
            "model.width=128 --set training.steps=300"),
        Reduction(
            in: "StopAndResume", "sleep 5",
            "until [ -s runs/stopped/metrics.jsonl ]; do sleep 0.05; done"),
        Reduction(
            in: "WatchARun",
            "model.width=16 --set model.context_length=8 --set training.steps=20",
            "model.width=128 --set training.steps=300"),
        Reduction(in: "StopAndResume", "training.steps=2000", "training.steps=320"),
        Reduction(
            in: "StopAndResume", "--resume-checkpoint 1500", "--resume-checkpoint 300"),
        Reduction(in: "StopAndResume", "training.steps=1800", "training.steps=310"),
        Reduction(in: "FineTuneAModel", "/usr/share/common-licenses/GPL-3", "book.txt"),
        Reduction(in: "FineTuneAModel", "steps = 300", "steps = 8"),
        Reduction(in: "FineTuneAModel", "every = 50", "every = 4"),
        Reduction(
            in: "FineTuneAModel", "find-lr tune.toml",
            "find-lr tune.toml --steps 20 --probe-steps 20"),
        Reduction(in: "FineTuneAModel", "step-00000300", "step-00000008"),
        Reduction(in: "FineTuneAModel", "You may", "In the"),
        Reduction(in: "BranchARun", "checkpoint.every=250", "checkpoint.every=5"),
        Reduction(in: "BranchARun", "--checkpoints 250,500,1000", "--checkpoints 5,15"),
        Reduction(in: "BranchARun", "--checkpoints 1000", "--checkpoints 15"),
        Reduction(in: "BranchARun", "--tokens 163840", "--tokens 1024"),
        Reduction(
            in: "TransferARate",
            "coordinates launch/recipes/quickstart.toml",
            "coordinates launch/recipes/quickstart.toml --seeds 1 --steps 2"
                + " --set model.context_length=8 --set model.layers=1"),
        Reduction(in: "TransferARate", "32,64,128,256", "32,64"),
        Reduction(in: "TransferARate", "[32, 64, 128]", "[16, 32]"),
        Reduction(in: "TransferARate", "[1e-3, 2e-3, 4e-3, 8e-3]", "[1e-3, 2e-3, 4e-3]"),
        Reduction(in: "TransferARate", "[1, 2, 3]", "[1]"),
        Reduction(in: "TransferARate", "tokens = [204800]", "tokens = [4096]\nextend = 0"),
        Reduction(in: "WriteYourOwnRecipe", "width = 64", "width = 16"),
        Reduction(in: "WriteYourOwnRecipe", "steps = 400", "steps = 20"),
        Reduction(in: "RunOnSeveralHosts", "node1 slots=2\nnode2 slots=2", "localhost slots=2"),
        Reduction(in: "RunOnSeveralHosts", "10.0.0.0/24", "127.0.0.0/8"),
        Reduction(in: "TestAScalingRule", "tokens = [262144]", "tokens = [2048]"),
        Reduction(in: "TestAScalingRule", "[1, 2, 3, 4]", "[1, 2]"),
        Reduction(in: "TestAScalingRule", "[1, 2, 3, 4, 5, 6, 7, 8]", "[1, 2, 3]"),
        Reduction(in: "TestAScalingRule", "--budget 3m", "--budget 14runs"),
        Reduction(
            "lockstep regimes",
            "lockstep regimes tiny.toml --grid 3 --sequences 4 --probe-steps 20"),
        Reduction(in: "EvaluateAModel", "--stride 32", "--stride 4"),
        Reduction(in: "EvaluateAModel", "nine bread of tables", "bread"),
        Reduction(in: "EvaluateAModel", "was the word", "word"),
        Reduction(in: "EvaluateAModel", "lord said unto him", "lord"),
        Reduction(in: "EvaluateAModel", "stone of rain is nine", "rain"),
        // The build would take minutes.
        Reduction(
            in: "InSwiftPrograms", ".build/example/release/linear-model linear.safetensors",
            "lockstep --version"),
        Reduction(in: "SeeTheLandscape", "checkpoint.every=75", "checkpoint.every=5"),
        Reduction(in: "SeeTheLandscape", "--grid 31", "--grid 5"),
        Reduction(in: "SeeTheLandscape", "--planes 4", "--planes 2 --grid 5"),
        // The tests would start themselves.
        Reduction("launch/test", "launch/test --help"),
        // The build would take minutes.
        Reduction("launch/package", "launch/package --help"),
    ]

    func applies(to page: Page) -> Bool { self.page == nil || self.page == page.name }
}

/// Tests that the commands of the documentation run and that its types exist.
@Suite struct DocumentationTests {
    @Test("the root page lists every page")
    func rootListsEveryPage() throws {
        let listed = try Catalog().pages.map(\.name)
        #expect(Set(listed) == (try Catalog.files()))
        #expect(Set(listed).count == listed.count)
    }

    @Test("every link leads to a page that the root page lists")
    func linksLead() throws {
        let catalog = try Catalog()
        for page in catalog.pages {
            for link in page.text.matches(of: /<doc:(\w+)>/) {
                #expect(catalog.names.contains(String(link.1)), "\(page.name): \(link.0)")
            }
        }
    }

    @Test("every code block has a language, so that commands differ from output")
    func blocksHaveLanguages() throws {
        for page in try Catalog().pages {
            for block in page.blocks {
                #expect(["sh", "text"].contains(block.language), "\(page.name): \(block.text)")
            }
        }
    }

    @Test("every reduction changes a page")
    func reductionsAreInUse() throws {
        let pages = try Catalog().pages
        for (index, reduction) in Reduction.all.enumerated() {
            let isUsed = pages.contains { page in
                let before = Self.reduced(page, by: Reduction.all.prefix(index))
                return reduction.applies(to: page) && before.contains(reduction.text)
            }
            #expect(isUsed, "\(reduction.text)")
        }
    }

    /// The commands of all pages run in order in one folder, like those of a reader.
    @Test("every command of the pages runs", .timeLimit(.minutes(10)))
    func commandsRun() throws {
        let folder = try ReadersFolder()
        for page in try Catalog().pages where !page.commands.isEmpty {
            let outcome = try folder.run(Self.reduced(page, by: Reduction.all[...]))
            #expect(outcome.status == 0, "\(page.name): \(outcome.errors)")
            for code in page.exitCodes {
                #expect(outcome.output.contains(code), "\(page.name): \(outcome.errors)")
            }
            let lines = "\(outcome.output)\n\(outcome.errors)".split(separator: "\n")
            for line in page.unreducedOutput where !Self.dependsOnSizes(line) {
                #expect(lines.contains(line), "\(page.name) shows \(line): \(outcome.errors)")
            }
        }
    }

    @Test("a command that fails in a page fails the page")
    func failuresAreNoticed() throws {
        let outcome = try ReadersFolder().run("lockstep sample runs/none\ntrue\n")
        #expect(outcome.status == 66, "\(outcome.errors)")
        #expect(outcome.errors.contains("failed: lockstep sample runs/none"), "\(outcome.errors)")
    }

    @Test("the types and files that pages about the code name exist")
    func namesExist() throws {
        let manager = FileManager.default
        var types: Set<String> = []
        for folder in ["Sources", "Tests"].map({ "\(Launch.root)/\($0)" }) {
            for file in try manager.subpathsOfDirectory(atPath: folder)
            where file.hasSuffix(".swift") {
                let code = try String(contentsOfFile: "\(folder)/\(file)", encoding: .utf8)
                let declaration = /\b(?:struct|class|enum|protocol|typealias) (\w+)/
                types.formUnion(code.matches(of: declaration).map { String($0.1) })
            }
        }
        let pages = try Catalog().pages.filter(\.isAboutCode)
        #expect(pages.count > 2)
        let architecture = try #require(pages.first { $0.name == "Architecture" })
        let journey = architecture.text.matches(of: /`[\w\/+]+\/[\w+]+\.(?:swift|c)`/).map(\.0)
        #expect(Set(journey).count == journey.count)
        #expect((40...60).contains(journey.count), "files through which a batch passes")
        for page in pages {
            for name in page.text.matches(of: /`([\w\/+]+\/[\w\/+.]*|[A-Z]\w+)`/).map(\.1) {
                let isFile = ["", "Sources/"].contains {
                    manager.fileExists(atPath: "\(Launch.root)/\($0)\(name)")
                }
                #expect(isFile || types.contains(String(name)), "\(page.name): \(name)")
            }
        }
    }

    /// Whether a line is a sample's or has a table's columns, which are as wide as their numbers.
    private static func dependsOnSizes(_ line: Substring) -> Bool {
        ["In the beginning", "You may", "step  batch"].contains { line.hasPrefix($0) }
    }

    /// Returns the commands of a page after all reductions.
    private static func reduced(
        _ page: Page, by reductions: ArraySlice<Reduction>
    ) -> String {
        var commands = page.commands
        for reduction in reductions where reduction.applies(to: page) {
            commands = commands.replacingOccurrences(
                of: reduction.text, with: reduction.replacement)
        }
        return commands
    }
}

/// A folder like a fresh checkout, with stand-ins for commands that install, build or reach other
/// machines.
private final class ReadersFolder {
    private let temporary: TemporaryFolder
    private var folder: String { temporary.path }

    /// A text of which one hundredth has room for contexts of 32 tokens.
    private static let text = "In the beginning\n" + String(repeating: Workbench.text, count: 20)

    private static let standIns = [
        "sudo": "exit 0",
        "swift": "exit 0",
        "bible": "cat \"$(dirname \"$0\")/text\"",
        "ssh": "exit 1",
        "sbatch": """
        while [ "${1#-}" != "$1" ]; do shift; done
        SLURM_JOB_ID=1 SLURM_NTASKS=2 exec bash "$@"
        """,
        "scontrol": "exit 0",
        "buildah": "exit 0",
        "kubectl": "exit 0",
    ]

    init() throws {
        temporary = try TemporaryFolder()
        let files = FileManager.default
        try files.createDirectory(atPath: "\(folder)/tools", withIntermediateDirectories: true)
        for name in ["launch", "cluster"] {
            try files.createSymbolicLink(
                atPath: "\(folder)/\(name)", withDestinationPath: "\(Launch.root)/\(name)")
        }
        try files.createSymbolicLink(
            atPath: "\(folder)/gpt2",
            withDestinationPath: "\(Launch.root)/Tests/DataTests/Golden/small")
        try temporary.write("tools/text", Self.text)
        try temporary.write("tiny.toml", Workbench.recipe)
        for (name, command) in Self.standIns {
            try temporary.write("tools/\(name)", "#!/bin/sh\n\(command)\n")
            try files.setAttributes(
                [.posixPermissions: 0o755], ofItemAtPath: "\(folder)/tools/\(name)")
        }
    }

    /// Runs commands up to the first one that fails, which is named on stderr.
    func run(_ commands: String) throws -> Outcome {
        let script = """
            set -euo pipefail
            trap 'echo "failed: $BASH_COMMAND" >&2' ERR
            cd '\(folder)'
            export PATH='\(folder)/tools:\(Launch.products)':$PATH
            \(commands)
            """
        return try Launch.run("bash", ["-c", script], seconds: 120)
    }
}
