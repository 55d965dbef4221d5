"""Why a metric cannot run here, in one line that also says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from maagiqa_pyiqa.metrics.scoring import short_reason

TARGETS = ("cached_file", "download_target")  # what pyiqa, torch.hub and CLIP call the file they fetch
REPOSITORIES = ("repo_id", "pretrained_model_name_or_path")  # what the hub's client and transformers call a model


def explain(error: BaseException) -> str:
    """Reason and remedy of an error raised while a metric was made or used."""
    if isinstance(error, SystemExit):
        return f"it ended the program (exit code {error.code})"
    if isinstance(error, ModuleNotFoundError):
        return f"lacks the package '{error.name}'; pip install it"
    if isinstance(error, ImportError):
        return f"lacks a package: {short_reason(error)}"
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        return f"out of memory: {short_reason(error)}"
    wanted = next(_wanted(error), None) if isinstance(error, OSError) else None
    if wanted is None:
        return short_reason(error)
    return f"its weights are not here and cannot be fetched from here; {wanted}"


def _wanted(error: BaseException) -> Iterator[str]:
    """What a failed download was after, and where it belongs: looked up in the calls that the error passed through."""
    for known in _innermost_first(error):
        url, target = known.get("url"), next((known[name] for name in TARGETS if known.get(name)), None)
        if url and target:
            yield f"put {Path(target).name} ({url}) into {Path(target).parent}"
        for repository in (known[name] for name in REPOSITORIES if known.get(name)):
            if isinstance(repository, str) and not Path(repository).exists():
                yield _from_hub(repository)


def _from_hub(repository: str) -> str:
    from huggingface_hub.constants import HF_HUB_CACHE

    folder = f"models--{repository.replace('/', '--')}"
    return f"run 'hf download {repository}' where the hub answers, and copy {folder} into {HF_HUB_CACHE}"


def _innermost_first(error: BaseException | None) -> Iterator[dict[str, Any]]:
    """Local variables of the calls an error passed through, then of those that its causes passed through."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        calls, trace = [], error.__traceback__
        while trace is not None:
            calls.append(trace.tb_frame.f_locals)
            trace = trace.tb_next
        yield from reversed(calls)
        error = error.__cause__ or error.__context__
