"""What a ranking says alike wherever it is shown: on the page, in Markdown and TeX, on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from maagiqa_pyiqa.agreement.bootstrap import CONFIDENCE, Estimate
from maagiqa_pyiqa.agreement.statistics import STATISTICS
from maagiqa_pyiqa.leaderboard.results import Published, Results, Row

LEAST_SPREAD = 0.2  # of the MOS range, from the 5th to the 95th of 100 scores; scores from 0 to 1 have less of 0 to 5
NAMED = 10  # sets of identical images that a sentence names


def write_p(p: float) -> str:
    """A p value."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def is_on_mos_scale(results: Results, name: str) -> bool:
    """Whether a metric's scores can be taken for MOS: most are in the range of MOS, and spread over some of it."""
    low, high = results.dataset.mos_range
    scores = [image.scores[name] for image in results.images if name in image.scores]
    lower_better = any(one.name == name and one.lower_better for one in results.participants)
    if not scores or lower_better:
        return False
    bottom, top = np.percentile(scores, [5, 95])
    return bool(low <= bottom and top <= high and top - bottom >= LEAST_SPREAD * (high - low))


def shown_figure(results: Results, row: Row, key: str) -> Estimate | None:
    """A figure, unless it means nothing for scores of another scale; results and CSV keep it."""
    hidden = STATISTICS[key].needs_mos_scale and not is_on_mos_scale(results, row.name)
    return None if hidden else row.figures.get(key)


def published_of(results: Results, split: str, name: str) -> Published | None:
    """What is published of a participant, whether it could run or not."""
    content = results.splits[split]
    rows = {row.name: row.published for row in content.rows}
    return rows.get(name) or content.published_only.get(name)


def undefined_figures(results: Results, split: str) -> list[str]:
    """Sentences that say which metrics have no SRCC, and why."""
    names_by_reason: dict[str, list[str]] = {}
    for row in results.splits[split].rows:
        if row.figures.get("srcc") is None:
            names_by_reason.setdefault(_why_undefined(results, split, row.name), []).append(row.name)
    return [f"No correlation for {', '.join(names)}: {reason}." for reason, names in names_by_reason.items()]


def _why_undefined(results: Results, split: str, name: str) -> str:
    images = [image for image in results.images if split in image.splits and name in image.scores]
    if len({image.mos for image in images}) == 1:
        return f"all {len(images)} images have the same MOS, {images[0].mos:g}"
    return "it gives every image the same score"


def describe_power(results: Results, split: str) -> str:
    """A sentence on how small a distance to the best a split's images can show; empty where nothing is compared."""
    content = results.splits[split]
    seen = {row.name for row in content.rows if row.seen_in_training}
    found = {row.name: row.detectable for row in content.rows if row.detectable is not None and row.name not in seen}
    if not found:
        return ""
    least, most = min(found, key=lambda name: found[name]), max(found, key=lambda name: found[name])
    others = f" to {found[most]:.3f} (of {most})" if len(found) > 1 else ""
    prompts = f" of {content.prompts} prompts" if content.prompts else ""
    return (
        f"Distances in SRCC to the best under {found[least]:.3f} (of {least}){others} cannot be seen with "
        f"{content.images} images{prompts}: the paired test at p {1 - CONFIDENCE:.2f} misses them more often than one "
        "time in five."
    )


def name_identical_images(sets: Sequence[Sequence[str]]) -> str:
    """A sentence on identical images whose MOS differ, for sets of their names; empty where there are none."""
    if not sets:
        return ""
    noun = "pair" if all(len(names) == 2 for names in sets) else "set"
    count = f"{len(sets)} {noun}{'' if len(sets) == 1 else 's'}"
    named = "; ".join(f"{', '.join(names[:-1])} and {names[-1]}" for names in sets[:NAMED])
    more = f"; and {len(sets) - NAMED} more, see results.json" if len(sets) > NAMED else ""
    return f"{count} of identical images with different MOS: {named}{more}."
