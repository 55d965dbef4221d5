"""Figures of the ablation: means over seeds and splits, intervals and tests in which whole prompts are resampled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from maagiqa_pyiqa.agreement.bootstrap import (
    Estimate,
    detectable_difference,
    draw_resamples,
    percentile_estimate,
    two_sided_p,
)
from maagiqa_pyiqa.agreement.statistics import evaluate
from maagiqa_pyiqa.agreement.weighted import weighted_spearman
from maagiqa_pyiqa.data.splits import normalised_prompt

RESAMPLES = 1000
BASE = "quality"  # the row that all others are held against
MIXTURE, CONCATENATION = "all, MoE", "all, concatenation"  # Table 5 of the paper


@dataclass(frozen=True)
class ScoredPart:
    """The test part of one split: ratings and prompts (N,), and scores (seeds, N) by row of the ablation."""

    mos: np.ndarray
    prompts: Sequence[str]
    scores: Mapping[str, np.ndarray]

    def only(self, chosen: np.ndarray) -> ScoredPart:
        """Those of some images, by mask."""
        prompts = [prompt for prompt, kept in zip(self.prompts, chosen, strict=True) if kept]
        return ScoredPart(self.mos[chosen], prompts, {row: scores[:, chosen] for row, scores in self.scores.items()})


def resampled(parts: Sequence[ScoredPart], rows: Sequence[str]) -> dict[str, np.ndarray]:
    """SRCC by row, mean over seeds and splits: of all images, then of each resample, (1 + RESAMPLES,)."""
    total = dict.fromkeys(rows, np.zeros(1 + RESAMPLES))
    for part in parts:
        clusters = [normalised_prompt(prompt) for prompt in part.prompts]
        drawn = draw_resamples(len(part.mos), RESAMPLES, 0, clusters)
        weights = np.vstack([np.ones((1, len(part.mos))), drawn])
        for row in rows:
            srcc = [weighted_spearman(scores, part.mos, weights) for scores in part.scores[row]]
            total[row] = total[row] + np.mean(srcc, axis=0) / len(parts)
    return total


def table(parts: Sequence[ScoredPart]) -> str:
    """The ablation in Markdown: a line for each row, and below what the mixture brings over concatenation.

    The last column is the least difference to BASE that images so many would show four times in five.
    """
    rows = list(parts[0].scores)
    srcc = resampled(parts, rows)
    lines = ["| row | SRCC | 95 % | PLCC | SRCC - quality | 95 % | p | visible |", "|---" * 8 + "|"]
    for row in rows:
        by_seed = [[evaluate(scores, part.mos) for scores in part.scores[row]] for part in parts]
        srcc_of_seed, plcc_of_seed = (
            np.mean([[run[key] for run in runs] for runs in by_seed], axis=0) for key in ("srcc", "plcc")
        )
        cells = [_spread(srcc_of_seed), _interval(srcc[row]), _spread(plcc_of_seed), *_gain(srcc, row)]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    if MIXTURE in srcc:
        difference, interval, p, _ = _gain(srcc, MIXTURE, CONCATENATION)
        lines.append(f"\n{MIXTURE} against {CONCATENATION}: {difference} {interval}, p {p}")
    return "\n".join(lines) + "\n"


def group_table(parts: Sequence[ScoredPart], groups: Sequence[np.ndarray], rows: Sequence[str]) -> str:
    """SRCC within groups of images, such as those of one generator, and what rows bring over BASE."""
    lines = [f"| group | images | {BASE} | {' | '.join(f'{row} | gain, 95 %, p' for row in rows)} |"]
    lines.append("|---" * (3 + 2 * len(rows)) + "|")
    for group in sorted({str(value) for values in groups for value in values}):
        chosen = [part.only(values == group) for part, values in zip(parts, groups, strict=True)]
        srcc = resampled(chosen, [BASE, *rows])
        gains = [f"{srcc[row][0]:.4f} | {' '.join(_gain(srcc, row)[:3])}" for row in rows]
        images = sum(len(part.mos) for part in chosen)
        lines.append(f"| {group} | {images} | {srcc[BASE][0]:.4f} | {' | '.join(gains)} |")
    return "\n".join(lines) + "\n"


def _spread(by_seed: np.ndarray) -> str:
    return f"{by_seed.mean():.4f} ± {by_seed.std(ddof=1):.4f}" if len(by_seed) > 1 else f"{by_seed.mean():.4f}"


def _interval(values: np.ndarray) -> str:
    found = percentile_estimate(values[0], values[1:]) or Estimate(np.nan)
    return found.interval


def _gain(srcc: Mapping[str, np.ndarray], row: str, base: str = BASE) -> list[str]:
    """Difference to another row, its interval, its p, and from which difference on one would be seen."""
    if row == base:
        return ["", "", "", ""]
    difference = srcc[row] - srcc[base]
    found = percentile_estimate(difference[0], difference[1:]) or Estimate(np.nan)
    interval = f"[{found.low:+.4f}, {found.high:+.4f}]"
    visible = detectable_difference(difference[1:])
    return [f"{found.value:+.4f}", interval, f"{two_sided_p(difference[1:]):.3f}", f"{visible or np.nan:.3f}"]
