"""Why a metric cannot run here, in one line that also says what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlparse

from maagiqa_pyiqa.support.reachability import UnreachableError, hub_address

TARGETS = ("cached_file", "download_target")  # what pyiqa, torch.hub and CLIP call the file they fetch
REPOSITORIES = ("repo_id", "pretrained_model_name_or_path")  # what the hub's client and transformers call a model


class _Download(NamedTuple):
    """Who has the weights, and what to do where they do not answer."""

    host: str
    port: int
    remedy: str


def explain(error: BaseException, is_reachable: Callable[[str, int], bool] = lambda host, port: False) -> str:
    """Reason and remedy of an error raised while a metric was made or used.

    Args:
        error: as caught, with its traceback, which knows what was to be fetched.
        is_reachable: whether a host answers at a port, for who switched the network off to try a metric; by default
            what could not be fetched is out of reach.
    """
    if isinstance(error, SystemExit):
        return f"it ended the program (exit code {error.code})"
    if isinstance(error, ModuleNotFoundError):
        return f"lacks the package '{error.name}'; pip install it"
    if isinstance(error, ImportError):
        return f"lacks a package: {short_reason(error)}"
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        return f"out of memory: {short_reason(error)}"
    download = next(_failed_downloads(error), None) if isinstance(error, OSError) else None
    if download is None:
        return short_reason(error)
    if is_reachable(download.host, download.port):
        return f"its weights are not here yet; they are fetched at first use, or {download.remedy}"
    return f"its weights are not here and cannot be fetched from here; {download.remedy}"


def short_reason(error: BaseException) -> str:
    """First line of an error's message, or its type where it has none."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


def _failed_downloads(error: OSError) -> Iterator[_Download]:
    """What a failed download was after: as our own errors say, else from the calls that the error passed through."""
    if isinstance(error, UnreachableError):
        yield _Download(error.host, error.port, error.remedy[:1].lower() + error.remedy[1:])
    for variables in _innermost_first(error):
        url, target = variables.get("url"), next((variables[name] for name in TARGETS if variables.get(name)), None)
        if isinstance(url, str) and target:
            remedy = f"put {Path(target).name} ({url}) into {Path(target).parent}"
            yield _Download(urlparse(url).hostname or "", 443, remedy)
        for repository in (variables[name] for name in REPOSITORIES if variables.get(name)):
            if isinstance(repository, str) and not Path(repository).exists():
                yield _Download(*hub_address(), _fetch_elsewhere(repository))


def _fetch_elsewhere(repository: str) -> str:
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
