"""From an option file and a command line to the options of a run, in the form that pyiqa's engine hands on.

pyiqa's own reader runs what tags and ``--force_yml`` name, and its launcher needs a GPU; this one does neither.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
import yaml
from packaging.version import InvalidVersion, Version
from pyiqa.utils.options import make_paths

from maagiqa_pyiqa import __version__
from maagiqa_pyiqa.data.public_datasets import with_root
from maagiqa_pyiqa.models.train_options import WRITTEN_FOR, check_option_sections
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.option_files import find_option_file, read_option_file
from maagiqa_pyiqa.support.options import nearest, require_choice

OUR_MODEL = "MAAGIQAModel"
REQUIRED: MappingProxyType[str, type | tuple[type, ...]] = MappingProxyType(
    {
        "name": str,
        "model_type": str,
        "num_gpu": (int, str),
        **dict.fromkeys(("datasets", "network", "path", "train", "logger"), Mapping),
    }
)


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a training is told besides its option file.

    Attributes:
        option_file: path, or name of one of the package's.
        data: folder of the public dataset, in place of the one the file names.
        changes: values in place of the file's, such as ``train:total_epoch=1``.
        resume: go on with the last state of a run of this name.
        launcher: how the processes were started, see ``processes.LAUNCHERS``.
        root: ``experiments/NAME`` is made in it.
    """

    option_file: str
    data: str | None = None
    changes: Sequence[str] = ()
    resume: bool = False
    launcher: str = "none"
    root: Path = Path()


def read_run_options(run: Run) -> dict[str, Any]:
    """Read, change and check the options of a run; nothing is written.

    Raises:
        FileNotFoundError: no such option file.
        ValueError: what the file or a change says makes no sense; in one line.
    """
    path = find_option_file(run.option_file)
    opt = read_option_file(path)
    for change in run.changes:
        _change(opt, change)
    _require_known_version(opt, str(path))
    check_sections(opt, str(path))
    opt = with_root(opt, run.data) if run.data else opt
    check_option_sections(opt)
    _complete(opt, run)
    return opt


def _complete(opt: dict[str, Any], run: Run) -> None:
    """Add what pyiqa's engine adds to the options before it builds anything from them."""
    require_choice("option file", "model_type", opt["model_type"], (OUR_MODEL,))
    if opt["num_gpu"] == "auto":
        opt["num_gpu"] = torch.cuda.device_count()
    if opt.get("manual_seed") is None:
        opt["manual_seed"] = random.randint(1, 10_000)
    for phase, section in opt["datasets"].items():
        section["phase"] = phase.split("_")[0]
        require_choice("datasets", "phase", section["phase"], ("train", "val"))
    opt["logger"].setdefault("use_tb_logger", False)
    opt |= {"auto_resume": run.resume, "is_train": True, "root_path": str(run.root.absolute())}
    make_paths(opt, opt["root_path"])


def _require_known_version(opt: Mapping[str, Any], where: str) -> None:
    """Fail on a file made by a newer version, whose options this one may not know or may take for something else."""
    written_for = str(opt.get(WRITTEN_FOR, __version__))
    try:
        newer = Version(written_for) > Version(__version__)
    except InvalidVersion as error:
        raise InputError(
            f"option file '{where}': {WRITTEN_FOR} '{written_for}' is no version such as 0.2.0."
        ) from error
    if newer:
        raise InputError(
            f"option file '{where}' was made by maagiqa_pyiqa {written_for}, and this is {__version__}: update it "
            f"(pip install -U maagiqa_pyiqa), or take the line '{WRITTEN_FOR}' out to try all the same."
        )


def check_sections(option: Mapping[str, Any], where: str) -> None:
    """Raise ValueError unless an option file has what an engine reads before any class of ours sees it."""
    for key, kind in REQUIRED.items():
        if not isinstance(option.get(key), kind):
            what = "is missing" if key not in option else f"cannot be {option[key]!r}"
            raise InputError(f"option file '{where}': '{key}' {what}.")
    if option["name"] in ("", "..") or Path(option["name"]).name != option["name"]:
        raise InputError(
            f"option file '{where}': name '{option['name']}' cannot be a folder's; it cannot hold slashes."
        )
    for phase, section in {**option["datasets"], **({"test": option["test"]} if option.get("test") else {})}.items():
        if not isinstance(section, Mapping) or not {"name", "type"} <= section.keys():
            raise InputError(f"option file '{where}': dataset section '{phase}' needs a name and a type.")
    if "train" not in option["datasets"]:
        raise InputError(f"option file '{where}': datasets has no section 'train'.")


def _change(opt: MutableMapping[str, Any], change: str) -> None:
    """Put one value such as ``train:optim:lr=0.001`` in place of what the file says."""
    place, equals, text = change.partition("=")
    *sections, key = place.strip().split(":")
    if not equals:
        raise InputError(f"--force_yml '{change}' is no change; write it as section:key=value.")
    section: Any = opt
    for name in sections:
        if not isinstance(section, Mapping) or name not in section:
            known = section if isinstance(section, Mapping) else ()
            raise InputError(f"--force_yml '{change}': the options have no '{name}' there.{nearest(name, known)}")
        section = section[name]
    if not isinstance(section, MutableMapping):
        raise InputError(f"--force_yml '{change}': '{sections[-1]}' is no section but {section!r}.")
    section[key] = _value(text.strip(), change)


def _value(text: str, change: str) -> Any:
    try:
        value = yaml.safe_load(text)
        return None if text.lower() == "none" else float(text) if isinstance(value, str) else value
    except ValueError:  # a word
        return value
    except yaml.YAMLError as error:
        raise InputError(f"--force_yml '{change}': '{text}' is not a value as YAML writes it.") from error
