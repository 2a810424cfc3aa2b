// swift-tools-version: 6.1
import PackageDescription

// The one place for compiler flags, chosen by architecture. Everything elementwise is Swift SIMD:
// x86-64-v3 (AVX2 and FMA, 2013) is the oldest machine Lockstep runs on; the matrix kernels go higher
// by themselves at run time.
#if arch(x86_64)
    let machine = ["-march=x86-64-v3"]
#else
    let machine: [String] = []
#endif
let swiftSettings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .unsafeFlags(machine.flatMap { ["-Xcc", $0] }),
]
// Where the hot loops are: without overflow traps, which would keep them from being vectorised, and
// so without preconditions as well. What comes from users is checked before it gets there.
let uncheckedSettings =
    swiftSettings + [.unsafeFlags(["-Ounchecked"], .when(configuration: .release))]

/// A target of ours.
func target(
    _ name: String, _ dependencies: [Target.Dependency] = [], unchecked: Bool = false
) -> Target {
    .target(
        name: name, dependencies: dependencies,
        swiftSettings: unchecked ? uncheckedSettings : swiftSettings)
}

/// The tests of the target they are named after.
func tests(
    _ name: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = []
) -> Target {
    .testTarget(
        name: "\(name)Tests", dependencies: dependencies, exclude: exclude,
        swiftSettings: swiftSettings)
}

let package = Package(
    name: "lockstep",
    products: [.executable(name: "lockstep", targets: ["lockstep"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/LebJe/TOMLKit", from: "0.6.0"),
    ],
    targets: [
        // Executables
        .executableTarget(
            name: "lockstep",
            dependencies: [
                "Laboratory", "Training", "DataLoading", "Model", "Collectives", "Telemetry",
                "Compute", "MPI", "Support",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: swiftSettings),
        .executableTarget(
            name: "multirank-probe",
            dependencies: [
                "Laboratory", "Training", "Model", "Collectives", "Compute", "MPI",
                "Support", "MultiRankSupport",
            ],
            path: "Tests/MultiRankProbe", swiftSettings: swiftSettings),

        // The pipeline: Training wires the six below it, which never import one another.
        target(
            "Training",
            [
                "DataLoading", "Model", "Collectives", "Optimizers", "Checkpointing", "Telemetry",
                "Statistics", "Compute", "MPI", "Support",
                "CCompute",
                .product(name: "TOMLKit", package: "TOMLKit"),
                .product(name: "Logging", package: "swift-log"),
            ]),
        target("DataLoading", ["Compute", "Support"]),
        target("Model", ["Compute", "Support"]),
        target("Collectives", ["MPI", "Compute", "CCompute", "Support"]),
        target("Optimizers", ["Compute", "Support"]),
        target("Checkpointing", ["Compute", "Support"]),
        target(
            "Telemetry",
            ["Statistics", "Support", .product(name: "Logging", package: "swift-log")]),
        // Pages of charts, from plain descriptions of what commands have found.
        target("Report", ["Telemetry", "Support"]),

        // Experiments on training
        target(
            "Laboratory",
            [
                "Training", "Model", "Collectives", "Optimizers", "Checkpointing", "Telemetry",
                "Report", "Statistics", "Compute", "MPI", "Support",
                .product(name: "Logging", package: "swift-log"),
            ]),

        // Foundations
        target("Compute", ["CCompute", "Support"], unchecked: true),
        target("Support", ["COpenSSL"]),
        target("MPI", ["COpenMPI", "Support"]),
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

        // Tests
        .target(name: "SeededNoise", path: "Tests/SeededNoise", swiftSettings: swiftSettings),
        tests("Support", ["Support"]),
        tests("Statistics", ["Statistics", "SeededNoise"], exclude: ["Golden"]),
        .target(
            name: "EmulatedTiles", dependencies: ["CCompute"], path: "Tests/EmulatedTiles",
            cSettings: [
                .headerSearchPath("../../Sources/CCompute"),
                .unsafeFlags(machine + ["-ffp-contract=off"]),
            ]),
        tests("Compute", ["Compute", "CCompute", "EmulatedTiles"]),
        .target(
            name: "MultiRankSupport", path: "Tests/MultiRankSupport", swiftSettings: swiftSettings),
        tests("MPI", ["MPI", "MultiRankSupport", "multirank-probe"]),
        tests("DataLoading", ["DataLoading", "Support"], exclude: ["Golden"]),
        tests(
            "Model", ["Model", "Checkpointing", "Compute", "Support"],
            exclude: ["Golden"]),
        tests("Optimizers", ["Optimizers", "Compute", "Support"], exclude: ["Golden"]),
        tests(
            "Collectives",
            ["Collectives", "Compute", "Support", "MultiRankSupport", "multirank-probe"]),
        tests("Checkpointing", ["Checkpointing", "Compute", "Support"], exclude: ["Golden"]),
        tests(
            "Telemetry",
            [
                "Telemetry", "Support", "SeededNoise",
                .product(name: "Logging", package: "swift-log"),
            ]),
        tests("Report", ["Report", "Telemetry", "Support", "MultiRankSupport"]),
        tests(
            "Training",
            [
                "Training", "Model", "Collectives", "Optimizers", "Checkpointing", "Telemetry",
                "Statistics", "Compute", "Support", "SeededNoise",
            ], exclude: ["Golden"]),
        tests(
            "Laboratory",
            [
                "Laboratory", "Training", "Model", "Compute", "Statistics", "Support",
                "SeededNoise", "MultiRankSupport", "multirank-probe",
            ], exclude: ["Golden"]),
        tests("MultiRank", ["Checkpointing", "MultiRankSupport", "lockstep"]),
        tests("CommandLine", ["MultiRankSupport", "lockstep"]),
    ]
)
