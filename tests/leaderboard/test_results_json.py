"""``results.json`` comes back as what it was, and what is not known is refused."""

import json

import pyiqa
import pytest

from maagiqa_pyiqa.leaderboard.results_json import parse_results, read_results, to_json
from maagiqa_pyiqa.leaderboard.run import run_benchmark
from tests.helpers.benchmark_runs import N, participants_of, rows_of


def test_results_hold_everything_the_report_needs(options, tmp_path):
    results = run_benchmark(options(metrics=["brightness", "darkness"]))
    assert read_results(tmp_path / "out" / "results.json") == results
    assert (tmp_path / "out" / "report.html").is_file()
    assert (len(results.dataset.csv_sha256), len(results.dataset.images_sha256)) == (64, 64)
    assert results.dataset.mos_range == (1, 4)
    assert results.environment.packages["pyiqa"] == pyiqa.__version__
    one = participants_of(results)["brightness"]
    assert (one.kind, one.status, one.parameters, one.device) == ("metric", "ok", 1, "cpu")
    assert one.trained_on is None
    assert one.images_per_second > 0
    assert one.peak_memory_bytes >= 0
    row = rows_of(results)["brightness"]
    assert row.n == N
    assert row.figures["srcc"].low <= row.figures["srcc"].value <= row.figures["srcc"].high
    assert len(row.logistic) == 4
    groups = results.splits["all"].groups["model"]
    assert [(group.group, group.n) for group in groups] == [("a", 7), ("a", 7), ("b", 7), ("b", 7)]
    image = results.images[0]
    assert image.columns == {"model": "a", "prompt": "a 0 & b"}
    assert image.scores.keys() == {"brightness", "darkness"}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda content: content.update(schema=2), "expected schema 3, got 2; run the benchmark again"),
        (lambda content: content.update(more=1), r"Results: unknown \['more'\], missing \[\]"),
        (lambda content: content.pop("seed"), r"Results: unknown \[\], missing \['seed'\]"),
        (lambda content: content["splits"]["all"]["rows"][0].update(rsme=None), r"figures: unknown \['rsme'\]"),
        (
            lambda content: content["participants"][0].pop("version"),
            r"Participant: unknown \[\], missing \['version'\]",
        ),
    ],
)
def test_results_that_are_not_known_are_refused_by_name(options, edit, message):
    content = json.loads(to_json(run_benchmark(options())))
    edit(content)
    with pytest.raises(ValueError, match=message):
        parse_results(json.dumps(content))
