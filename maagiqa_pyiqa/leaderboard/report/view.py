"""What the report reads out of the results: figures, and what each metric says of the images of a split."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from maagiqa_pyiqa.agreement.logistic import apply_logistic
from maagiqa_pyiqa.support.options import nearest

Results = Mapping[str, Any]
USUAL_BASELINE = "maniqa"  # the paper's


@dataclass(frozen=True)
class Figure:
    """A statistic with its 95 % interval, as far as there is one."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def interval(self) -> str:
        """``[0.812, 0.864]``, or nothing."""
        return "" if self.low is None or self.high is None else f"[{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Predictions:
    """What one metric says of the images it could score, beside what people said.

    ``positions`` (N,) are places in ``results["images"]``, ``scores`` (N,) as the metric gave them, ``mos`` (N,);
    ``logistic`` maps the score, negated where lower is better, to the MOS scale: top, bottom, middle, width.
    """

    name: str
    lower_better: bool
    positions: np.ndarray
    scores: np.ndarray
    mos: np.ndarray
    logistic: tuple[float, ...] | None

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def oriented(self) -> np.ndarray:
        """Scores of which higher is better."""
        return -self.scores if self.lower_better else self.scores

    def on_mos_scale(self, scores: np.ndarray) -> np.ndarray:
        """Map raw scores by the fitted logistic; NaN where the fit did not converge."""
        return apply_logistic(-scores if self.lower_better else scores, self.logistic)

    @property
    def errors(self) -> np.ndarray:
        """Absolute differences to MOS after the fit, (N,)."""
        return np.abs(self.on_mos_scale(self.scores) - self.mos)

    def only(self, positions: np.ndarray) -> Predictions:
        """The same on these images only, fit unchanged."""
        keep = np.isin(self.positions, positions)
        return Predictions(
            self.name, self.lower_better, self.positions[keep], self.scores[keep], self.mos[keep], self.logistic
        )


def figure(row: Mapping[str, Any], key: str) -> Figure | None:
    """One statistic of a row; None where there is none, as for fewer than 5 images."""
    given = row.get(key)
    if given is None or given.get("value") is None or not math.isfinite(given["value"]):
        return None
    return Figure(given["value"], given.get("low"), given.get("high"))


def label(split: str) -> str:
    """A split as a heading."""
    return "All images" if split == "all" else split.capitalize()


def described(results: Results, split: str) -> str:
    """A split and its size in words: ``the official split (597 images)``."""
    size = count(results["splits"][split]["images"], "image")
    return f"all {size}" if split == "all" else f"the {split} split ({size})"


def count(number: int, what: str) -> str:
    """``1 image``, ``2 images``."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def rows(results: Results, split: str) -> dict[str, Mapping[str, Any]]:
    """Rows of a split by metric, best SRCC first, those trained on its images last."""
    return {row["name"]: row for row in results["splits"][split]["rows"]}


def participants(results: Results) -> dict[str, Mapping[str, Any]]:
    """All that were asked for, by name, those that failed too."""
    return {participant["name"]: participant for participant in results["participants"]}


def failures(results: Results) -> dict[str, str]:
    """Metrics without a row, because they could not run or scored too few images, with the reason."""
    ranked = ranking(results)
    without = [participant for participant in results["participants"] if participant["name"] not in ranked]
    return {p["name"]: p.get("reason") or "too few images with a score" for p in without}


def ranking(results: Results) -> list[str]:
    """Every metric that has a row, in the order of the first split, then of the others."""
    return list(dict.fromkeys(name for split in results["splits"] for name in rows(results, split)))


def positions_in(results: Results, split: str) -> np.ndarray:
    """Places in ``results["images"]`` of the images of a split."""
    return np.array([i for i, image in enumerate(results["images"]) if split in image["splits"]], int)


def predictions(results: Results, split: str, name: str) -> Predictions:
    """What a metric says of the images of a split."""
    images = results["images"]
    scored = [int(i) for i in positions_in(results, split) if images[i]["scores"].get(name) is not None]
    logistic = rows(results, split)[name].get("logistic")
    return Predictions(
        name,
        bool(participants(results)[name].get("lower_better")),
        np.array(scored, int),
        np.array([images[i]["scores"][name] for i in scored], float),
        np.array([images[i]["mos"] for i in scored], float),
        tuple(logistic) if logistic else None,
    )


def trained_here(results: Results, split: str) -> dict[str, int]:
    """Metrics trained on images of the very split they are judged on, and on how many."""
    counts = {name: row.get("seen_in_training") for name, row in rows(results, split).items()}
    return {name: seen for name, seen in counts.items() if seen}


def comparable(results: Results, split: str) -> list[str]:
    """Metrics of a split whose scores could be mapped to the MOS scale, in the order of its rows."""
    return [name for name, row in rows(results, split).items() if row.get("logistic")]


def choose_pair(results: Results, split: str, baseline: str | None) -> tuple[str, str] | None:
    """The baseline, and the best other metric to hold against it; None where there are no two.

    Without a usable ``baseline`` it is the paper's, MANIQA, or else the second best.
    """
    names = comparable(results, split)
    if len(names) < 2:
        return None
    wanted = [name for name in (baseline, USUAL_BASELINE) if name in names]
    chosen = wanted[0] if wanted else names[1]
    return chosen, next(name for name in names if name != chosen)


def check_baseline(known: Collection[str], baseline: str | None) -> None:
    """Raise ValueError for a baseline that is none of the metrics asked for; the message names the nearest."""
    if baseline is not None and baseline not in known:
        raise ValueError(
            f"no metric '{baseline}' to be the baseline.{nearest(baseline, known)} All: {', '.join(known)}"
        )


def names_of(results: Results, positions: Sequence[int] | np.ndarray) -> list[str]:
    """File names of images."""
    return [results["images"][int(i)]["name"] for i in positions]
