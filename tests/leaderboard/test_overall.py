"""A ranking over data sets: each votes by order alone, and who cannot be ranked is said."""

from dataclasses import replace

import numpy as np
import pytest

from maagiqa_pyiqa.cli.main import main
from maagiqa_pyiqa.leaderboard.overall import as_text, borda_points, rank_over
from maagiqa_pyiqa.leaderboard.results_json import to_json
from tests.helpers.synthetic_results import Made, make_image, make_results, with_rows


@pytest.fixture
def results():
    """Make results of metrics by name and noise."""

    def make(name, **noises):
        mos = np.random.default_rng(0).uniform(0, 5, 60)
        images = [make_image(f"{i}.png", float(value), ("all",), {"generator": "a"}) for i, value in enumerate(mos)]
        return make_results(images, [Made(metric, noise) for metric, noise in noises.items()], name=name)

    return make


def test_points_count_those_that_are_beaten_and_half_of_equals():
    assert borda_points({"a": 0.9, "b": 0.5, "c": 0.5, "d": 0.1}) == {"a": 3, "b": 1.5, "c": 1.5, "d": 0}


def test_order_counts_and_not_how_far_metrics_are_apart(results):
    first = results("First", steady=0.5, brilliant=0.1, poor=2.0)
    second = results("Second", steady=0.5, brilliant=9.0, poor=2.0)
    overall = rank_over([first, second])
    assert [(one.name, one.points) for one in overall.standings] == [("steady", 3), ("brilliant", 2), ("poor", 1)]
    assert overall.voters == ("First, all", "Second, all")


def test_metrics_without_a_figure_or_trained_on_the_images_are_left_out_and_named(results):
    first, second = results("First", a=0.1, b=0.5, c=1.0, d=2.0), results("Second", a=0.1, b=0.5, c=1.0)
    rows = [replace(row, seen_in_training=5 * (row.name == "a")) for row in second.splits["all"].rows]
    overall = rank_over([first, with_rows(second, "all", rows)])
    assert [one.name for one in overall.standings] == ["b", "c"]
    assert overall.left_out == {"a": "trained on images of Second", "d": "no figure on Second"}
    assert "Left out: a (trained on images of Second); d (no figure on Second)." in as_text(overall)


def test_one_data_set_or_the_same_twice_is_refused(results):
    one = results("First", a=0.1, b=0.5)
    for given in ([one], [one, one]):
        with pytest.raises(ValueError, match="needs two or more different ones, got: First, all"):
            rank_over(given)
    with pytest.raises(ValueError, match="fewer than two metrics have figures on all of: First, all; Second, all"):
        rank_over([one, results("Second", c=0.1)])


def test_the_command_reads_finished_benchmarks(results, tmp_path, capsys):
    for name in ("First", "Second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.json").write_text(to_json(results(name, a=0.1, b=0.5)))
    assert main(["benchmark", "--overall", str(tmp_path / "First"), str(tmp_path / "Second")]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[:3] for line in lines[2:]] == [["1", "a", "2.0"], ["2", "b", "0.0"]]
