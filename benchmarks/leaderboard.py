"""The leaderboard from Python: what ``maagiqa benchmark -opt YAML`` does, for scripts that go on with the results.

python benchmarks/leaderboard.py options/benchmark_agiqa3k.yml [options/benchmark_aigcqa20k.yml ...]
"""

from __future__ import annotations

import argparse

from maagiqa_pyiqa.leaderboard.run import parse_benchmark_options, run_benchmark
from maagiqa_pyiqa.leaderboard.terminal import as_ranking
from maagiqa_pyiqa.support.option_files import read_option_file


def main() -> None:
    """Run each benchmark and print its rankings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("options", nargs="+", metavar="YAML", help="option files")
    for path in parser.parse_args().options:
        results = run_benchmark(parse_benchmark_options(read_option_file(path), path))
        for split in results.splits:
            print(as_ranking(results, split), end="\n\n")


if __name__ == "__main__":
    main()
