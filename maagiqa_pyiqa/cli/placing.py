"""What ``rank`` does with the images it picks: ``--copy-to``, ``--link-to``, ``--move-to``, and taking a move back."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from maagiqa_pyiqa.cli.copies import CopyFolder, name_copies, refuse_inputs
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.files import require_writable
from maagiqa_pyiqa.support.moves import Move, finish, read_moves, undo, write_moves
from maagiqa_pyiqa.support.text import printable

if TYPE_CHECKING:
    from maagiqa_pyiqa.images.sources import ImagePath
    from maagiqa_pyiqa.metrics.scoring import ImageScores

JOURNAL = "moves.csv"
SHOWN = 20  # lines of a plan


def add_placing(parser: argparse.ArgumentParser) -> None:
    """Add where images go, and what takes a move back."""
    where = parser.add_mutually_exclusive_group()
    named = "named by group, rank and image"
    where.add_argument(
        "--copy-to", metavar="DIR", help=f"copy what is kept there, {named}, in place of an earlier ranking's copies"
    )
    where.add_argument("--link-to", metavar="DIR", help="the same with symbolic links")
    where.add_argument(
        "--move-to", metavar="DIR", help=f"move what is kept to a new folder, {named}; shows the plan and asks before"
    )
    parser.add_argument("--yes", action="store_true", help="move without asking")
    parser.add_argument("--dry-run", action="store_true", help="show what would go where, and leave all as it is")
    journal = parser.add_mutually_exclusive_group()
    journal.add_argument("--undo", metavar=JOURNAL, help="take a move back by the list that it left, and do no more")
    journal.add_argument("--finish", metavar=JOURNAL, help="finish a move that was stopped, and do no more")


def undo_or_finish(arguments: argparse.Namespace) -> int | None:
    """What ``--undo`` or ``--finish`` asks for: 0, or 1 if a file could not be moved; None where neither does."""
    journal = arguments.undo or arguments.finish
    if journal is None:
        return None
    if arguments.inputs:
        raise InputError("'--undo' and '--finish' rank nothing; leave the images out.")
    moves = read_moves(journal)
    problems = undo(moves) if arguments.undo else finish(moves)
    for problem in problems:
        print(f"  {printable(problem)}", file=sys.stderr)
    print(f"{len(moves) - len(problems)} of {len(moves)} images are where they {'were' if arguments.undo else 'go'}")
    if arguments.undo and not problems:
        Path(journal).expanduser().unlink()
        with contextlib.suppress(OSError):  # the folder, unless something else is in it
            Path(journal).expanduser().parent.rmdir()
    return 1 if problems else 0


class Placing:
    """Copies, links or moves as the arguments say; checked before the work.

    Args:
        arguments: of a verb with ``add_placing``, which name a folder.
        images: that are ranked; each is a file.

    Raises:
        InputError: the folder is searched for images or holds what no ranking put there, an image to move is a link, or
            there is nobody to ask.
        OSError: nothing can be written there.
    """

    @classmethod
    def asked_for(cls, arguments: argparse.Namespace, images: Sequence[ImagePath]) -> Placing | None:
        """What the arguments ask for, if anything."""
        from maagiqa_pyiqa.images.sources import only_files

        if arguments.copy_to or arguments.link_to or arguments.move_to:
            return cls(arguments, only_files(images))
        if arguments.dry_run or arguments.yes:
            raise InputError("'--dry-run' and '--yes' are for --copy-to, --link-to and --move-to; name one of them.")
        return None

    def __init__(self, arguments: argparse.Namespace, images: Sequence[Path]) -> None:
        self._arguments = arguments
        target = arguments.copy_to or arguments.link_to or arguments.move_to
        self._option = next(name for name in ("copy", "link", "move") if getattr(arguments, f"{name}_to"))
        self._folder = Path(target).expanduser()
        if self._folder.exists() and not self._folder.is_dir():
            raise InputError(f"'--{self._option}-to {target}' is no folder; name one, or what is to become one.")
        refuse_inputs(f"--{self._option}-to {target}", self._folder, arguments.inputs, images)
        if self._option == "move":
            self._check_move(images)
        else:
            self._copies = CopyFolder(self._folder, f"--{self._option}-to", link=self._option == "link")

    def carry_out(self, ranking: Mapping[str, Sequence[ImageScores]], metric: str) -> int:
        """Show the plan and do it; returns how many images could not be moved.

        Args:
            ranking: images by group, best first.
            metric: that ranked them, for the list of moves.
        """
        from maagiqa_pyiqa.images.sources import only_files

        names = name_copies({group: only_files([one.path for one in images]) for group, images in ranking.items()})
        self._show(names)
        if self._arguments.dry_run:
            print("nothing was done: --dry-run")
        elif self._option == "move":
            scores = [one.scores[metric] for images in ranking.values() for one in images]
            return self._move(names, [f"{metric} {score:.4f}" for score in scores])
        else:
            self._copies.fill(names)
        return 0

    def _show(self, names: Mapping[str, Path]) -> None:
        if self._arguments.quiet and not self._arguments.dry_run:
            return
        print(f"\n{self._option} {len(names)} image{'' if len(names) == 1 else 's'} to {printable(self._folder)}:")
        for name, path in list(names.items())[:SHOWN]:
            print(f"  {printable(path)} -> {printable(name)}")
        if len(names) > SHOWN:
            print(f"  ... and {len(names) - SHOWN} more, as the ranking above")

    def _check_move(self, images: Sequence[Path]) -> None:
        if self._arguments.gallery and not self._arguments.dry_run:
            raise InputError(
                "'--gallery' links to pictures where they are, and '--move-to' takes them away; leave one of them out, "
                f"and make the page of the new folder: maagiqa score {self._folder} --gallery {self._arguments.gallery}"
            )
        if self._folder.is_dir() and os.listdir(self._folder):
            remedy = "name an empty or new folder"
            if (self._folder / JOURNAL).is_file():
                remedy = f"go on with it by --finish {self._folder / JOURNAL}, take it back by --undo, or {remedy}"
            raise InputError(f"'--move-to {self._folder}' holds files already; {remedy}.")
        for path in images:
            if path.is_symlink():
                raise InputError(f"'{path}' is a link, which means nothing elsewhere; name the files it points to.")
        if not (self._arguments.yes or self._arguments.dry_run or sys.stdin.isatty()):
            raise InputError(
                "'--move-to' asks before it moves, and there is no terminal to answer on; say --yes, or --dry-run."
            )
        require_writable(self._folder / JOURNAL)

    def _move(self, names: Mapping[str, Path], reasons: Sequence[str]) -> int:
        if not self._arguments.yes and not _agreed(f"move {len(names)} images?"):
            print("nothing was moved")
            return 0
        folder = Path(os.path.abspath(self._folder))
        moves = [
            Move(Path(os.path.abspath(path)), folder / name, reason)
            for (name, path), reason in zip(names.items(), reasons, strict=True)
        ]
        write_moves(folder / JOURNAL, moves)
        problems = finish(moves)
        for problem in problems:
            print(f"  {printable(problem)}", file=sys.stderr)
        print(f"to take it back: maagiqa rank --undo {printable(self._folder / JOURNAL)}")
        return len(problems)


def _agreed(question: str) -> bool:
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
