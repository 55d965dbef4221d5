"""Answers on disk: who was asked what in ``manifest.json``, and one line of JSON for each answer in ``answers.jsonl``.

Lines are only ever appended, each synced to the disk before the next. A line counts once its line break is there, so
that a process may be killed at any moment: what it was writing is passed over, and cut off by the next writer.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.files import write_whole
from maagiqa_pyiqa.support.folder_lock import folder_lock
from maagiqa_pyiqa.support.json_files import read_json

if TYPE_CHECKING:
    from maagiqa_pyiqa.cache.keys import ImageFile

FORMAT = 1
MANIFEST, LINES = "manifest.json", "answers.jsonl"
TEXT_PROMPT = "text_prompt"  # in place of a question: the text is what an image was generated from


class OtherAnswersError(InputError):
    """A folder of answers of another model, or to other questions; the message shows what differs."""


@dataclass(frozen=True)
class Asked:
    """What all answers of a folder have in common: the model, the questions by name, and how it was sampled."""

    model: str
    questions: Mapping[str, str]
    sampling: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not self.questions or TEXT_PROMPT in self.questions:
            raise InputError(f"questions: give at least one, and none of the name '{TEXT_PROMPT}'.")


class Answer(NamedTuple):
    """One answer about one image.

    Attributes:
        image: name of the image when it was asked about.
        file_key: SHA-256 of the file's bytes, in hexadecimal.
        pixel_key: SHA-256 of the decoded pixels, as ``cache.keys.pixel_key`` has it.
        question: its name, or TEXT_PROMPT.
        text: the answer.
        yes: probability that the answer begins with yes; None where the endpoint gave none.
        no: likewise.
        finish: why it ended, such as ``stop`` or ``length``.
        tokens_in: tokens that were read; 0 where nobody counted.
        tokens_out: tokens that were written.
    """

    image: str
    file_key: str
    pixel_key: str
    question: str
    text: str
    yes: float | None = None
    no: float | None = None
    finish: str = ""
    tokens_in: int = 0
    tokens_out: int = 0


class Answers:
    """A folder of answers, as far as they were there when it was opened.

    Args:
        folder: made by ``AnswersWriter``.

    Raises:
        FileNotFoundError: there are no answers; names the command that asks.
        ValueError: a file of the folder is not what was written there.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).expanduser()
        self.asked = read_manifest(self.folder)
        self._by_pixels: dict[str, dict[str, Answer]] = {}
        self._pixels_of_file: dict[str, str] = {}
        for answer in _read_lines(self.folder / LINES):
            self._add(answer)

    def _add(self, answer: Answer) -> None:
        self._by_pixels.setdefault(answer.pixel_key, {})[answer.question] = answer  # the last counts
        self._pixels_of_file[answer.file_key] = answer.pixel_key

    def __len__(self) -> int:
        """How many images there are answers about."""
        return len(self._by_pixels)

    def __iter__(self) -> Iterator[Mapping[str, Answer]]:
        """The answers about each image by question, in the order in which images came."""
        return iter(self._by_pixels.values())

    def of_pixels(self, pixel_key: str) -> Mapping[str, Answer]:
        """Answers about an image by question; empty where there is none."""
        return self._by_pixels.get(pixel_key, {})

    def of_file(self, file_key: str) -> Mapping[str, Answer]:
        """Answers about an image that came as this file; empty also where it came as another file."""
        return self.of_pixels(self._pixels_of_file.get(file_key, ""))

    def of_image(self, file: ImageFile) -> Mapping[str, Answer]:
        """Answers about an image, which is decoded only where it did not come as this file.

        Raises:
            UnreadableImageError: it has to be decoded and cannot be.
        """
        return self.of_file(file.file_key.hex()) or self.of_pixels(file.pixel_key.hex())


class AnswersWriter(Answers):
    """A folder of answers held by this process, which appends to ``file``, unbuffered; made by ``writing``."""

    def __init__(self, folder: str | Path, file: IO[bytes]) -> None:
        super().__init__(folder)
        self._file = file

    def append(self, answers: Sequence[Answer]) -> None:
        """Write answers to the disk, and know them from then on.

        Raises:
            OSError: the place refuses them, as a full disk does; none of them is kept.
        """
        lines = b"".join(json.dumps(answer._asdict()).encode("ascii") + b"\n" for answer in answers)
        size = os.fstat(self._file.fileno()).st_size
        try:
            if self._file.write(lines) != len(lines):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file.fileno())
        except OSError as error:
            os.ftruncate(self._file.fileno(), size)
            raise OSError(error.errno, f"'{self.folder}' takes no more answers: {error.strerror}.") from error
        for answer in answers:
            self._add(answer)


@contextlib.contextmanager
def writing(folder: str | Path, asked: Asked) -> Iterator[AnswersWriter]:
    """Hold a folder of answers while the block runs; it is made where it is absent.

    Raises:
        OtherAnswersError: it holds answers of another model, or to other questions.
        FileExistsError: another process holds it.
    """
    folder = Path(folder).expanduser()
    with folder_lock(folder, "asking", "Let it end, or give this one another folder"):
        if (folder / MANIFEST).is_file():
            _require_same(folder, read_manifest(folder), asked)
        else:
            _write_manifest(folder, asked)
        _cut_off_torn_line(folder / LINES)
        with open(folder / LINES, "ab", buffering=0) as file:
            yield AnswersWriter(folder, file)


def read_manifest(folder: Path) -> Asked:
    """What the answers of a folder have in common.

    Raises:
        FileNotFoundError: there are no answers.
        ValueError: it is no manifest, or one of a newer version.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise FileNotFoundError(
            f"'{folder}' holds no answers (no {MANIFEST}); ask: maagiqa ask IMAGES --endpoint URL --model NAME "
            f"--answers {folder}"
        )
    return read_json(path, FORMAT, _asked, "manifest of answers", "Restore it, or ask into another folder.")


def _asked(content: Mapping[str, Any]) -> Asked:
    return Asked(str(content["model"]), dict(content["questions"]), dict(content["sampling"]))


def _write_manifest(folder: Path, asked: Asked) -> None:
    content = {"format": FORMAT, **dataclasses.asdict(asked)}
    write_whole(folder / MANIFEST, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def _require_same(folder: Path, there: Asked, here: Asked) -> None:
    names = [
        field.name for field in dataclasses.fields(Asked) if getattr(there, field.name) != getattr(here, field.name)
    ]
    if names:
        shown = "; ".join(f"{name}: {getattr(there, name)!r} there, {getattr(here, name)!r} here" for name in names)
        raise OtherAnswersError(f"'{folder}' holds other answers ({shown}); give these another folder.")


def _read_lines(path: Path) -> Iterator[Answer]:
    content = path.read_bytes() if path.is_file() else b""
    for number, line in enumerate(content.split(b"\n")[:-1], 1):
        try:
            yield _parse(line)
        except (ValueError, TypeError, RecursionError) as error:
            raise InputError(
                f"'{path}', line {number} is no answer: {error}. Remove that line; it will be asked again."
            ) from error


def _parse(line: bytes) -> Answer:
    answer = Answer(**json.loads(line))
    if not all(isinstance(value, str) for value in answer[:5]):
        raise TypeError("keys, question and text have to be strings")
    if not all(value is None or 0 <= value <= 1 for value in (answer.yes, answer.no)):
        raise TypeError("probabilities have to be between 0 and 1")
    return answer


def _cut_off_torn_line(path: Path) -> None:
    """Remove what stands after the last line break."""
    if path.is_file():
        whole = path.read_bytes().rfind(b"\n") + 1
        if whole != path.stat().st_size:
            os.truncate(path, whole)
