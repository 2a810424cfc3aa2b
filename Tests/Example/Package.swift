// swift-tools-version: 6.1
import PackageDescription

let package = Package(
    name: "linear-model",
    dependencies: [.package(name: "lockstep", path: "../..")],
    targets: [
        .executableTarget(
            name: "linear-model",
            dependencies: [
                .product(name: "MPI", package: "lockstep"),
                .product(name: "Optimizers", package: "lockstep"),
                .product(name: "Safetensors", package: "lockstep"),
            ])
    ]
)
