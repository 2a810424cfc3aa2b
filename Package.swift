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
                "Tensors", "MPI", "Failures",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: swiftSettings),
        .executableTarget(
            name: "multirank-probe",
            dependencies: [
                "Laboratory", "Training", "Model", "Collectives", "Kernels", "Tensors", "MPI",
                "Digests", "Failures", "MultiRankSupport",
            ],
            path: "Tests/MultiRankProbe", swiftSettings: swiftSettings),

        // The pipeline: Training wires the six below it, which never import one another.
        target(
            "Training",
            [
                "DataLoading", "Model", "Collectives", "Optimizers", "Checkpointing", "Telemetry",
                "Statistics", "Kernels", "Tensors", "MPI", "Digests", "JSONText", "Failures",
                "CPeak",
                .product(name: "TOMLKit", package: "TOMLKit"),
                .product(name: "Logging", package: "swift-log"),
            ]),
        target("DataLoading", ["Tensors", "Digests", "Failures", "JSONText"]),
        target("Model", ["Kernels", "Tensors", "Failures"]),
        target("Collectives", ["MPI", "Tensors", "CVector", "Failures"], unchecked: true),
        target("Optimizers", ["Tensors", "CVector", "Failures"], unchecked: true),
        target("Checkpointing", ["Tensors", "Digests", "Failures", "JSONText"]),
        target(
            "Telemetry",
            ["Statistics", "Failures", "JSONText", .product(name: "Logging", package: "swift-log")]),
        // Pages of charts, from plain descriptions of what commands have found.
        target("Report", ["Telemetry", "Failures"]),

        // Experiments on training
        target(
            "Laboratory",
            [
                "Training", "Model", "Collectives", "Optimizers", "Checkpointing", "Telemetry",
                "Report", "Statistics", "Kernels", "Tensors", "MPI", "Digests", "Failures",
                .product(name: "Logging", package: "swift-log"),
            ]),

        // Foundations
        target("Kernels", ["Tensors", "CMicrokernels", "CVector"], unchecked: true),
        target("MPI", ["COpenMPI", "Failures"]),
        target("Tensors", ["CAffinity", "CVector", "Failures"], unchecked: true),
        target("Digests", ["COpenSSL"]),
        target("Statistics", ["CMinpack"]),
        target("Failures"),
        target("JSONText"),
        .target(name: "CAffinity"),
        .target(name: "CVector", cSettings: [.unsafeFlags(machine)]),
        .target(name: "CMicrokernels", cSettings: [.unsafeFlags(machine + ["-O3"])]),
        .target(name: "CPeak", dependencies: ["CMicrokernels"]),
        .systemLibrary(
            name: "COpenMPI", pkgConfig: "ompi-c", providers: [.apt(["libopenmpi-dev"])]),
        .systemLibrary(
            name: "COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(
            name: "CMinpack", pkgConfig: "cminpack", providers: [.apt(["libcminpack-dev"])]),

        // Tests
        .target(name: "SeededNoise", path: "Tests/SeededNoise", swiftSettings: swiftSettings),
        tests("Tensors", ["Tensors"]),
        tests("Digests", ["Digests"]),
        tests("Failures", ["Failures"]),
        tests("JSONText", ["JSONText"]),
        tests("Statistics", ["Statistics", "SeededNoise"], exclude: ["Golden"]),
        .target(
            name: "EmulatedTiles", dependencies: ["CMicrokernels"], path: "Tests/EmulatedTiles",
            cSettings: [
                .headerSearchPath("../../Sources/CMicrokernels"),
                .unsafeFlags(machine + ["-ffp-contract=off"]),
            ]),
        tests("Kernels", ["Kernels", "Tensors", "CMicrokernels", "EmulatedTiles"]),
        .target(
            name: "MultiRankSupport", path: "Tests/MultiRankSupport", swiftSettings: swiftSettings),
        tests("MPI", ["MPI", "MultiRankSupport", "multirank-probe"]),
        tests("DataLoading", ["DataLoading", "Digests", "Failures"], exclude: ["Golden"]),
        tests(
            "Model", ["Model", "Checkpointing", "Kernels", "Tensors", "Failures"],
            exclude: ["Golden"]),
        tests("Optimizers", ["Optimizers", "Kernels", "Tensors", "Failures"], exclude: ["Golden"]),
        tests(
            "Collectives",
            ["Collectives", "Tensors", "Failures", "MultiRankSupport", "multirank-probe"]),
        tests("Checkpointing", ["Checkpointing", "Tensors", "Failures"], exclude: ["Golden"]),
        tests(
            "Telemetry",
            [
                "Telemetry", "Failures", "SeededNoise",
                .product(name: "Logging", package: "swift-log"),
            ]),
        tests("Report", ["Report", "Telemetry", "Failures", "MultiRankSupport"]),
        tests(
            "Training",
            [
                "Training", "Model", "Collectives", "Optimizers", "Checkpointing", "Telemetry",
                "Statistics", "Kernels", "Tensors", "Digests", "Failures", "SeededNoise",
            ], exclude: ["Golden"]),
        tests(
            "Laboratory",
            [
                "Laboratory", "Training", "Model", "Tensors", "Statistics", "Failures",
                "SeededNoise", "MultiRankSupport", "multirank-probe",
            ], exclude: ["Golden"]),
        tests("MultiRank", ["Checkpointing", "MultiRankSupport", "lockstep"]),
        tests("CommandLine", ["MultiRankSupport", "lockstep"]),
    ]
)
