import Foundation
import TestSupport
import Testing

/// A test of `launch/package` in a root folder that has Open MPI and nothing else that Lockstep needs.
///
/// The root is made from the files of installed Debian packages, without the network. The first build
/// of the archive takes several minutes.
@Suite struct PackageTests {
    private static let isPossible: Bool = {
        guard geteuid() == 0, Launch.runsAll else { return false }
        let script = """
            unshare --mount true && dpkg -s openmpi-bin libopenmpi-dev libssl-dev libcminpack-dev \
            zlib1g-dev libzstd-dev libjs-vega
            """
        return (try? Launch.run("bash", ["-c", script]).status) == 0
    }()

    /// Copies the files of Open MPI's packages, and of all that they depend on, to the folder `$1`.
    private static let makeRoot = """
        todo=(openmpi-bin bash coreutils sed grep mawk util-linux libc-bin tar gzip perl-base)
        declare -A seen=()
        while ((${#todo[@]})); do
            package=${todo[0]} todo=("${todo[@]:1}")
            [[ -z ${seen[$package]:-} ]] || continue
            depends=$(dpkg-query -W -f '${Pre-Depends}, ${Depends}' "$package" 2>/dev/null) || continue
            seen[$package]=1
            mapfile -t -O "${#todo[@]}" todo < <(tr ',|' '\\n\\n' <<<"$depends" |
                awk 'NF { sub(/:.*/, "", $1); print $1 }')
        done
        mkdir -p "$1"/{usr/{bin,sbin,lib,lib64},dev/shm,etc,proc,sys,tmp,home/user}
        for name in bin sbin lib lib64; do ln -s "usr/$name" "$1/$name"; done
        # Names of virtual packages are no packages.
        { { dpkg -L "${!seen[@]}" 2>/dev/null || true; } | grep -vE '^/(usr/share/(doc|man|locale)|var)/'
            find /usr/bin -lname '/etc/alternatives/*'
            printf '%s\\n' /etc/alternatives /etc/ld.so.conf /etc/ld.so.conf.d; } | sort -u |
            while IFS= read -r path; do
                [[ -d $path && ! -L $path && $path != /etc/* || ! -e $path ]] || printf '%s\\n' "${path#/}"
            done | tar -C / --files-from=- -cf - | tar -C "$1" -xf -
        for name in null zero urandom; do cp -a "/dev/$name" "$1/dev/"; done
        ln -s /proc/self/fd "$1/dev/fd"
        echo 'user:x:65534:65534::/home/user:/bin/bash' >"$1/etc/passwd"
        chown -R 65534:65534 "$1/home/user" && chmod 1777 "$1/tmp"
        mount -t proc proc "$1/proc" && mount --rbind /sys "$1/sys" && mount -t tmpfs shm "$1/dev/shm"
        ldconfig -r "$1"
        """

    /// The commands of a user, in the unpacked archive.
    private static let commands = """
        set -e
        if type swift >/dev/null 2>&1; then exit 1; fi
        mv lockstep-* 'a place'; cd /tmp; here='/home/user/a place'; export PATH="$here/bin:$PATH"
        lockstep tokenize text.txt --out data
        "$here/launch/mpirun" --ranks 2 --oversubscribe -- lockstep train recipe.toml --data data --out run
        "$here/launch/supervise" --ranks 1 -- lockstep train --out run --resume --set training.steps=8
        lockstep sample run --prompt the --tokens 8
        lockstep report run
        grep -q 'BSD-3-Clause' run/report.html
        """

    @Test(
        "the archive trains, samples and reports where Swift is not installed",
        .enabled(
            if: isPossible,
            "this needs root, and a second build: launch/test --all"))
    func archiveRunsWithoutSwift() throws {
        let bench = try Workbench()
        let package = try Launch.run(
            "\(Launch.root)/launch/package", ["--out", bench.folder], seconds: 1800)
        try #require(package.status == 0, "\(package.errors)")
        let names = try bench.names().filter { $0.hasSuffix("-x86_64.tar.gz") }
        let name = try #require(names.first)
        #expect(names.count == 1)

        let script = """
            set -euo pipefail
            root=$2/root
            set -- "$root" "$1" "$2" "$3"
            \(Self.makeRoot)
            cp "$3"/{text.txt,recipe.toml} "$root/tmp/"
            tar -C "$root/home/user" -xzf "$3/$2" --no-same-owner
            chown -R 65534:65534 "$root/home/user"
            cd / && chroot --userspec=65534:65534 "$root" env -i HOME=/home/user PATH=/usr/bin \
                bash -c "cd && $4"
            """
        // Mounts in a namespace of their own end with it.
        let outcome = try Launch.run(
            "unshare",
            ["--mount", "bash", "-c", script, "bash", name, bench.folder, Self.commands])
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(outcome.errors.contains(" on 2 ranks x 1 thread, into run"), "\(outcome.errors)")
        #expect(outcome.errors.contains("resumed from the checkpoint of step 6"))
    }

    @Test("bad input is refused in one sentence")
    func badInputIsRefused() throws {
        for (arguments, code, sentence) in [
            (["--out"], 64, "--out: has no value; name a folder."),
            (["now"], 64, "now: is not an option; see launch/package --help."),
            (
                ["--out", "/no/such"], 74,
                "/no/such: is not a folder that can be written; name another one with --out."
            ),
        ] as [([String], Int32, String)] {
            let outcome = try Launch.run("\(Launch.root)/launch/package", arguments)
            #expect(outcome.status == code)
            #expect(outcome.errors == "lockstep: \(sentence)\n")
        }
    }
}
