r"""Where maagiqa-lite agrees with people and where it does not: tables of its model card.

    python -m benchmarks.lite.card --data AGIQA-3K [-m maagiqa-lite=CHECKPOINT] [--part val] > card.md

Figures on a part of AGIQA-3k's official split by generator, style and challenge of the prompt; then the images whose
scores are furthest from MOS, and in which groups these are more frequent than chance would have it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas

import maagiqa_pyiqa
from benchmarks.lite.distribution import GENERATORS, METRIC
from benchmarks.official_parts import read_parts
from maagiqa_pyiqa.agreement.statistics import evaluate
from maagiqa_pyiqa.data.splits import PARTS

GROUPS = {"generator": "generator", "style": "style", "adj1": "first adjective", "mos": "MOS"}
WORST = 30
FEWEST = 10  # images of a group, for a figure of it


def scored_part(data: Path, part: str, metric: str) -> pandas.DataFrame:
    """Images of a part with ``score`` and ``error``, score minus MOS, and the groups they belong to."""
    table = read_parts(data, [part], ["mos_quality", "style", "adj1"])
    scores = maagiqa_pyiqa.score([data / "images" / name for name in table["name"]], metric, device="cpu")
    table["score"] = scores.filter(like=METRIC).iloc[:, 0].to_numpy(float)
    table["error"] = table["score"] - table["mos_quality"]
    table["generator"] = [GENERATORS[name.split("_")[0]] for name in table["name"]]
    table["mos"] = pandas.cut(table["mos_quality"], [0, 1, 2, 3, 4, 5], include_lowest=True).astype(str)
    return table.fillna({"style": "none", "adj1": "none"})


def figures_by(table: pandas.DataFrame, column: str) -> pandas.DataFrame:
    """Agreement within each group of at least FEWEST images, and how far scores are off on average."""
    rows = []
    for group, own in table.groupby(column):
        if len(own) < FEWEST:
            continue
        agreement = evaluate(own["score"].to_numpy(), own["mos_quality"].to_numpy())
        row = {GROUPS[column]: group, "images": len(own), "SRCC": agreement["srcc"], "PLCC": agreement["plcc"]}
        error = own["error"].to_numpy()
        rows.append({**row, "mean error": error.mean(), "RMSE": np.sqrt(np.square(error).mean())})
    return pandas.DataFrame(rows)


def worst(table: pandas.DataFrame) -> pandas.DataFrame:
    """The images whose scores are furthest from MOS."""
    found = table.iloc[table["error"].abs().argsort()[::-1][:WORST]]
    return found[["name", "mos_quality", "score", "error", "prompt"]]


def shared_by_worst(table: pandas.DataFrame) -> pandas.DataFrame:
    """How often each group is met among the worst, beside how often chance would have it, most excessive first."""
    rows, names = [], set(worst(table)["name"])
    bad = table["name"].isin(names)
    for column, title in GROUPS.items():
        for group, own in table.groupby(column):
            expected = WORST * len(own) / len(table)
            above = int((own["error"][bad[own.index]] > 0).sum())
            found = int(bad[own.index].sum())
            rows.append({"group": f"{title}: {group}", "found": found, "expected": expected, "scored too high": above})
    shown = pandas.DataFrame(rows)
    return (
        shown[shown["found"] >= 5]
        .assign(ratio=lambda rows: rows["found"] / rows["expected"])
        .sort_values("ratio", ascending=False)
    )


def as_markdown(frame: pandas.DataFrame) -> str:
    """A table of a Markdown page."""

    def cell(value: object) -> str:
        return f"{value:.3f}" if isinstance(value, float) else str(value).replace("|", "\\|")

    lines: list[Iterable[object]] = [frame.columns, ["---"] * len(frame.columns), *frame.itertuples(index=False)]
    return "\n".join("| " + " | ".join(cell(value) for value in line) + " |" for line in lines)


def main() -> None:
    """Parse the command line, score and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of AGIQA-3k")
    parser.add_argument("-m", "--metric", default=METRIC, help="maagiqa-lite or maagiqa-lite=CHECKPOINT")
    parser.add_argument("--part", choices=PARTS, default="test")
    arguments = parser.parse_args()
    table = scored_part(arguments.data, arguments.part, arguments.metric)
    parts = [as_markdown(figures_by(table, column)) for column in GROUPS]
    print("\n\n".join([*parts, as_markdown(shared_by_worst(table)), as_markdown(worst(table))]))


if __name__ == "__main__":
    main()
