"""What verbs write beside the terminal: checked before the work, and each written whatever becomes of the others.

An output is a file, ``-`` for standard output, or a URL for fsspec. Where one is standard output, all that is for
people goes to standard error.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.files import STANDARD_OUTPUT, keep_elsewhere, require_writable, write_whole


def add_outputs(parser: argparse.ArgumentParser, content: str, *formats: str) -> None:
    """Add a file to write ``content`` to for each of ``formats``, such as ``csv`` and ``json``."""
    for name in formats:
        help_text = f"write {content} as {name.upper()} to a file, a URL or - (standard output)"
        parser.add_argument(f"--{name}", metavar="FILE", help=help_text)
    parser.set_defaults(outputs=formats)


def add_json_lines(parser: argparse.ArgumentParser, content: str) -> None:
    """Add ``--jsonl``, after the other outputs."""
    help_text = f"write {content} as a line of JSON each while it works, to a file or - (standard output)"
    parser.add_argument("--jsonl", metavar="FILE", help=help_text)
    parser.set_defaults(outputs=(*parser.get_default("outputs"), "jsonl"))


@contextlib.contextmanager
def json_lines(arguments: argparse.Namespace) -> Iterator[Callable[[object], None]]:
    """Give what writes a line to ``--jsonl`` at once; it does nothing where none was asked for.

    A file that refuses a line, as a full disk does, stops neither the work nor the other outputs; the end tells of it.

    Raises:
        InputError: it is a URL, which cannot grow.
        OSError: it cannot be opened, or it refused a line.
    """
    target = arguments.jsonl
    if target is None:
        yield lambda record: None
        return
    if _is_url(target):
        raise InputError(f"'--jsonl {target}': it grows while it works, so name a file or - (standard output).")
    to_standard_output = target == STANDARD_OUTPUT
    file = arguments.standard_output.buffer if to_standard_output else open(Path(target).expanduser(), "wb")  # noqa: SIM115
    refusals: list[OSError] = []

    def write(record: object) -> None:
        if refusals:
            return
        try:
            file.write(json.dumps(record).encode("ascii") + b"\n")
            file.flush()
        except BrokenPipeError:  # who reads has enough
            raise
        except OSError as error:
            refusals.append(error)

    try:
        yield write
    finally:
        if not to_standard_output:
            with contextlib.suppress(OSError):  # what was refused before
                file.close()
    if refusals:
        raise OSError(refusals[0].errno, f"'{target}' could not be written to its end: {refusals[0].strerror}.")


@contextlib.contextmanager
def prepared_outputs(arguments: argparse.Namespace) -> Iterator[None]:
    """Check the outputs of a verb; while the block runs, nothing else is written to one that is standard output.

    Raises:
        InputError: two outputs go to one place.
        OSError: nothing can be written there.
    """
    targets = [target for name in getattr(arguments, "outputs", ()) if (target := getattr(arguments, name))]
    for target in targets:
        if targets.count(target) > 1:
            raise InputError(f"two outputs go to '{target}'; give each a place of its own.")
        _require_writable(target)
    arguments.standard_output = sys.stdout
    if STANDARD_OUTPUT in targets:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    else:
        yield


def write_outputs(arguments: argparse.Namespace, **contents: Callable[[], str | bytes]) -> None:
    """Write what was asked for.

    Args:
        arguments: of a verb with ``add_outputs``.
        contents: makes the content of each format.

    Raises:
        OSError: some could not be written; says which, and where their content went instead.
    """
    failures = []
    for name, make in contents.items():
        target = getattr(arguments, name)
        if target is None:
            continue
        try:
            with contextlib.redirect_stdout(arguments.standard_output):
                _write(target, make())
        except OSError as error:
            failures.append(error)
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise OSError("\n".join(map(str, failures)))


def escape_what_the_terminal_lacks() -> None:
    """Write what the encoding of standard output and error lacks as escapes, such as under an ASCII locale."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def abandon_standard_output() -> None:
    """Keep Python from writing at its end what standard output refused, as a closed pipe or a full disk does."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def _require_writable(target: str) -> None:
    if not _is_url(target):
        require_writable(target)
        return
    import fsspec

    try:
        fsspec.core.url_to_fs(target)
    except ValueError as error:
        raise InputError(f"output '{target}': {error}.") from error


def _write(target: str, content: str | bytes) -> None:
    if not _is_url(target):
        write_whole(target, content)
        return
    import fsspec

    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    try:
        with fsspec.open(target, "wb") as file:
            file.write(data)
    except Exception as error:  # whatever the storage raises
        name = target.rsplit("/", 1)[-1]
        raise OSError(f"'{target}' could not be written: {error}. {keep_elsewhere(name, data)}") from error


def _is_url(target: str) -> bool:
    return "://" in target
