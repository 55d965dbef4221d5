"""Commands in processes of their own, with metrics that are slow on demand and keep every batch at once.

As a script: runs the command line with the metrics of ``leaderboard_metrics.py``.
"""

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

SECONDS = "0.02"  # an image takes


def start(*arguments, seconds=SECONDS):
    """Start a command; what it prints is kept."""
    environment = os.environ | {"SECONDS_AN_IMAGE": seconds}
    words = [sys.executable, "-m", "tests.helpers.kept_runs", *map(str, arguments)]
    return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def count_kept(folder):
    """Scores in the store of a folder; 0 where there is none yet."""
    path = Path(folder) / "scores.sqlite"
    if not path.exists():
        return 0
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        try:
            return database.execute("SELECT count(*) FROM scores WHERE score IS NOT NULL").fetchone()[0]
        except sqlite3.OperationalError:  # no tables yet, or a journal that a killed process left
            return 0


def wait_for(started, folder, number):
    """Wait until the store has that many scores, or the command has ended."""
    while count_kept(folder) < number and started.poll() is None:
        time.sleep(0.01)


if __name__ == "__main__":
    from pyiqa.default_model_configs import DEFAULT_CONFIGS

    from maagiqa_pyiqa.cli.main import main
    from maagiqa_pyiqa.metrics import kept_scoring
    from tests.helpers import leaderboard_metrics

    DEFAULT_CONFIGS.update(leaderboard_metrics.configs())
    kept_scoring.COMMIT_SECONDS = 0.0
    sys.exit(main(sys.argv[1:]))
