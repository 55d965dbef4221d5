"""What a ranking says alike on the page, in Markdown and on the terminal."""

from dataclasses import replace

import pandas
import pytest
from PIL import Image

from maagiqa_pyiqa.agreement.statistics import STATISTICS
from maagiqa_pyiqa.leaderboard.report.csv_table import as_csv
from maagiqa_pyiqa.leaderboard.report.markdown import as_markdown
from maagiqa_pyiqa.leaderboard.results import Published
from maagiqa_pyiqa.leaderboard.results_json import parse_results, to_json
from maagiqa_pyiqa.leaderboard.run import run_benchmark
from maagiqa_pyiqa.leaderboard.shown import is_on_mos_scale, name_identical_images, write_p
from maagiqa_pyiqa.leaderboard.terminal import as_ranking
from tests.helpers.synthetic_results import Made, small_results


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Two metrics on the MOS scale, three on others, and one that cannot run but is published."""
    metrics = [
        Made("good", 0.2),
        Made("fair", 0.3),
        Made("of-hundred", 0.4, scale=20.0),
        Made("of-one", 0.5, scale=0.19),
        Made("lower", 1.5, lower_better=True),
    ]
    made = small_results(tmp_path_factory.mktemp("images"), metrics=metrics)
    published = {"out-of-reach": Published("paper, Table 1", {"srcc": 0.8765, "plcc": 0.9012})}
    official = replace(made.splits["official"], published_only=published)
    return replace(made, splits={**made.splits, "official": official})


def markdown_row(results, name, table=0):
    return [line for line in as_markdown(results).splitlines() if line.startswith(f"| {name}")][table]


def test_correlation_and_error_are_named_raw_or_fitted_everywhere(results):
    titles = {"raw PLCC", "fitted PLCC", "raw RMSE", "fitted RMSE"}
    assert {statistic.title for statistic in STATISTICS.values()} >= titles
    for text in (as_markdown(results), as_ranking(results, "official")):
        assert all(title in text for title in titles)


def test_p_is_written_alike_everywhere(results):
    assert (write_p(0.0004), write_p(0.001), write_p(0.2)) == ("<0.001", "0.001", "0.200")
    assert "  <0.001  " in as_ranking(results, "official")
    assert "| &lt;0.001 |" in as_markdown(results)


def test_scores_are_on_the_mos_scale_if_they_could_be_mos(results):
    known = [one.name for one in results.participants]
    assert {name for name in known if is_on_mos_scale(results, name)} == {"good", "fair"}


def test_raw_rmse_of_another_scale_is_kept_but_not_shown(results):
    figures = {row.name: row.figures["rmse"].value for row in results.splits["official"].rows}
    terminal = as_ranking(results, "official")
    for name, value in figures.items():
        shown = name in ("good", "fair")
        assert (f"{value:.4f}" in terminal) is shown
        assert (f"{value:.4f}" in markdown_row(results, name, table=1)) is shown
        assert str(value) in as_csv(results)


def test_a_metric_that_cannot_run_keeps_its_published_figures(results):
    row = markdown_row(results, "out-of-reach")
    assert row.startswith("| out-of-reach (no figures of ours, see below) | - | - |")
    assert "| 0.8765 |" in row
    lines = as_ranking(results, "official").splitlines()
    position = next(i for i, line in enumerate(lines) if line.startswith("   -  out-of-reach"))
    assert lines[position + 1].split() == ["published", "0.8765", "0.9012"]
    assert ",0.8765," in as_csv(results).splitlines()[-1]
    assert parse_results(to_json(results)) == results


def test_what_is_published_of_a_metric_out_of_reach_is_found(options, no_hosts, agiqa3k, tmp_path):
    given = {"dataset": "agiqa-3k", "csv": None, "root": str(agiqa3k), "split": ["official"], "group_columns": []}
    results = run_benchmark(options(**given, metrics=["brisque"]))
    assert results.splits["official"].published_only["brisque"].figures["srcc"] > 0
    assert "| brisque (lower is better, no figures of ours" in (tmp_path / "out" / "table.md").read_text()


def test_constant_mos_says_why_there_is_no_figure(options, table, tmp_path):
    rows = pandas.read_csv(table)
    rows["mos"] = 3.0
    rows.to_csv(table, index=False)
    results = run_benchmark(options(mos_range=(1, 5)))
    reason = "No correlation for brightness: all 14 images have the same MOS, 3."
    assert as_ranking(results, "all").endswith(reason)
    for file in ("table.md", "report.html"):
        assert reason in (tmp_path / "out" / file).read_text()


def test_identical_images_with_different_mos_are_named(options, tmp_path):
    images = tmp_path / "images"
    Image.open(images / "picture03.png").save(
        images / "picture09.png", compress_level=1
    )  # other bytes, the same pixels
    sentence = "1 pair of identical images with different MOS: picture03.png and picture09.png."
    with pytest.warns(UserWarning, match=sentence):
        results = run_benchmark(options())
    assert results.dataset.identical_images == (("picture03.png", "picture09.png"),)
    for file in ("table.md", "report.html"):
        assert sentence in (tmp_path / "out" / file).read_text()


def test_many_identical_images_are_counted_and_the_first_named():
    assert name_identical_images([]) == ""
    assert name_identical_images([("a", "b", "c"), ("d", "e")]) == (
        "2 sets of identical images with different MOS: a, b and c; d and e."
    )
    assert name_identical_images([("a", "b")] * 12).endswith("a and b; and 2 more, see results.json.")
