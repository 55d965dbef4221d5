"""Answers that somebody has already, into a folder of answers; and its text encoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from maagiqa_pyiqa.cache.keys import ImageFile
from maagiqa_pyiqa.images.ahead import map_ahead
from maagiqa_pyiqa.images.decoding import UnreadableImageError
from maagiqa_pyiqa.images.sources import ImageSource
from maagiqa_pyiqa.semantics.answers.store import TEXT_PROMPT, Answer, Answers, Asked, writing
from maagiqa_pyiqa.semantics.answers.text_encoder import ENCODER, Encoding, fit_encoder, write_encoding
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.progress import progress

WORKERS = 4  # threads that read and decode


class ImageKeys(NamedTuple):
    """An image by content: its name and the keys of its file and of its pixels, in hexadecimal."""

    image: str
    file_key: str
    pixel_key: str


def keys_of(source: ImageSource) -> ImageKeys | UnreadableImageError:
    """Keys of an image; the error where it cannot be read."""
    try:
        file = ImageFile(source.read())
        return ImageKeys(source.name, file.file_key.hex(), file.pixel_key.hex())
    except (OSError, UnreadableImageError) as error:
        return _unreadable(source, error)


def _unreadable(source: ImageSource, error: Exception) -> UnreadableImageError:
    return UnreadableImageError(f"image '{source}' cannot be read: {error}")


def import_answers(
    folder: str | Path, asked: Asked, images: Sequence[tuple[ImageSource, Mapping[str, str]]]
) -> tuple[int, list[str]]:
    """Put answers that somebody has into a folder of answers, made where it is absent; what is there is passed over.

    Args:
        folder: of answers.
        asked: the model and the questions that they are from.
        images: and their answers by the question's name; under TEXT_PROMPT what they were generated from.

    Returns:
        How many answers were new, and what went wrong with images, a message each.

    Raises:
        OtherAnswersError: the folder holds answers of another model, or to other questions.
    """
    added, problems = 0, []
    with writing(folder, asked) as answers, progress(total=len(images)) as bar:
        read = map_ahead(lambda pair: (keys_of(pair[0]), pair[1]), images, workers=WORKERS, count=4 * WORKERS)
        for keys, texts in read:
            bar.update()
            if isinstance(keys, UnreadableImageError):
                problems.append(str(keys))
                continue
            known = answers.of_pixels(keys.pixel_key)
            new = [Answer(*keys, question, text) for question, text in texts.items() if question not in known]
            answers.append(new)
            added += len(new)
    return added, problems


def fit(
    folder: str | Path,
    sources: Sequence[ImageSource],
    encoder: str = "hashed",
    *,
    alignment: bool = False,
    replace: bool = False,
) -> Encoding:
    """Give a folder of answers its text encoder, fitted on the answers about some images.

    Args:
        folder: of answers.
        sources: the images of the training part.
        encoder: spec of a text encoder, see ``fit_encoder``.
        alignment: add the text prompt as one more expert.
        replace: take another encoder than the folder has; what was trained on the old features is of no use then.

    Raises:
        FileNotFoundError: there are no answers.
        ValueError: it has an encoder; or an image has no answers, or no text prompt where that is an expert.
    """
    answers = Answers(folder)
    if (answers.folder / ENCODER).is_file() and not replace:
        raise InputError(
            f"'{answers.folder}' has a text encoder, and what was trained with it needs it; --replace takes another."
        )
    texts = [text for source in sources for text in _texts(answers, source, alignment)]
    encoding = Encoding(fit_encoder(encoder, texts), alignment)
    write_encoding(answers.folder, encoding)
    return encoding


def _texts(answers: Answers, source: ImageSource, alignment: bool) -> Iterator[str]:
    try:
        found = answers.of_image(ImageFile(source.read()))
    except (OSError, UnreadableImageError) as error:
        raise _unreadable(source, error) from error
    for question in (*answers.asked.questions, *([TEXT_PROMPT] if alignment else [])):
        if question not in found:
            raise InputError(f"'{answers.folder}' has no answer about '{source}' to: {question}; ask first.")
        yield found[question].text
