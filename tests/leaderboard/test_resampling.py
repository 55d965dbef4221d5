"""How sure figures are: whole prompts are resampled where prompts repeat, and what images cannot show is said."""

import pandas
import pytest

from maagiqa_pyiqa.leaderboard.run import run_benchmark
from maagiqa_pyiqa.leaderboard.shown import describe_power
from maagiqa_pyiqa.leaderboard.terminal import as_ranking
from tests.helpers.benchmark_runs import N, rows_of

METRICS = ["brightness", "darkness", "nan-in-the-dark"]


def test_images_of_a_prompt_are_resampled_together_unless_told_otherwise(options, tmp_path):
    by_prompt = run_benchmark(options(metrics=METRICS))
    page = (tmp_path / "out" / "report.html").read_text()
    by_image = run_benchmark(options(metrics=METRICS, resample_by="image"))
    assert (by_prompt.splits["all"].prompts, by_prompt.dataset.resampled_by) == (N // 2, "prompt")
    assert (by_image.splits["all"].prompts, by_image.dataset.resampled_by) == (None, None)
    assert (
        rows_of(by_prompt)["brightness"].figures["srcc"].value == rows_of(by_image)["brightness"].figures["srcc"].value
    )
    assert rows_of(by_prompt)["brightness"].figures["srcc"].low != rows_of(by_image)["brightness"].figures["srcc"].low
    assert f"{N} images of {N // 2} prompts" in as_ranking(by_prompt, "all")
    assert "50 bootstrap resamples of whole prompts, seed 0" in page
    assert "of whole prompts" not in (tmp_path / "out" / "report.html").read_text()


def test_prompts_that_never_repeat_change_nothing(options, table):
    frame = pandas.read_csv(table)
    frame.assign(prompt=[f"prompt {row}" for row in range(N)]).to_csv(table, index=False)
    by_prompt, by_image = (run_benchmark(options(resample_by=what)) for what in ("prompt", "image"))
    assert by_prompt.splits == by_image.splits


def test_another_way_to_resample_is_refused(options):
    with pytest.raises(ValueError, match=r"resample_by must be one of \['image', 'prompt'\], got 'prompts'"):
        options(resample_by="prompts")


def test_what_the_images_cannot_show_is_computed_and_said(options):
    results = run_benchmark(options(metrics=METRICS))
    rows = rows_of(results)
    assert rows["brightness"].detectable is None  # the best
    assert rows["darkness"].detectable == 0  # the same order: any difference would show
    sentence = describe_power(results, "all")
    assert sentence.startswith("Distances in SRCC to the best under 0.000 (of darkness)")
    assert f"cannot be seen with {N} images of {N // 2} prompts" in sentence
    assert sentence in as_ranking(results, "all")
    assert describe_power(run_benchmark(options()), "all") == ""  # nothing to compare
