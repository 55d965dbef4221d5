"""The leaderboard from options to files: what is scored once, what goes on after a kill, and the verb."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from maagiqa_pyiqa.cli.main import main
from maagiqa_pyiqa.leaderboard.run import parse_benchmark_options, run_benchmark
from maagiqa_pyiqa.support.option_files import read_option_file
from tests.helpers import leaderboard_metrics
from tests.helpers.benchmark_runs import N, draw, participants_of, rows_of
from tests.helpers.places import ROOT


def test_a_second_run_scores_only_what_is_new(options, table, tmp_path, calls):
    run_benchmark(options())
    assert len(calls) == N
    calls.clear()
    again = run_benchmark(options(metrics=["brightness", "darkness"], seed=1))
    assert set(calls) == {"darkness"}
    assert participants_of(again)["brightness"].images_per_second > 0
    calls.clear()
    draw(tmp_path / "images" / "new.png", 0.5, seed=99)
    with table.open("a") as file:
        file.write("new.png,2.5,a,new\n")
    run_benchmark(options())
    assert calls == ["brightness"]


def test_scores_belong_to_pixels_and_weights_not_to_names(options, tmp_path, calls):
    run_benchmark(options())
    calls.clear()
    renamed = tmp_path / "renamed"
    (tmp_path / "images").rename(renamed)
    run_benchmark(options(root=str(renamed)))
    assert not calls
    draw(renamed / "picture03.png", 0.9, seed=3)  # another picture of the old name
    run_benchmark(options(root=str(renamed)))
    assert calls == ["brightness"]
    calls.clear()
    run_benchmark(options(root=str(renamed), metrics=[{"name": "b", "metric": "brightness", "options": {"sign": 2.0}}]))
    assert len(calls) == N


def test_a_killed_run_resumes(options, tmp_path, calls):
    (tmp_path / "run.yml").write_text(yaml.safe_dump({**options.default, "batch_size": 2}))
    script = Path(leaderboard_metrics.__file__)
    environment = {**os.environ, "SECONDS_AN_IMAGE": "0.5", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, str(script), str(tmp_path / "run.yml")], env=environment)
    kept = wait_for_scores(tmp_path / "out" / "scores.sqlite", 3, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert kept < N
    results = run_benchmark(options())
    assert 0 < len(calls) <= N - kept
    assert rows_of(results)["brightness"].n == N


def wait_for_scores(path, count, process):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with sqlite3.connect(path) as database:
                kept = database.execute("SELECT COUNT(*) FROM scores").fetchone()[0]
        except sqlite3.OperationalError:
            kept = 0
        if kept >= count:
            return kept
        time.sleep(0.05)
    raise AssertionError("the run wrote no scores")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"datset": "csv"}, "Did you mean 'dataset'"),
        ({"dataset": "agiqa-3"}, "Did you mean 'agiqa-3k'"),
        ({"split": "offical"}, "Did you mean 'official'"),
        ({"part": "tset"}, "Did you mean 'test'"),
        ({"resamples": 0}, "resamples must be an integer of at least 1"),
        ({"baseline": "brightnes"}, "Did you mean 'brightness'"),
        ({"where": "modle=a"}, "Did you mean 'model'"),
        ({"group_columns": ["modle"]}, "Did you mean 'model'"),
        ({"mos_column": "moss"}, "Did you mean 'mos'"),
        ({"dataset": "csv", "csv": None}, "needs its file"),
        ({"dataset": "agiqa-3k", "root": None}, "needs its folder"),
    ],
)
def test_options_that_make_no_sense(options, given, message):
    with pytest.raises(ValueError, match=message):
        run_benchmark(options(**given))


def test_option_files_describe_whole_runs():
    folder = ROOT / "options"
    for name in ("benchmark_agiqa3k.yml", "benchmark_aigcqa20k.yml"):
        options = parse_benchmark_options(read_option_file(folder / name), name)
        assert options.data.split == ("official", "prompt-disjoint")


def test_the_verb_ranks_and_lists_failures(table, tmp_path, capsys):
    arguments = ["--dataset", "csv", "--csv", str(table), "--root", str(tmp_path / "images"), "--workers", "0"]
    arguments += ["--out", str(tmp_path / "out"), "--resamples", "20", "--where", "model=a", "--device", "cpu"]
    assert main(["benchmark", *arguments, "-m", "brightness", "-m", "lacks-a-package"]) == 1
    out, err = capsys.readouterr()
    assert "   1  brightness" in out
    assert "   -  lacks-a-package  failed" in out
    assert "lacks-a-package cannot run here: lacks the package" in err
    assert main(["benchmark", *arguments, "-m", "brightness"]) == 0
    assert main(["benchmark", *arguments, "-m", "brightnes"]) == 2
    assert "Did you mean 'brightness'" in capsys.readouterr().err


def test_the_command_line_goes_before_the_option_file(table, tmp_path, capsys):
    option_file = tmp_path / "run.yml"
    option_file.write_text(
        yaml.safe_dump({"dataset": "csv", "csv": str(table), "root": str(tmp_path / "images"), "metrics": "entropy"})
    )
    arguments = ["-opt", str(option_file), "--out", str(tmp_path / "o"), "--resamples", "20", "--workers", "0"]
    assert main(["benchmark", *arguments, "-m", "brightness"]) == 0
    assert "entropy" not in capsys.readouterr().out
    option_file.write_text("resample: 3\n")
    assert main(["benchmark", "-opt", str(option_file)]) == 2
    assert "Did you mean 'resamples'" in capsys.readouterr().err
