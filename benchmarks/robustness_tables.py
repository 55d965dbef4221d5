"""Figures of robustness from the scores of versions: shares of pairs in order, agreement between sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas
from scipy.stats import binomtest, spearmanr

from benchmarks.robustness_versions import SIZES, Job, Version, rendered_versions, two_strengths
from maagiqa_pyiqa.images.damage.table import ROWS, Damage

PANELS = {"own": "as they are", **{str(size): f"{size} px" for size in SIZES}}
KINDS = {"degradation": "#2f6f9f", "incoherence": "#b4532a", "nothing": "#5b7f3b"}


@dataclass(frozen=True, kw_only=True)
class PairFigures:
    """How many images score above a worse version of themselves.

    Attributes:
        size: longer side in pixels, or "own".
        stronger: whether this is the stronger of two strengths.
        in_order: share of pairs in which the worse version has the worse score.
        low: end of its 95 % interval, of Wilson, as ``high``.
        mean_drop: how much worse the score is on average.
        below_milder: share of images whose version scores worse than the milder one.
    """

    size: str
    damage: str
    kind: str
    held_out: bool
    strength: float
    stronger: bool
    images: int
    in_order: float
    low: float
    high: float
    mean_drop: float
    below_milder: float | None = None


@dataclass(frozen=True, kw_only=True)
class SizeFigures:
    """How scores of undamaged images at another size agree with those at their own, and with MOS."""

    size: str
    kernel: str
    images: int
    srcc_own: float
    srcc_mos: float | None
    mean_shift: float
    largest_difference: float


class Scores:
    """Scores by version, higher is better.

    Args:
        scores: of each job.
        lower_better: whether they are the other way round.
    """

    def __init__(self, scores: Mapping[Job, float], lower_better: bool) -> None:
        self._scores = {job: -score if lower_better else score for job, score in scores.items()}

    def of(self, paths: Sequence[Path], version: Version) -> np.ndarray:
        """Scores of a version of each image (N,), NaN where there is none."""
        return np.array([self._scores.get((path, version), np.nan) for path in paths])


def pair_figures(scores: Scores, paths: Sequence[Path]) -> list[PairFigures]:
    """Every damage at two strengths, at every size."""
    return [figures for size in ("own", *SIZES) for row in ROWS for figures in _of_damage(scores, paths, size, row)]


def _of_damage(scores: Scores, paths: Sequence[Path], size: int | str, damage: Damage) -> list[PairFigures]:
    original = scores.of(paths, Version(size))
    found: list[PairFigures] = []
    milder: np.ndarray | None = None
    for strength in two_strengths(damage):
        worse = scores.of(paths, Version(size, damage=damage.name, strength=strength))
        drop = (original - worse)[np.isfinite(original - worse)]
        if not len(drop):
            continue
        interval = binomtest(int((drop > 0).sum()), len(drop)).proportion_ci(method="wilson")
        ordered = milder is not None and damage.kind != "nothing"
        found.append(
            PairFigures(
                size=str(size),
                damage=damage.name,
                kind=damage.kind,
                held_out=damage.held_out,
                strength=strength,
                stronger=milder is not None,
                images=len(drop),
                in_order=float((drop > 0).mean()),
                low=float(interval.low),
                high=float(interval.high),
                mean_drop=float(drop.mean()),
                below_milder=_share_below(worse, milder) if ordered and milder is not None else None,
            )
        )
        milder = worse
    return found


def _share_below(worse: np.ndarray, milder: np.ndarray) -> float:
    both = np.isfinite(worse) & np.isfinite(milder)
    return float((worse[both] < milder[both]).mean())


def size_figures(scores: Scores, paths: Sequence[Path], mos: np.ndarray | None) -> list[SizeFigures]:
    """The undamaged images at their own and at other sizes."""
    own = scores.of(paths, Version())
    found = []
    for version in (Version(), *rendered_versions()):
        there = scores.of(paths, version)
        both = np.isfinite(own) & np.isfinite(there)
        change = (there - own)[both]
        found.append(
            SizeFigures(
                size=str(version.size),
                kernel="" if version.size == "own" else version.kernel,
                images=len(change),
                srcc_own=_srcc(own[both], there[both]),
                srcc_mos=None if mos is None else _srcc(mos[both], there[both]),
                mean_shift=float(change.mean()) if len(change) else float("nan"),
                largest_difference=float(np.abs(change).max(initial=0)),
            )
        )
    return found


def _srcc(one: np.ndarray, other: np.ndarray) -> float:
    return float(spearmanr(one, other).statistic) if len(one) > 2 else float("nan")


def as_frame(figures: Sequence[PairFigures] | Sequence[SizeFigures]) -> pandas.DataFrame:
    """One row each."""
    return pandas.DataFrame([asdict(row) for row in figures])


def draw(pairs: Sequence[PairFigures], title: str, path: Path) -> None:
    """Shares of pairs in order, a line a damage and a panel a size."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    sizes = [size for size in PANELS if any(row.size == size for row in pairs)]
    figure = Figure(figsize=(3.4 + 2.4 * len(sizes), 0.5 + 0.31 * len(ROWS)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
    for axes, size in zip(panels, sizes, strict=True):
        _draw_panel(axes, [row for row in pairs if row.size == size], PANELS[size])
    panels[0].set_yticks(range(len(ROWS)), [row.name + (" *" if row.held_out else "") for row in ROWS])
    panels[0].invert_yaxis()
    figure.suptitle(title, x=0.02, ha="left", fontsize=11, fontweight="bold")
    figure.supxlabel(
        "% of pairs (image, worse version) in order, with 95 % intervals; grey line: 99 %; open: milder, filled: "
        "stronger; blue: degradation, red: incoherence, green: nothing in it; *: never trained on",
        fontsize=8,
    )
    figure.savefig(path, dpi=130)


def _draw_panel(axes, rows: Sequence[PairFigures], name: str) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    places = {row.name: place for place, row in enumerate(ROWS)}
    axes.axvline(99, color="0.8", linewidth=1, zorder=0)
    for row in rows:
        place = places[row.damage] + (0.16 if row.stronger else -0.16)
        colour = KINDS[row.kind]
        axes.plot([100 * row.low, 100 * row.high], [place, place], color=colour, linewidth=1.2, alpha=0.6)
        filling = colour if row.stronger else "white"
        axes.plot(100 * row.in_order, place, "o", color=colour, markersize=4.5, mfc=filling, clip_on=False, zorder=3)
    axes.set_title(f"{name} (n = {max(row.images for row in rows)})", fontsize=9)
    axes.set_xlim(min(80, *(100 * row.low - 2 for row in rows)), 101)
    axes.tick_params(labelsize=8, length=0)
    axes.grid(axis="y", color="0.93")
    axes.spines[["top", "right", "left"]].set_visible(False)
