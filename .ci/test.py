"""Runs every check of the tree, says where the time went, and ends with one count.

    python3 .ci/test.py REQUIREMENTS...

A step passes, fails or is skipped with its reason; steps that count tests of their own add those.
A test that found the machine too noisy to judge writes a line into the file named by GENBA_SKIPS:
it is counted as skipped, not as passed.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

INCONCLUSIVE = 3  # the exit code of a demo or benchmark that the machine did not let judge
LAST_WORDS = 40  # of a step that failed, repeated at the end: the rest of a long log is seldom read
CARGO = ["--release", "--locked"]
BARE_METAL = "thumbv7em-none-eabihf"


class Tally:
    def __init__(self):
        self.passed, self.failed, self.skipped = 0, 0, []
        self.rows = []
        self.last_words = []

    def add(self, name, seconds, passed=0, failed=0, skipped=()):
        self.passed += passed
        self.failed += failed
        self.skipped += [f"{name}: {reason}" for reason in skipped]
        self.rows.append((name, seconds, passed, failed, len(skipped)))


def run(command, **environment):
    """Runs a command, shows its output as it comes, and returns exit code and output."""
    print(f"\n$ {' '.join(command)}", flush=True)
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **environment}
    )
    lines = []
    for line in process.stdout:
        sys.stdout.write(line)
        sys.stdout.flush()
        lines.append(line)
    return process.wait(), "".join(lines)


def step(tally, name, command, **environment):
    """A step that passes or fails as a whole; exit code 3 is inconclusive."""
    begun = time.monotonic()
    code, output = run(command, **environment)
    seconds = time.monotonic() - begun
    if code == INCONCLUSIVE:
        last = output.strip().splitlines()[-1:] or ["no output"]
        tally.add(name, seconds, skipped=[f"inconclusive: {last[0]}"])
    else:
        tally.add(name, seconds, passed=code == 0, failed=code != 0)
    if code not in (0, INCONCLUSIVE):
        tally.last_words.append((name, output.splitlines()[-LAST_WORDS:]))
    return code == 0


def counted(tally, name, command, pattern, skips=None):
    """A step whose output counts its tests: `pattern` finds `passed` and `failed`, once or more often."""
    begun = time.monotonic()
    code, output = run(command, **({"GENBA_SKIPS": skips} if skips else {}))
    counts = [match.groupdict() for match in re.finditer(pattern, output)]
    passed = sum(int(count["passed"] or 0) for count in counts)
    failed = sum(int(count["failed"] or 0) for count in counts)
    reasons = read_lines(skips) if skips else []
    if code != 0 or passed == 0:
        failed = max(failed, 1)  # it did not build, or ran nothing: that is no pass
        tally.last_words.append((name, output.splitlines()[-LAST_WORDS:]))
    tally.add(name, time.monotonic() - begun, max(passed - len(reasons), 0), failed, reasons)


def read_lines(path):
    with open(path, encoding="utf-8") as lines:
        return [line.strip() for line in lines if line.strip()]


def bare_metal(tally):
    """message and engine must build where there is no operating system."""
    have = subprocess.run(["rustc", "--print", "target-libdir", "--target", BARE_METAL], capture_output=True, text=True)
    installed = have.returncode == 0 and os.path.isdir(have.stdout.strip())
    if not installed and shutil.which("rustup"):
        installed = run(["rustup", "target", "add", BARE_METAL])[0] == 0
    packages = ["--package", "genba-message", "--package", "engine"]
    if installed:
        step(tally, f"no_std on {BARE_METAL}", ["cargo", "build", *CARGO, *packages, "--target", BARE_METAL])
    else:
        tally.add(f"no_std on {BARE_METAL}", 0, skipped=["this Rust has no such target and cannot fetch it"])


def renderer():
    """The camera's tests draw with EGL and Mesa's software renderer. Where they cannot be had, those tests say so."""
    have = subprocess.run(["sh", "-c", "ldconfig -p | grep -q libEGL.so.1"]).returncode == 0
    if not have and os.geteuid() == 0 and shutil.which("apt-get"):
        install = "apt-get install --quiet=2 --yes --no-install-recommends libegl1 libgl1-mesa-dri"
        run(["sh", "-c", f"apt-get update --quiet=2 && {install}"])


def counting_box(tally):
    """The box that counts its own allocations, for the test that asserts there are none: beside the shipped one."""
    build = ["cargo", "build", *CARGO, "--workspace", "--all-targets"]
    if step(tally, "box that counts allocations", [*build, "--features", "genba/count-allocations"]):
        os.replace("target/release/genba", "target/release/genba-counting")
    # It was built before.
    return step(tally, "the shipped box in its place", build)


def beside_peers(tally):
    """The peers are other people's packages: where they cannot be had, nothing is said of ours."""
    name = "bench beside peers, short"
    code, output = run([sys.executable, "hil-tests/bench/peers/fetch.py", "--short"])
    if code != 0:
        last = output.strip().splitlines()[-1:] or ["no output"]
        tally.add(name, 0, skipped=[f"a peer cannot be installed: {last[0]}"])
        return
    files = ["--json", "target/peers-short.json", "--svg", "target/peers-short.svg"]
    step(tally, name, ["target/release/genba-bench", "peers", "--short", *files])


def main(requirements):
    tally = Tally()
    if not step(tally, "native libraries", [sys.executable, "runtime/native.py", "--tests", *requirements]):
        return finish(tally)
    # Other people's servers: where there are none for this Python, their tests say so.
    step(tally, "clusters' servers", [sys.executable, "hil-tests/tests/python/cluster/install.py"])
    step(tally, "formatting", ["cargo", "fmt", "--all", "--check"])
    step(tally, "lints", ["cargo", "clippy", *CARGO, "--workspace", "--all-targets", "--", "--deny", "warnings"])
    # All targets at once: binaries alone would compile zenoh with other features than the tests do.
    if not step(tally, "build", ["cargo", "build", *CARGO, "--workspace", "--all-targets"]) or not counting_box(tally):
        return finish(tally)
    renderer()
    nextest = subprocess.run(["cargo", "nextest", "--version"], capture_output=True).returncode == 0
    rust = r"test result: \w+\. (?P<passed>\d+) passed; (?P<failed>\d+) failed"
    if nextest:
        rust_tests = ["cargo", "nextest", "run", "--no-fail-fast"]
        pattern = r"tests? run: (?P<passed>\d+) passed[^,\n]*(?:, (?P<failed>\d+) failed)?"
    else:
        rust_tests, pattern = ["cargo", "test", "--tests", "--no-fail-fast"], rust
    with tempfile.NamedTemporaryFile("w", suffix=".skips") as skips:
        counted(tally, "tests", [*rust_tests, *CARGO, "--workspace"], pattern, skips.name)
    faults = ["--package", "simulator", "--features", "faults"]
    counted(tally, "simulator with faults", [*rust_tests, *CARGO, *faults], pattern)
    counted(tally, "documentation's examples", ["cargo", "test", *CARGO, "--workspace", "--doc"], rust)
    bare_metal(tally)
    unittest = r"Ran (?P<passed>\d+) tests?(?P<failed>(?!))?"
    counted(tally, "native libraries' own tests", [sys.executable, "runtime/native_test.py"], unittest)
    with tempfile.NamedTemporaryFile("w", suffix=".skips") as skips:
        own = [sys.executable, "hil-tests/tests/python/egress/egress_test.py"]
        counted(tally, "the proof of egress's own tests", own, unittest, skips.name)
    step(tally, "demo, short", ["target/release/genba-rig", "demo", "--seconds", "10", "--html", "target/demo-short.html"])
    step(tally, "bench, short", ["target/release/genba-bench", "--short", "--json", "target/bench-short.json"])
    robots = ["robots", "--short", "--json", "target/robots-short.json", "--svg", "target/robots-short.svg"]
    step(tally, "bench with robots, short", ["target/release/genba-bench", *robots])
    beside_peers(tally)
    proof = ["gpu", "--without-tests", "--runs", "200"]
    files = ["--json", "target/gpu-proof-short.json", "--html", "target/gpu-proof-short.html"]
    step(tally, "proof on a GPU, short", ["target/release/genba-bench", *proof, *files])
    step(tally, "soak, short", ["target/release/genba-rig", "soak", "--short", "--json", "target/soak-short.json"])
    return finish(tally)


def finish(tally):
    for name, lines in tally.last_words:
        print(f"\n{name} failed; it ended with")
        for line in lines:
            print(f"  {line}")
    print(f"\n{'where the time went':34}{'s':>8}{'passed':>9}{'failed':>9}{'skipped':>9}")
    for name, seconds, passed, failed, skipped in tally.rows:
        print(f"{name:34}{seconds:8.1f}{passed:9}{failed:9}{skipped:9}")
    print(f"{'':34}{sum(row[1] for row in tally.rows):8.1f}")
    for reason in tally.skipped:
        print(f"skipped: {reason}")
    print(f"{tally.passed} passed, {tally.failed} failed, {len(tally.skipped)} skipped")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
