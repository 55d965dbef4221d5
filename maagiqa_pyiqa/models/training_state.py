"""Training states: everything a run needs to go on as if it had never been interrupted.

One file a state, ``training_states/STEP.state`` in the experiment's folder, written whole or not at all; the last two
are kept. pyiqa's engine finds them too.
"""

from __future__ import annotations

import json
import random
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from maagiqa_pyiqa import __version__
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.files import written_whole

FORMAT = 1
KEPT = 2
SUFFIX = ".state"
REMEDY = "Say --resume with the options it was trained with, or give the new run another name."
NOT_COMPARED = frozenset(
    # what changes no figure of a run
    ("maagiqa_pyiqa", "logger", "path", "root_path", "rank", "dist", "dist_params", "auto_resume", "data", "features",
     "val.pbar", "val.save_img",
     "num_worker_per_gpu", "prefetch_mode", "num_prefetch_queue", "pin_memory", "persistent_workers")
)  # fmt: skip


def write_state(folder: str | Path, state: Mapping[str, Any]) -> Path:
    """Write a state and remove all but the last two.

    Args:
        folder: of the states.
        state: holds ``iter``, the step after which it was taken.

    Raises:
        OSError: the disk is full or the folder cannot be written to; says what is left.
    """
    path = Path(folder) / f"{state['iter']}{SUFFIX}"
    try:
        with written_whole(path) as aside, aside.open("wb") as file:
            torch.save({"format": FORMAT, "version": __version__, **state}, file)
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error).splitlines()[0]
        before = state_files(folder)
        left = f"the one of step {before[0].stem} is whole" if before else "there is none before it"
        raise OSError(
            f"the training state of step {state['iter']} could not be written to '{path}': {reason}; {left}. "
            "Make room and go on with --resume."
        ) from error
    for old in state_files(folder)[KEPT:]:
        old.unlink(missing_ok=True)
    return path


def state_files(folder: str | Path) -> list[Path]:
    """The states in a folder, last step first."""
    found = [path for path in Path(folder).glob(f"*{SUFFIX}") if path.stem.isdecimal()]
    return sorted(found, key=lambda path: int(path.stem), reverse=True)


def read_last_state(folder: str | Path) -> tuple[dict[str, Any] | None, list[str]]:
    """Read the last state that is whole.

    Returns:
        The state, or None where there is none, and a remark on each that was passed over.

    Raises:
        ValueError: a state is of a newer format.
    """
    remarks = []
    for path in state_files(folder):
        try:
            state = _read(path)
        except (OSError, RuntimeError, ValueError, EOFError, zipfile.BadZipFile) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            remarks.append(f"training state '{path}' is damaged and passed over: {reason}")
            continue
        if state["format"] > FORMAT:
            raise InputError(
                f"training state '{path}' was written by maagiqa_pyiqa {state['version']} in format {state['format']}; "
                f"this is {__version__}, which reads format {FORMAT}. Update it, or start under another name."
            )
        return state, remarks
    return None, remarks


def _read(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        broken = archive.testzip()  # every checksum; torch reads past a flipped bit
    if broken is not None:
        raise ValueError(f"its part {broken} does not match its checksum")
    state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict) or not isinstance(state.get("format"), int):
        raise ValueError("it is no state of maagiqa_pyiqa")
    return state


def comparable_options(opt: Mapping[str, Any], processes: int) -> str:
    """What of a run's options decides its figures, as JSON."""
    kept = {**_decisive(opt), "processes": processes, "num_gpu": max(int(opt["num_gpu"]), 1)}
    return json.dumps(kept, sort_keys=True, default=str)


def _decisive(section: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    kept = {}
    for key, value in section.items():
        if key in NOT_COMPARED or f"{where}{key}" in NOT_COMPARED:
            continue
        kept[key] = _decisive(value, f"{where}{key}.") if isinstance(value, Mapping) else value
    return kept


def require_same_options(state: Mapping[str, Any], now: str) -> None:
    """Raise ValueError unless a state is of a run with these options; shows each difference."""
    then, own = _flat(json.loads(state["options"])), _flat(json.loads(now))
    changed = [key for key in sorted({*then, *own}) if then.get(key) != own.get(key)]
    if changed:
        lines = [f"\n  {key}: {then.get(key, 'absent')} in the state, {own.get(key, 'absent')} now" for key in changed]
        raise InputError(f"the training state of step {state['iter']} is of other options:{''.join(lines)}\n{REMEDY}")


def _flat(section: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in section.items():
        flat |= _flat(value, f"{where}{key}: ") if isinstance(value, Mapping) else {f"{where}{key}": value}
    return flat


def random_states() -> dict[str, Any]:
    """States of all generators of this process: Python's, NumPy's, torch's on CPU and GPU."""
    name, words, *rest = np.random.get_state()
    return {
        "python": random.getstate(),
        "numpy": (str(name), torch.from_numpy(np.array(words, dtype=np.int64)), *map(float, rest)),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() and torch.cuda.is_initialized() else None,
    }


def restore_random_states(states: Mapping[str, Any]) -> None:
    """Put back what ``random_states`` took."""
    version, words, gauss = states["python"]
    random.setstate((version, tuple(words), gauss))
    name, numpy_words, position, has_gauss, cached = states["numpy"]
    np.random.set_state((name, numpy_words.cpu().numpy().astype(np.uint32), int(position), int(has_gauss), cached))
    torch.set_rng_state(states["torch"].cpu())
    if states["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"].cpu())
