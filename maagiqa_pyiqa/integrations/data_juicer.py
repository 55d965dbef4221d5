"""Image quality as a Filter of data-juicer: ``maagiqa_filter`` in a recipe, once this module is imported."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from maagiqa_pyiqa.api.given_images import GivenImage
from maagiqa_pyiqa.api.scorers import make_scorers
from maagiqa_pyiqa.api.scoring import score_given
from maagiqa_pyiqa.leaderboard.entrants import parse_scorers
from maagiqa_pyiqa.metrics.scoring import ImageScores
from maagiqa_pyiqa.support.errors import InputError

try:
    from data_juicer.ops.base_op import OPERATORS, Filter
    from data_juicer.utils.constant import Fields
except ImportError as error:
    raise ImportError("MaagiqaFilter needs data-juicer: pip install py-data-juicer") from error

NAME = "maagiqa_filter"
ROWS_AT_ONCE = 64  # unless a recipe says batch_size
MEMORY = "1500MB"  # of a process, by which data-juicer counts how many there may be
Samples = dict[str, list[Any]]


@OPERATORS.register_module(NAME)
class MaagiqaFilter(Filter):
    """Keep samples whose images score within a range; the scores are those of ``maagiqa score``.

    Statistics of a sample, a value for each of its images in their order: ``LABEL_scores``, null where there is none,
    and ``LABEL_errors``, why, empty where nothing is wrong. An image without a score is within no range, also if that
    is reversed. A sample without images is kept.

    Args:
        metric: NAME, NAME=CHECKPOINT or LABEL=NAME=CHECKPOINT as after ``-m`` of ``maagiqa score``.
        min_score: lowest score that is kept; None for no limit.
        max_score: highest score that is kept, for metrics of which lower is better; None for no limit.
        any_or_all: whether one image within the range is enough, or all have to be.
        scoring_batch_size: images of one size scored at once.
        workers: threads that decode, in each process.
        kwargs: those of data-juicer's operators, such as ``num_proc``, ``accelerator`` ('cuda' by default, where there
            is any) and ``image_key``.

    Raises:
        ValueError: an unknown metric (nearest named) or strategy.
        FileNotFoundError: no such checkpoint.
    """

    _batched_op = True
    _accelerator = "cuda"

    def __init__(
        self,
        metric: str = "maagiqa-lite",
        min_score: float | None = None,
        max_score: float | None = None,
        any_or_all: str = "any",
        scoring_batch_size: int = 8,
        workers: int = 2,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **{"batch_size": ROWS_AT_ONCE, "memory": MEMORY, **kwargs})
        if any_or_all not in ("any", "all"):
            raise InputError(f"any_or_all must be 'any' or 'all', got {any_or_all!r}.")
        (label,) = parse_scorers([metric])  # so that a wrong name is told before the work
        self.metric, self.min_score, self.max_score = metric, min_score, max_score
        self.any_or_all, self.scoring_batch_size, self.workers = any_or_all, scoring_batch_size, workers
        self.scores_key, self.errors_key = f"{label}_scores", f"{label}_errors"

    def compute_stats_batched(self, samples: Samples, rank: int | None = None, context: bool = False) -> Samples:
        """Score the images of samples that have no statistics yet."""
        todo = [row for row, stats in enumerate(samples[Fields.stats]) if self.scores_key not in stats]
        given = {row: list(self._images(samples, row, context)) for row in todo}
        every = [one for images in given.values() for one in images]
        score_given(every, _scorers(self.metric, self._device(rank)), self.scoring_batch_size, self.workers)
        for row, images in given.items():
            stats = samples[Fields.stats][row]
            stats[self.scores_key] = [next(iter(one.scores.scores.values()), math.nan) for one in images]
            stats[self.errors_key] = [one.scores.error for one in images]
        return samples

    def process_single(self, sample: Mapping[str, Any]) -> bool:
        """Whether a sample is kept."""
        scores = sample[Fields.stats][self.scores_key]
        kept = [self._keeps(score) for score in scores]
        return not kept or (any(kept) if self.any_or_all == "any" else all(kept))

    def _keeps(self, score: float | None) -> bool:
        if score is None or math.isnan(score):  # data-juicer keeps a NaN as null
            return False
        return bool(self.get_keep_boolean(score, self.min_score, self.max_score))

    def _images(self, samples: Samples, row: int, context: bool) -> Iterator[GivenImage]:
        """What earlier operators decoded, else bytes that the sample holds, else files."""
        decoded = samples[Fields.context][row] if context else {}
        contents = _cell(samples, self.image_bytes_key, row)
        for place, path in enumerate(_cell(samples, self.image_key, row)):
            content = contents[place] if place < len(contents) else None
            yield GivenImage(ImageScores(Path(path)), decoded.get(path) or content or Path(path))

    def _device(self, rank: int | None) -> str:
        return f"cuda:{(rank or 0) % torch.cuda.device_count()}" if self.use_cuda() else "cpu"


def _cell(samples: Samples, key: str, row: int) -> list[Any]:
    """A list that a sample may lack."""
    return (samples[key][row] if key in samples else None) or []


@functools.cache
def _scorers(metric: str, device: str) -> dict[str, torch.nn.Module]:
    """Made in each process when it is first needed: operators are copied to processes, networks are not."""
    return make_scorers(metric, device)
