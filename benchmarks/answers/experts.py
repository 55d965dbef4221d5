"""What the experts of the ablation are given: what trunks saw, and answers of a table, in as few numbers as matter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas
import torch

from maagiqa_pyiqa.images.sources import ImageSource
from maagiqa_pyiqa.semantics.answers.extractor import AnswersExtractor
from maagiqa_pyiqa.semantics.answers.preparing import import_answers
from maagiqa_pyiqa.semantics.answers.store import TEXT_PROMPT, Answers, Asked
from maagiqa_pyiqa.semantics.answers.text_encoder import Encoding, fit_encoder, write_encoding
from maagiqa_pyiqa.semantics.prompts import QUESTIONS

COLUMNS = ("name", "prompt", "answer", "consistency", "consistency2")
COMPONENTS = 256  # of the statistics of the trunks, and of each answer


class Inputs(NamedTuple):
    """Of N images: ``quality`` (N, COMPONENTS), ``semantic_features`` (N, 3, COMPONENTS), both of unit scale."""

    quality: torch.Tensor
    semantic_features: torch.Tensor


def take_answers(table: pandas.DataFrame, images: Path, folder: Path) -> None:
    """Put the answers of a table into a folder of answers, unless they are there.

    The description stands where the paper asks about semantic content. Nobody asked about coherence: the two ratings
    of how well image and prompt agree, written out, stand there.
    """
    asked = Asked("unknown", {name: QUESTIONS[name] for name in ("semantic_content", "coherence")}, {})
    rows = [
        (ImageSource(path := str(images / str(row["name"])), path), _texts(row)) for row in table.to_dict("records")
    ]
    _, problems = import_answers(folder, asked, rows)
    if problems:
        raise ValueError(problems[0])


def _texts(row: dict[Any, Any]) -> dict[str, str]:
    ratings = f"agreement {row['consistency']}, again {row['consistency2']}"
    return {"semantic_content": str(row["answer"]), "coherence": ratings, TEXT_PROMPT: str(row["prompt"])}


def inputs_of(statistics: torch.Tensor, folder: Path, paths: Sequence[Path], train: Sequence[int]) -> Inputs:
    """Everything that is fitted, fitted on the training part alone: text encoder, scales, components.

    Args:
        statistics: of the trunks, (N, width).
        folder: of answers; it gets the text encoder.
        paths: of the N images.
        train: rows of the training part.
    """
    known = {answers[TEXT_PROMPT].image: answers for answers in Answers(folder)}
    trained = [known[str(paths[row])] for row in train if str(paths[row]) in known]  # one picture is there twice
    texts = [answer.text for answers in trained for answer in answers.values()]
    write_encoding(folder, Encoding(fit_encoder("hashed", texts), alignment=True))
    vectors = AnswersExtractor(folder).extract(paths)  # (N, 3, D)
    reduced = [_components(vectors[:, expert], train) for expert in range(vectors.shape[1])]
    return Inputs(_components(_standardised(statistics, train), train), torch.stack(reduced, 1))


def _standardised(x: torch.Tensor, train: Sequence[int]) -> torch.Tensor:
    known = x[train]
    return ((x - known.mean(0)) / (known.std(0) + 1e-3)).clamp(-8, 8)


def _components(x: torch.Tensor, train: Sequence[int]) -> torch.Tensor:
    """Principal components of the training part, on one scale together, zero where there are fewer."""
    torch.manual_seed(0)
    mean = x[train].mean(0)
    _, _, directions = torch.svd_lowrank(x[train] - mean, q=min(COMPONENTS, *x[train].shape), niter=3)
    found = (x - mean) @ directions
    return torch.nn.functional.pad(found / found[train].std(), (0, COMPONENTS - found.shape[1]))
