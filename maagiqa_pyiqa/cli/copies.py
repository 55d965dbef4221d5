"""The folder that ``rank`` copies or links to: empty or its own, so that no old pick stands among the new."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.files import ASIDE_SUFFIX, require_writable, write_whole, written_whole

LIST = ".maagiqa-rank.json"  # names of the copies that a ranking put there


class CopyFolder:
    """Where to copy or link to.

    Args:
        folder: absent, empty, or with nothing in it but what an earlier ranking put there.
        option: of the command that names it.
        link: make symbolic links in place of copies.

    Raises:
        InputError: files are in it that no ranking put there.
        OSError: it cannot be written to.
    """

    def __init__(self, folder: Path, option: str, *, link: bool = False) -> None:
        self._folder, self._link = folder, link
        self._old = self._read_list()
        foreign = sorted({entry.name for entry in self._entries()} - {LIST, *self._old})
        if foreign:
            raise InputError(
                f"'{option} {folder}' holds files that no ranking put there, such as '{foreign[0]}'; "
                "name an empty or new folder."
            )
        require_writable(self._folder / LIST)

    def fill(self, copies: Mapping[str, Path]) -> None:
        """Copy or link images by their new names, see ``name_copies``, in place of an earlier ranking."""
        # what is to come is listed first, so that a killed run leaves nothing unknown
        self._write_list({*self._old, *copies})
        for name in self._old:
            (self._folder / name).unlink(missing_ok=True)
        for name, path in copies.items():
            self._place(path, self._folder / name)
        self._write_list(set(copies))

    def _place(self, path: Path, copy: Path) -> None:
        if self._link:
            copy.unlink(missing_ok=True)  # left by a run that was killed
            copy.symlink_to(os.path.abspath(path))
            return
        with written_whole(copy) as aside:
            shutil.copyfile(path, aside)

    def _entries(self) -> list[os.DirEntry[str]]:
        if not os.path.lexists(self._folder):
            return []
        with os.scandir(self._folder) as entries:
            return [entry for entry in entries if not (entry.name[0] == "." and entry.name.endswith(ASIDE_SUFFIX))]

    def _read_list(self) -> list[str]:
        try:
            names = json.loads((self._folder / LIST).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return []
        except (ValueError, RecursionError):
            names = None
        if not isinstance(names, list) or not all(isinstance(name, str) and _is_plain(name) for name in names):
            raise InputError(f"'{self._folder / LIST}' is no list of a ranking's copies; name another folder.")
        return names

    def _write_list(self, names: set[str]) -> None:
        write_whole(self._folder / LIST, json.dumps(sorted(names), indent=1) + "\n")


def name_copies(ranking: Mapping[str, Sequence[Path]]) -> dict[str, Path]:
    """New names ``GROUP_RANK_NAME``, in a browser's order, of images by group, best first."""
    return {
        f"{f'{number:04d}_' if len(ranking) > 1 else ''}{place:03d}_{path.name}": path
        for number, paths in enumerate(ranking.values(), start=1)
        for place, path in enumerate(paths, start=1)
    }


def refuse_inputs(option: str, folder: Path, inputs: Sequence[str], images: Sequence[Path]) -> None:
    """Refuse a folder whose content would be scored next time.

    Args:
        option: that names it, as it was written.
        folder: to put images into.
        inputs: what the command was given to score.
        images: files found in it.

    Raises:
        InputError: images to score are in the folder, or it is in one that is searched.
    """
    target = Path(os.path.realpath(folder))
    searched = [Path(os.path.realpath(item)) for item in inputs if os.path.isdir(item)]
    within = [parent for parent in searched if target == parent or parent in target.parents]
    beside = [image.parent for image in images if Path(os.path.realpath(image.parent)) == target]
    for parent in [*within, *beside]:
        raise InputError(
            f"'{option}' lies in '{parent}', which is searched: what is put there would be scored next time; name a "
            "folder elsewhere."
        )


def _is_plain(name: str) -> bool:
    """Whether it names a file in a folder and nothing elsewhere."""
    return name not in ("", ".", "..") and os.path.basename(name) == name and "\0" not in name
