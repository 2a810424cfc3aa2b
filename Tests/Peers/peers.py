"""What the scripts in this folder share: problems, virtual environments, the program and counted checks."""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
NAME = Path(sys.argv[0]).name
VERSIONS = {
    "torch": "2.13.0", "transformers": "5.23.0", "tokenizers": "0.23.3", "safetensors": "0.8.0", "numpy": "2.4.6",
    "tiktoken": "0.14.0", "tensorboard": "2.21.0",
}  # fmt: skip
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"


class Problem(Exception):
    """A failure with one sentence for the user and a code of sysexits.h."""

    def __init__(self, code, sentence):
        super().__init__(sentence)
        self.code = code


def say(line):
    print(f"{NAME}: {line}", file=sys.stderr, flush=True)


class Parser(argparse.ArgumentParser):
    """A parser of a script's options, whose errors are problems."""

    def __init__(self, description):
        super().__init__(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)

    def error(self, message):
        raise Problem(64, f"{message}; see --help.")


def install(folder, packages):
    """Creates a virtual environment unless it exists, and installs the packages there."""
    say(f"installing {', '.join(packages)} into {folder}")
    python = folder / "bin/python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--no-input"]
    torch = [package for package in packages if package.startswith("torch==")]
    if torch and subprocess.run([*pip, "--extra-index-url", TORCH_INDEX, f"{torch[0]}+cpu"]).returncode == 0:
        packages = [package for package in packages if package not in torch]
    elif torch:
        say(f"{TORCH_INDEX} has no {torch[0]} for this machine, or cannot be reached; trying PyPI")
    if subprocess.run([*pip, *packages]).returncode != 0:
        raise Problem(69, "the packages cannot be installed; see pip's message above.")


def use_venv(folder, names):
    """Continues this script in a virtual environment with the packages, which are installed there if necessary."""
    folder = folder.resolve()
    python = folder / "bin/python"
    done = folder / f"{NAME}.json"
    packages = [f"{name}=={VERSIONS[name]}" for name in names]
    if not done.exists() or done.read_text() != json.dumps(packages):
        install(folder, packages)
        done.write_text(json.dumps(packages))
    if Path(sys.prefix) != folder:
        os.execv(python, [str(python), *sys.argv])


def exit_with(main):
    """Runs `main` and exits with its status."""
    try:
        sys.exit(main())
    except Problem as problem:
        say(problem)
        sys.exit(problem.code)
    except KeyboardInterrupt:
        sys.exit(130)


def exit_with_checks(check, parser, packages):
    """Exits with the status of `check(options, work)`, which runs in a virtual environment with the packages.

    `work` is a folder for its files. The options are those of the parser, --venv and --keep.
    """

    def main():
        options = parser.parse_args()
        use_venv(options.venv, packages)
        if options.keep is not None:
            options.keep.mkdir(parents=True)
            return check(options, options.keep.resolve())
        with tempfile.TemporaryDirectory(prefix=f"lockstep-{NAME}.") as folder:
            return check(options, Path(folder))

    parser.add_argument("--venv", type=Path, default=ROOT / ".venv",
                        help="the virtual environment for the packages (default: .venv in this checkout)")
    parser.add_argument("--keep", type=Path, help="a new folder for the files of the checks, which are kept")
    exit_with(main)


class Lockstep:
    """The program, which runs in a folder."""

    def __init__(self, work):
        built = ROOT / ".build/release/lockstep"
        self.path = str(built) if built.exists() else shutil.which("lockstep")
        if self.path is None:
            raise Problem(
                69, "lockstep is neither built in this checkout nor in PATH: build it with `swift build -c release`."
            )
        self.work = work

    def command(self, *arguments, ranks=0):
        launcher = [str(ROOT / "launch/mpirun"), "--ranks", str(ranks), "--oversubscribe", "--"] if ranks else []
        return [*launcher, self.path, *map(str, arguments)]

    def run(self, *arguments, ranks=0):
        """Runs the program and returns its output."""
        result = subprocess.run(self.command(*arguments, ranks=ranks), capture_output=True, cwd=self.work)
        if result.returncode != 0:
            lines = result.stderr.decode(errors="replace").strip().splitlines()
            raise Problem(70, f"lockstep {arguments[0]} ended with {result.returncode}: {lines[-1] if lines else ''}")
        return result.stdout.decode(errors="replace")


class Checks:
    """The checks of some cases, which are counted; those that fail are printed."""

    def __init__(self):
        self.count = 0
        self.failures = 0
        self.case = ""

    def begin(self, case):
        self.case = f"{case}: "
        say(case)

    def expect(self, condition, sentence):
        self.count += 1
        if not condition:
            self.failures += 1
            print(f"FAILED  {self.case}{sentence}", flush=True)

    def finish(self, peers):
        """Prints how many checks passed and returns the exit status."""
        print(f"{self.count - self.failures} of {self.count} checks passed with {peers}")
        return 1 if self.failures else 0
