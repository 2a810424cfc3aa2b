import Foundation
import TestSupport
import Testing

/// Tests of the image that `cluster/image/Containerfile` describes, without its first stage, which
/// builds the program.
@Suite struct ContainerImageTests {
    private static let canBuild =
        geteuid() == 0 && Launch.runsAll && Manifests.canBeRead
        && (try? Launch.run("sh", ["-c", "command -v buildah && command -v debootstrap"]).status)
            == 0

    @Test(
        "two ranks train in the image without root, and a worker of Kubernetes admits a login",
        .enabled(
            if: canBuild, "this needs root and the network: launch/test --all"),
        .timeLimit(.minutes(15)))
    func ranksTrainInTheImage() throws {
        let folder = try TemporaryFolder(hasSpace: false)
        try folder.write("text", Workbench.text)
        try folder.write("recipe.toml", Workbench.recipe)
        let script = """
            set -euo pipefail
            cd "$1"; root=$2; lockstep=$3; worker=("${@:4}")
            export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs TMPDIR=$1
            buildah=(buildah --root "$1/store" --runroot "$1/run")

            debootstrap --variant=minbase bookworm debian
            rm -rf debian/var/cache/apt/archives/*.deb
            container=$("${buildah[@]}" from scratch)
            "${buildah[@]}" copy --quiet "$container" debian /
            "${buildah[@]}" commit --quiet --rm "$container" lockstep-base
            rm -rf debian

            install -D "$lockstep" built/usr/local/bin/lockstep
            "${buildah[@]}" build -f "$root/cluster/image/Containerfile" -t lockstep \\
                --build-arg BASE=localhost/lockstep-base --build-context "build=$1/built" "$root"

            mkdir work && mv text recipe.toml work && chown 1000 work
            # The program under test needs the Swift libraries of this machine.
            libraries=$(ldd "$lockstep" | sed -n 's/.* => \\(.*\\)\\/libswiftCore.so .*/\\1/p')
            container=$("${buildah[@]}" from localhost/lockstep)
            inside='set -eu; id -u; lockstep --version
                launch/mpirun --ranks 2 --oversubscribe -- lockstep doctor
                lockstep tokenize /work/text --out /work/data
                launch/mpirun --ranks 2 --oversubscribe -- lockstep train /work/recipe.toml \\
                    --data /work/data --out /work/run
                mkdir ~/.ssh && ssh-keygen -q -t ecdsa -N "" -f ~/.ssh/id_rsa
                cp ~/.ssh/id_rsa.pub ~/.ssh/authorized_keys
                "$@" & server=$!
                for i in 1 2 3 4 5 6 7 8 9; do sleep 1; ssh -n localhost "id -un" && break; done
                kill $server'
            # No other program listens on the ports of a new network.
            unshare --net sh -c 'ip link set lo up && exec "$@"' sh \\
                "${buildah[@]}" run --cap-drop all ${libraries:+-v "$libraries:$libraries:ro"} \\
                -v "$1/work:/work" "$container" -- sh -c "$inside" sh "${worker[@]}" >output
            """
        let outcome = try Launch.run(
            "bash",
            ["-c", script, "bash", folder.path, Launch.root, Workbench.lockstep]
                + Manifests.read().container("Worker").command,
            seconds: 840)
        try #require(outcome.status == 0, "\(outcome.errors.suffix(3000))")
        let output = try folder.read("output").split(separator: "\n")
        #expect(output.first == "1000")
        #expect(output.dropFirst().first?.hasPrefix("lockstep 0.") == true)
        #expect(output.contains("ranks         2 on 1 host, 1 thread each"), "\(output)")
        #expect(output.last == "mpiuser", "\(output)")
        #expect(try folder.names("work/run/checkpoints").contains("step-00000006"))
    }
}
