"""What the report reads out of the results: who was ranked, and what each metric says of the images of a split."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from maagiqa_pyiqa.agreement.logistic import apply_logistic
from maagiqa_pyiqa.leaderboard.results import Participant, Results, Row
from maagiqa_pyiqa.leaderboard.shown import published_of
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.options import nearest

USUAL_BASELINE = "maniqa"  # the paper's


@dataclass(frozen=True)
class Predictions:
    """What one metric says of the images it could score, beside what people say.

    ``positions`` (N,) are places in ``Results.images``, ``scores`` (N,) as the metric gave them, ``mos`` (N,);
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
        errors: np.ndarray = np.abs(self.on_mos_scale(self.scores) - self.mos)
        return errors

    def only(self, positions: np.ndarray) -> Predictions:
        """The same on these images only, fit unchanged."""
        keep = np.isin(self.positions, positions)
        return replace(self, positions=self.positions[keep], scores=self.scores[keep], mos=self.mos[keep])


def label(split: str) -> str:
    """A split as a heading."""
    return "All images" if split == "all" else split.capitalize()


def described(results: Results, split: str) -> str:
    """A split and its size in words: ``the official split (597 images)``."""
    content = results.splits[split]
    size = quantity(content.images, "image") + (f" of {quantity(content.prompts, 'prompt')}" if content.prompts else "")
    return f"all {size}" if split == "all" else f"the {split} split ({size})"


def quantity(number: int, noun: str) -> str:
    """``1 image``, ``2 images``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def rows(results: Results, split: str) -> dict[str, Row]:
    """Rows of a split by metric, best SRCC first, those trained on its images last."""
    return {row.name: row for row in results.splits[split].rows}


def published_figure(results: Results, split: str, name: str, key: str | None) -> float | None:
    """A figure as published, by its published key; None where there is none."""
    published = published_of(results, split, name)
    return published.get(key) if published else None


def participants(results: Results) -> dict[str, Participant]:
    """All that were asked for, by name, those that failed too."""
    return {participant.name: participant for participant in results.participants}


def ranking(results: Results) -> list[str]:
    """Every metric that has a row, in the order of the first split, then of the others."""
    return list(dict.fromkeys(name for split in results.splits for name in rows(results, split)))


def listed(results: Results) -> list[str]:
    """Every metric that has a row, then those that have none but published figures."""
    published = [name for split in results.splits.values() for name in split.published_only]
    return list(dict.fromkeys([*ranking(results), *published]))


def failures(results: Results) -> dict[str, str]:
    """Metrics without a row, because they could not run or scored too few images, with the reason."""
    ranked = ranking(results)
    missing = [participant for participant in results.participants if participant.name not in ranked]
    return {participant.name: participant.reason or "too few images with a score" for participant in missing}


def positions_in(results: Results, split: str) -> np.ndarray:
    """Places in ``Results.images`` of the images of a split."""
    return np.array([i for i, image in enumerate(results.images) if split in image.splits], int)


def predictions(results: Results, split: str, name: str) -> Predictions:
    """What a metric says of the images of a split."""
    images = results.images
    positions = [int(i) for i in positions_in(results, split) if name in images[i].scores]
    return Predictions(
        name,
        participants(results)[name].lower_better,
        np.array(positions, int),
        np.array([images[i].scores[name] for i in positions], float),
        np.array([images[i].mos for i in positions], float),
        rows(results, split)[name].logistic,
    )


def all_predictions(results: Results, split: str) -> dict[str, Predictions]:
    """What each metric says of the images of a split, in the order of the split's rows."""
    return {name: predictions(results, split, name) for name in rows(results, split)}


def trained_here(results: Results, split: str) -> dict[str, int]:
    """Metrics trained on images of the very split they are judged on, and on how many."""
    return {name: row.seen_in_training for name, row in rows(results, split).items() if row.seen_in_training}


def choose_pair(results: Results, split: str, baseline: str | None) -> tuple[str, str] | None:
    """The baseline, and the best other metric to hold against it; None where there are no two.

    Without a usable ``baseline`` it is the paper's, MANIQA, or else the second best. Only metrics whose scores could be
    mapped to the MOS scale are usable.
    """
    names = [name for name, row in rows(results, split).items() if row.logistic]
    if len(names) < 2:
        return None
    chosen = next((name for name in (baseline, USUAL_BASELINE) if name in names), None) or names[1]
    return chosen, next(name for name in names if name != chosen)


def check_baseline(known: Collection[str], baseline: str | None) -> None:
    """Raise ValueError for a baseline that is none of the metrics asked for; the message names the nearest."""
    if baseline is not None and baseline not in known:
        raise InputError(
            f"no metric '{baseline}' to be the baseline.{nearest(baseline, known)} All: {', '.join(known)}"
        )


def names_of(results: Results, positions: Sequence[int] | np.ndarray) -> list[str]:
    """File names of images."""
    return [results.images[int(i)].name for i in positions]
