"""A training run of pyiqa's engine, checked before it begins: nothing is left of one that could not begin."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from maagiqa_pyiqa.data.public_datasets import with_root
from maagiqa_pyiqa.models import RESOLVED_OPTIONS
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.folder_lock import folder_lock
from maagiqa_pyiqa.support.option_files import find_option_file, read_option_file

OUR_MODEL = "MAAGIQAModel"
REQUIRED: MappingProxyType[str, type | tuple[type, ...]] = MappingProxyType(
    {
        "name": str,
        "model_type": str,
        "num_gpu": (int, str),
        **dict.fromkeys(("datasets", "network", "path", "train", "logger"), Mapping),
    }
)


def train(option_file: str, rest: Sequence[str] = (), data: str | None = None) -> None:
    """Train as an option file says, with results under the current folder.

    Args:
        option_file: path, or name of one of the package's.
        rest: further arguments of ``pyiqa.train``.
        data: folder of the public dataset, in place of the one the file names.

    Raises:
        ValueError: options that make no sense; nothing is written then.
        FileExistsError: another training runs in the same experiment folder.
    """
    path = find_option_file(option_file)
    _check(read_option_file(path), str(path))  # before pyiqa reads it, whose reader runs what tags name
    from pyiqa.train import train_pipeline
    from pyiqa.utils.options import parse_options

    root = str(Path.cwd())
    sys.argv = ["maagiqa train", "-opt", str(path), *rest]  # pyiqa reads the command line itself
    opt, arguments = parse_options(root, is_train=True)
    opt = with_root(opt, data) if data else opt
    _check(opt, str(path))  # the command line may have changed it
    folder = Path(opt["path"]["experiments_root"])
    with contextlib.ExitStack() as stack:
        if opt["rank"] == 0:
            stack.enter_context(folder_lock(folder, "training", beside=True))
            stack.enter_context(_nothing_left_unless_begun(folder, opt))
        stack.enter_context(_unknown_names_as_input_errors())
        train_pipeline(root, opt, arguments)


def _check(option: Mapping[str, Any], where: str) -> None:
    check_sections(option, where)
    if option["model_type"] == OUR_MODEL:
        from maagiqa_pyiqa.models.maagiqa_model import check_option_sections

        check_option_sections(option)


def check_sections(option: Mapping[str, Any], where: str) -> None:
    """Raise ValueError unless an option file has what pyiqa's engine reads before any class of ours sees it."""
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


@contextlib.contextmanager
def _unknown_names_as_input_errors() -> Iterator[None]:
    """Turn what pyiqa's registries say of a name they do not know into an error of the user's."""
    try:
        yield
    except KeyError as error:
        message = str(error.args[0]) if error.args else ""
        if message.startswith("No object named"):
            raise InputError(message) from error
        raise


@contextlib.contextmanager
def _nothing_left_unless_begun(folder: Path, opt: Mapping[str, Any]) -> Iterator[None]:
    """Where a run fails before its model is complete, remove its folder and put back the one that pyiqa set aside."""
    before = _inode(folder)
    try:
        yield
    except BaseException:
        if not _has_begun(folder, opt["model_type"]) and _inode(folder) != before:
            shutil.rmtree(folder, ignore_errors=True)
            for aside in folder.parent.glob(f"{folder.name}_archived_*"):
                if _inode(aside) == before:
                    aside.rename(folder)
        raise


def _has_begun(folder: Path, model_type: str) -> bool:
    from pyiqa.utils.registry import MODEL_REGISTRY

    if model_type == OUR_MODEL:  # it writes them once it is complete
        return (folder / RESOLVED_OPTIONS).is_file()
    return model_type in MODEL_REGISTRY


def _inode(path: Path) -> int | None:
    return os.stat(path).st_ino if path.exists() else None
