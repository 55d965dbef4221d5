"""The leaderboard as Markdown, CSV and TeX, and what stands in its cells."""

import csv
import io
import re
from dataclasses import replace

import pytest

from maagiqa_pyiqa.agreement import statistics
from maagiqa_pyiqa.leaderboard.report.csv_table import as_csv
from maagiqa_pyiqa.leaderboard.report.markdown import as_markdown
from maagiqa_pyiqa.leaderboard.report.tables import headline_statistics, leaderboard, other_statistics
from maagiqa_pyiqa.leaderboard.report.tex import as_tex
from tests.helpers.synthetic_results import FAILED, with_rows


def test_exactly_the_four_files_are_written(out):
    assert {path.name for path in out.iterdir()} == {"report.html", "table.md", "table.csv", "table.tex"}


def test_markdown_has_metrics_best_first_with_intervals_and_published_figures(results):
    lines = as_markdown(results).splitlines()
    header, _, first, second = lines[lines.index(next(line for line in lines if "| metric" in line)) :][:4]
    figures = results.splits["official"].rows[0].figures
    srcc = figures["srcc"]
    assert header.index("Official: SRCC") < header.index("Prompt-disjoint: SRCC") < header.index("Published, official")
    assert first.startswith(f"| good | **{srcc.value:.4f}** [{srcc.low:.3f}, {srcc.high:.3f}] |")
    assert f"| 0.8939 ({srcc.value - 0.8939:+.4f}) |" in first
    assert f"| 0.9273 ({figures['plcc_fitted'].value - 0.9273:+.4f}) |" in first  # published PLCC is after the fit
    assert second.startswith("| fair\\|\\* (1 image without score) |")
    assert header.count(" | ") == first.count(" | ") == second.count(" | ")


def test_markdown_marks_the_best_of_every_column_and_lists_failures_last(results):
    lowest = min(row.figures["rmse_fitted"].value for row in results.splits["official"].rows)
    text = as_markdown(results)
    assert f"**{lowest:.4f}**" in text
    assert text.rstrip().splitlines()[-1] == "- out-of-reach: no weights: &lt;b>hub&lt;/b> &amp; 100% out of reach_"


def test_a_metric_with_too_few_scores_is_listed_with_those_that_could_not_run(results):
    for split, content in results.splits.items():
        results = with_rows(results, split, content.rows[:2])
    assert "- worse_when_high: too few images with a score" in as_markdown(results)


def test_csv_holds_every_figure_in_full_and_failures_with_their_reason(results):
    lines = list(csv.DictReader(io.StringIO(as_csv(results))))
    assert [line["metric"] for line in lines] == ["good", "fair|*", "worse_when_high", "out-of-reach"]
    for row in results.splits["prompt-disjoint"].rows:
        line = next(line for line in lines if line["metric"] == row.name)
        for key in ("srcc", "plcc", "krcc", "rmse", "plcc_fitted", "rmse_fitted"):
            assert float(line[f"prompt-disjoint_{key}"]) == row.figures[key].value
            assert float(line[f"prompt-disjoint_{key}_high"]) == row.figures[key].high
        assert int(line["prompt-disjoint_images"]) == row.n
    assert float(lines[0]["official_published_rmse"]) == 0.3756
    assert (lines[-1]["status"], lines[-1]["reason"]) == ("failed", FAILED[0][1])
    assert lines[-1]["official_srcc"] == ""
    assert lines[2]["lower_better"] == "True"


def test_tex_is_a_booktabs_table_with_every_name_and_reason_escaped(results):
    text = as_tex(results)
    body = text[text.index("\\midrule") : text.index("\\bottomrule")].splitlines()[1:]
    columns = len(re.search(r"@\{\}l(r+)@\{\}", text)[1]) + 1
    assert [row.count(" & ") + 1 for row in body] == [columns] * 3
    assert body[0].startswith("good & \\textbf{")
    assert re.search(r"good & \\textbf\{0\.\d{4}\}\$_\{0\.\d{3}\}\^\{0\.\d{3}\}\$ & ", body[0])
    assert body[1].startswith("fair\\textbar{}* & ")
    assert body[2].startswith("worse\\_when\\_high $\\downarrow$ & ")
    assert "no weights: \\textless{}b\\textgreater{}hub" in text
    assert "\\& 100\\% out of reach\\_." in text
    assert text.count("{") == text.count("}")
    for rule in ("toprule", "midrule", "bottomrule", "cmidrule(lr){2-6}", "end{tabular}", "end{table*}"):
        assert f"\\{rule}" in text


def test_a_metric_of_one_split_only_and_a_figure_that_is_not_defined_leave_cells_empty(results):
    disjoint = [row for row in results.splits["prompt-disjoint"].rows if row.name != "good"]
    first, second, third = results.splits["official"].rows
    second = replace(second, figures={**second.figures, "srcc": None})
    results = with_rows(with_rows(results, "prompt-disjoint", disjoint), "official", [first, second, third])
    line = next(csv.DictReader(io.StringIO(as_csv(results))))
    assert (line["metric"], line["prompt-disjoint_srcc"]) == ("good", "")
    lines = as_markdown(results).splitlines()
    assert next(line for line in lines if line.startswith("| fair")).split(" | ")[1] == "-"


def test_what_was_trained_on_the_images_is_said_and_never_the_best(seen_in_training):
    first, *_, last = seen_in_training.splits["official"].rows
    text = as_markdown(seen_in_training)
    assert "| good (trained on 31 official images) |" in text
    assert f"| **{first.figures['srcc'].value:.4f}**" in text
    assert f"**{last.figures['srcc'].value:.4f}**" not in text
    assert "\\textbf{" + f"{first.figures['srcc'].value:.4f}" in as_tex(seen_in_training)


def test_tables_show_what_papers_give_and_apart_from_it_the_scores_as_they_are():
    assert headline_statistics() == ["srcc", "plcc_fitted", "krcc", "rmse_fitted"]
    assert other_statistics() == ["plcc", "rmse"]


def test_a_statistic_is_one_row_of_the_table_of_statistics(results, monkeypatch):
    added = replace(statistics.STATISTICS["krcc"], key="mae", title="MAE", higher_is_better=False, published_key="mae")
    monkeypatch.setitem(statistics.STATISTICS, "mae", added)
    rows = results.splits["official"].rows
    rows = [replace(row, figures={**row.figures, "mae": row.figures["rmse"]}) for row in rows]
    results = with_rows(results, "official", rows)
    column = next(c for c in leaderboard(results).columns if (c.title, c.group) == ("MAE", "Official"))
    best = min(rows, key=lambda row: row.figures["mae"].value)
    assert [name for name, cell in column.cells.items() if cell.best] == [best.name]
    assert "Official: MAE" in as_markdown(results)
    lines = csv.DictReader(io.StringIO(as_csv(results)))
    assert float(next(lines)["official_mae"]) == pytest.approx(rows[0].figures["mae"].value)


def test_what_takes_long_and_what_is_zero_shot_stands_beside_the_name(results):
    first, second, *rest = results.participants
    slow = replace(first, images_per_second=1 / 42, zero_shot=True)
    unmeasured = replace(second, spec="ilniqe", images_per_second=None)
    notes = leaderboard(replace(results, participants=(slow, unmeasured, *rest))).notes
    assert notes[slow.name] == "zero-shot, about 42 s an image"
    assert notes[unmeasured.name].endswith("about 10 s an image")
