"""What a score means: where it stands among the scores of AGIQA-3k's pictures, by the generators that made them.

The distribution belongs to weights of the package, and is not known of any others.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from maagiqa_pyiqa.metrics.gates import name_gates
from maagiqa_pyiqa.metrics.scoring import ImageScores
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.weights import packaged_scores, packaged_weights

WEIGHTS_OF = {"maagiqa-lite": "lite"}  # metrics of which the distribution of scores is packaged
NEAREST = 2  # generators that words name


class Standing(NamedTuple):
    """Where a score stands.

    Attributes:
        percentile: percent of all pictures with a lower score.
        better_than: the same of each generator's, by its name and year.
    """

    percentile: float
    better_than: dict[str, float]

    def in_words(self) -> str:
        """For people, with the generators among whose pictures the score is most ordinary."""
        nearest = sorted(self.better_than.items(), key=lambda item: abs(item[1] - 50))[:NEAREST]
        anchors = " and ".join(f"{share:.0f} % of the {name} pictures" for name, share in nearest)
        return f"better than {self.percentile:.0f} % of AGIQA-3k: {anchors}"


@dataclass(frozen=True)
class ScoreDistribution:
    """Quantiles of the scores of pictures.

    Args:
        everything: of all, at evenly spaced percents from 0 to 100.
        generators: the same of each generator's pictures.
    """

    everything: np.ndarray
    generators: Mapping[str, np.ndarray]

    def standing(self, score: float) -> Standing:
        """Where a score stands."""
        shares = {name: _share_below(score, quantiles) for name, quantiles in self.generators.items()}
        return Standing(_share_below(score, self.everything), shares)


def _share_below(score: float, quantiles: np.ndarray) -> float:
    percent = np.interp(score, quantiles, np.linspace(0, 100, len(quantiles)))
    return round(float(percent), 1)


@functools.cache
def weights_fingerprint(name: str) -> str:
    """SHA-256 of a weights file of the package."""
    return hashlib.sha256(packaged_weights(name).read_bytes()).hexdigest()


def packaged_weights_of(metric: str, what: str) -> str:
    """Name of the packaged weights that a metric has, for what is known of these alone.

    Raises:
        InputError: it has none; says of which metrics ``what`` is known.
    """
    if metric not in WEIGHTS_OF:
        raise InputError(f"{what} known of {', '.join(WEIGHTS_OF)} alone, not of {metric}.")
    return WEIGHTS_OF[metric]


def require_made_for(name: str, weights_sha256: str | None, file: Path, module: str) -> None:
    """Fail unless a file was made for the packaged weights, as it says.

    Raises:
        InputError: for others; names the module of benchmarks that makes it anew.
    """
    if weights_sha256 != weights_fingerprint(name):
        raise InputError(f"'{file.name}' was made for other weights; run python -m {module}.")


def distribution_of(metric: str) -> ScoreDistribution:
    """Distribution of a metric's scores with the packaged weights on AGIQA-3k's test images.

    Raises:
        InputError: it is not known of this metric, or the file is of other weights than those of the package.
    """
    name = packaged_weights_of(metric, "where scores stand is")
    file = packaged_scores(name)
    content = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    require_made_for(name, content.get("weights_sha256"), file, "benchmarks.lite.distribution")
    generators = {title: np.array(quantiles) for title, quantiles in content["generators"].items()}
    return ScoreDistribution(np.array(content["all"]), generators)


@dataclass(frozen=True)
class Explanation:
    """A score's standing, None where no distribution is known, and gate weights by the experts' names, if any."""

    standing: Standing | None
    gate: dict[str, float]

    def as_record(self) -> dict[str, object]:
        """As JSON has it."""
        gate = {"gate": {name: round(weight, 4) for name, weight in self.gate.items()}} if self.gate else {}
        return {**(self.standing._asdict() if self.standing else {}), **gate}

    def in_words(self) -> list[str]:
        """Lines for people."""
        lines = [self.standing.in_words()] if self.standing else []
        weights = ", ".join(f"{name} {weight:.2f}" for name, weight in self.gate.items())
        return [*lines, f"weighs {weights}"] if weights else lines


def explained(stream: Iterator[ImageScores], distributions: Mapping[str, ScoreDistribution]) -> Iterator[ImageScores]:
    """The same images with explanations of their scores by metric, where there is anything to say."""
    with contextlib.closing(stream):  # type: ignore[type-var]  # both engines give generators
        for image in stream:
            for name, score in image.scores.items():
                standing = distributions[name].standing(score) if name in distributions else None
                gate = dict(name_gates(image.gates[name])) if name in image.gates else {}
                if standing or gate:
                    image.explanations[name] = Explanation(standing, gate)
            yield image
