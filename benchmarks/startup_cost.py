"""What the start-up hook costs every interpreter, and what importing the package adds to importing pyiqa.

    python benchmarks/startup_cost.py [--runs 30]

Prints medians: interpreter start with and without the hook, alternating; ``-X importtime`` of the hook's module;
``import pyiqa`` with the hook off and on, and the time our registration takes inside it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time

HOOK = "_maagiqa_pyiqa_startup"


def run(*arguments: str, hook: bool = True) -> tuple[float, str]:
    """Run the interpreter; return wall milliseconds and standard error."""
    environment = {**os.environ, "MAAGIQA_PYIQA_STARTUP": "1" if hook else "0"}
    start = time.perf_counter()
    command = [sys.executable, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return 1e3 * (time.perf_counter() - start), done.stderr + done.stdout


def module_milliseconds(module: str, code: str) -> float:
    """Self and nested import time of a module as the interpreter reports it."""
    _, report = run("-X", "importtime", "-c", code)
    line = next(line for line in report.splitlines() if line.split("|")[-1].strip() == module)
    return int(line.split("|")[1]) / 1e3


def median(values: list[float]) -> str:
    """Median with the range."""
    return f"{statistics.median(values):8.2f} ms  ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30)
    runs = parser.parse_args().runs
    pairs = [(run("-c", "pass")[0], run("-c", "pass", hook=False)[0]) for _ in range(runs)]
    print("hook, its module alone          ", median([module_milliseconds(HOOK, "pass") for _ in range(runs)]))
    print("interpreter start, hook on      ", median([on for on, _ in pairs]))
    print("interpreter start, hook disabled", median([off for _, off in pairs]))
    code = "import pyiqa, time; t = time.perf_counter(); import maagiqa_pyiqa; print((time.perf_counter() - t) * 1e3)"
    added = [float(run("-c", code, hook=False)[1].split()[-1]) for _ in range(max(3, runs // 6))]
    print("maagiqa_pyiqa over pyiqa        ", median(added))


if __name__ == "__main__":
    main()
