// swift-tools-version: 6.1
import PackageDescription

// The one place for compiler flags. Everything elementwise is Swift SIMD: x86-64-v3 (AVX2 and FMA,
// 2013) is the oldest machine Lockstep runs on; the matrix kernels go higher by themselves at run
// time.
let machine = ["-march=x86-64-v3"]
// For targets without arithmetic. A package can depend on a version of a product only if its
// targets have no unsafe flags.
let portableSettings: [SwiftSetting] = [.swiftLanguageMode(.v6)]
let swiftSettings = portableSettings + [.unsafeFlags(machine.flatMap { ["-Xcc", $0] })]
// For the target with the floating-point loops, which overflow traps would keep from being
// vectorized. This removes preconditions too, so the callers check what comes from users.
let uncheckedSettings =
    swiftSettings + [.unsafeFlags(["-Ounchecked"], .when(configuration: .release))]

/// Returns a library target.
func target(
    _ name: String, _ dependencies: [Target.Dependency] = [], unchecked: Bool = false
) -> Target {
    .target(
        name: name, dependencies: dependencies,
        swiftSettings: unchecked ? uncheckedSettings : swiftSettings)
}

/// Returns the tests of the target `name`.
func tests(
    _ name: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = []
) -> Target {
    .testTarget(
        name: "\(name)Tests", dependencies: dependencies, exclude: exclude,
        swiftSettings: swiftSettings)
}

let package = Package(
    name: "lockstep",
    products: [
        .executable(name: "lockstep", targets: ["lockstep"]),
        // Libraries for other packages; the page "In Swift programs" describes them.
        .library(name: "MPI", targets: ["MPI", "Support"]),
        .library(name: "Optimizers", targets: ["Optimizers", "Recipes", "Compute", "Support"]),
        .library(name: "Safetensors", targets: ["Checkpoints", "Compute", "Support"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/LebJe/TOMLKit", exact: "0.6.0"),
    ],
    targets: [
        // Executables
        .executableTarget(
            name: "lockstep",
            dependencies: [
                "Sweeps", "Verdicts", "Experiments", "Benchmarks", "Report", "Training", "Data",
                "Model", "Telemetry", "Recipes", "Compute", "MPI", "Support",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: swiftSettings),
        .executableTarget(
            name: "multirank-probe",
            dependencies: [
                "Experiments", "Training", "Model", "Collectives", "Recipes", "Compute", "MPI",
                "Support", "TestSupport",
            ],
            path: "Tests/MultiRankProbe", swiftSettings: swiftSettings),

        // Studies: experiments on training, and the pages about them.
        target(
            "Sweeps",
            [
                "Verdicts", "Training", "Model", "Telemetry", "Recipes", "Report", "Statistics",
                "Compute", "MPI", "Support",
            ]),
        target("Verdicts", ["Report", "Statistics", "Compute", "Support"]),
        target(
            "Experiments",
            [
                "Training", "Data", "Model", "Collectives", "Optimizers", "Telemetry", "Recipes",
                "Report", "Statistics", "Compute", "MPI", "Support",
            ]),
        target(
            "Benchmarks",
            [
                "Verdicts", "Training", "Model", "Collectives", "Optimizers", "Recipes",
                "Statistics", "Compute", "CCompute", "MPI", "Support",
            ]),
        .target(
            name: "Report", dependencies: ["Support"],
            resources: [
                .embedInCode("Templates/bars.vg.json"), .embedInCode("Templates/cells.vg.json"),
                .embedInCode("Templates/contours.vg.json"), .embedInCode("Templates/lines.vg.json"),
                .embedInCode("Templates/planes.vg.json"),
                .embedInCode("Templates/surface.vg.json"),
                .embedInCode("Templates/verdicts.vg.json"),
            ], swiftSettings: swiftSettings),

        // Pipeline: Training wires the targets below it, which share only Recipes' plain values.
        target(
            "Training",
            [
                "Data", "Model", "Collectives", "Optimizers", "Checkpoints", "Telemetry", "Recipes",
                "Statistics", "Compute", "MPI", "Support",
                .product(name: "Logging", package: "swift-log"),
            ]),
        .target(
            name: "Data", dependencies: ["Compute", "Support", "CZlib", "CZstandard"],
            resources: [
                .embedInCode("Tokenizers/UnicodeClasses.txt"),
                .embedInCode("Tokenizers/UnicodeComposition.txt"),
            ],
            swiftSettings: swiftSettings),
        target("Model", ["Recipes", "Compute", "Support"]),
        target("Collectives", ["Recipes", "MPI", "Compute", "Support"]),
        target("Optimizers", ["Recipes", "Statistics", "Compute"]),
        target("Checkpoints", ["Compute", "Support"]),
        target("Telemetry", ["Support", .product(name: "Logging", package: "swift-log")]),
        target(
            "Recipes", ["Compute", "Support", .product(name: "TOMLKit", package: "TOMLKit")]),

        // Foundations
        target("Compute", ["CCompute", "Support"], unchecked: true),
        .target(name: "Support", dependencies: ["COpenSSL"], swiftSettings: portableSettings),
        .target(
            name: "MPI", dependencies: ["COpenMPI", "Support"], swiftSettings: portableSettings),
        target("Statistics", ["CMinpack"]),
        .target(
            name: "CCompute",
            exclude: ["microkernels.inc", "packing.inc"],
            cSettings: [.unsafeFlags(machine + ["-O3"])]),
        .systemLibrary(
            name: "COpenMPI", pkgConfig: "ompi-c", providers: [.apt(["libopenmpi-dev"])]),
        .systemLibrary(
            name: "COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(
            name: "CMinpack", pkgConfig: "cminpack", providers: [.apt(["libcminpack-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(
            name: "CZstandard", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),

        // Tests
        .target(
            name: "TestSupport",
            dependencies: ["Verdicts", "Report", "Recipes", "Compute", "Support"],
            path: "Tests/Support",
            swiftSettings: swiftSettings),
        tests("Support", ["Support", "TestSupport"]),
        tests("Statistics", ["Statistics", "TestSupport"], exclude: ["Golden"]),
        .target(
            name: "EmulatedTiles", dependencies: ["CCompute"], path: "Tests/EmulatedTiles",
            cSettings: [
                .headerSearchPath("../../Sources/CCompute"),
                .unsafeFlags(machine + ["-ffp-contract=off"]),
            ]),
        tests("Compute", ["Compute", "CCompute", "EmulatedTiles"]),
        tests("MPI", ["MPI", "TestSupport", "multirank-probe"]),
        tests(
            "Recipes", ["Recipes", "Optimizers", "Compute", "Support", "TestSupport"],
            exclude: ["Golden"]),
        tests("Data", ["Data", "Support", "TestSupport"], exclude: ["Golden"]),
        tests(
            "Model", ["Model", "Checkpoints", "Recipes", "Compute", "Support", "TestSupport"],
            exclude: ["Golden"]),
        tests(
            "Optimizers",
            [
                "Optimizers", "Model", "Checkpoints", "Recipes", "Compute", "Support",
                "TestSupport",
            ], exclude: ["Golden"]),
        tests("Collectives", ["Collectives", "Compute", "Support"]),
        tests(
            "Checkpoints", ["Checkpoints", "Compute", "Support", "TestSupport"],
            exclude: ["Golden"]),
        tests(
            "Telemetry",
            [
                "Telemetry", "Support", "TestSupport",
                .product(name: "Logging", package: "swift-log"),
            ]),
        tests("Report", ["Report", "Support", "TestSupport"]),
        tests(
            "Training",
            [
                "Training", "Data", "Model", "Collectives", "Optimizers", "Checkpoints",
                "Telemetry",
                "Recipes",
                "Statistics", "Compute", "Support", "TestSupport",
                .product(name: "Logging", package: "swift-log"),
            ], exclude: ["Golden"]),
        tests(
            "Verdicts",
            ["Verdicts", "Benchmarks", "Report", "Statistics", "Support", "TestSupport"]),
        tests(
            "Sweeps",
            [
                "Sweeps", "Verdicts", "Benchmarks", "Training", "Recipes", "Report", "Statistics",
                "Support", "TestSupport",
            ]),
        tests(
            "Experiments",
            [
                "Experiments", "Training", "Model", "Telemetry", "Recipes", "Report", "Compute",
                "Statistics", "Support", "TestSupport",
            ]),
        .testTarget(
            name: "FuzzingTests",
            dependencies: [
                "Checkpoints", "Data", "Model", "Recipes", "Sweeps", "Compute", "Support",
                "TestSupport",
            ], path: "Tests/Fuzzing", exclude: ["Fuzzing.swift", "Seeds", "run"],
            swiftSettings: swiftSettings),
        tests("Launch", ["Checkpoints", "TestSupport", "lockstep", "multirank-probe"]),
        tests(
            "MultiRank",
            ["Checkpoints", "Collectives", "Compute", "TestSupport", "lockstep", "multirank-probe"]),
        tests("CommandLine", ["Compute", "Support", "TestSupport", "lockstep"]),
    ]
)
