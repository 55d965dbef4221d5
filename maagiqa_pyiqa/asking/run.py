"""Many questions at once, each answer on the disk as soon as it is there; what was answered before is not asked."""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from maagiqa_pyiqa.asking.endpoint import EndpointError, RefusedError, Reply
from maagiqa_pyiqa.asking.payload import as_data_url
from maagiqa_pyiqa.cache.keys import ImageFile
from maagiqa_pyiqa.images.decoding import UnreadableImageError
from maagiqa_pyiqa.images.sources import ImageSource
from maagiqa_pyiqa.semantics.answers.store import TEXT_PROMPT, Answer, AnswersWriter
from maagiqa_pyiqa.support.progress import progress
from maagiqa_pyiqa.support.stopping import set_by_signals

IN_VAIN = 20  # questions in a row without an answer, after which there is no use in asking on


class Model(Protocol):
    """What is asked: ``Endpoint``, or anything else that answers."""

    def ask(self, image: str, question: str) -> Reply:
        """Answer a question about an image, given as a ``data:`` URL."""


@dataclass
class Summary:
    """What became of the questions; ``failures`` are (image, reason)."""

    answered: int = 0
    known: int = 0
    cut_short: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    interrupted: bool = False

    def cost(self, prices: tuple[float, float]) -> float:
        """Cost at prices for a million tokens that are read, and that are written."""
        return (self.tokens_in * prices[0] + self.tokens_out * prices[1]) / 1e6

    def count(self, reply: Reply) -> None:
        """Count an answer."""
        self.answered += 1
        self.cut_short += reply.finish == "length"
        self.tokens_in += reply.tokens_in
        self.tokens_out += reply.tokens_out


class Asking:
    """One run of the questions of a folder of answers about images.

    Args:
        model: is asked.
        answers: a folder, held by this process.
        prompts: what images were generated from, by their names; kept with the answers.
        at_once: how many questions wait for their answer at any time.

    Attributes:
        summary: what became of the questions so far.
        stop: set it to ask no more; questions under way are waited for.
    """

    def __init__(
        self, model: Model, answers: AnswersWriter, prompts: Mapping[str, str] | None = None, at_once: int = 8
    ) -> None:
        self.summary = Summary()
        self.stop = threading.Event()
        self._model, self._answers, self._prompts, self._at_once = model, answers, prompts or {}, at_once
        self._lock = threading.Lock()  # of answers, summary and what follows
        self._under_way: set[str] = set()  # keys of pixels
        self._in_vain = 0
        self._takes_answers = True
        self._end: EndpointError | None = None

    def run(self, sources: Sequence[ImageSource]) -> Summary:
        """Ask about images; Ctrl-C or SIGTERM ends it after the questions under way, a second one at once.

        Raises:
            EndpointError: the endpoint answers no question at all; answers so far are kept.
            OSError: an answer could not be written.
        """
        outcomes: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
        with progress(total=len(sources)) as bar, set_by_signals(self.stop):
            self._start(sources, outcomes)
            try:
                for _ in sources:
                    if (error := outcomes.get()) is not None:
                        raise error
                    bar.update()
                    bar.set_postfix_str(f"{self.summary.tokens_in + self.summary.tokens_out} tokens", refresh=False)
            finally:  # also where an answer could not be written
                interrupted = self.stop.is_set() and self._end is None
                self.stop.set()
                with self._lock:  # what still waits for an answer must not write where others may write now
                    self._takes_answers = False
        if self._end is not None:
            raise self._end
        self.summary.interrupted = interrupted
        return self.summary

    def _start(self, sources: Sequence[ImageSource], outcomes: queue.SimpleQueue[Exception | None]) -> None:
        """Begin to ask, in threads that need not be waited for: an answer may take minutes."""
        left: queue.SimpleQueue[ImageSource] = queue.SimpleQueue()
        for source in sources:
            left.put(source)

        def work() -> None:
            while not left.empty():
                try:
                    self._about(left.get_nowait())
                    outcomes.put(None)
                except queue.Empty:  # another thread took the last
                    return
                except Exception as error:
                    outcomes.put(error)

        for _ in range(min(self._at_once, len(sources))):
            threading.Thread(target=work, daemon=True).start()

    def _about(self, source: ImageSource) -> None:
        """Ask what has not been answered about an image."""
        if self.stop.is_set():
            return
        try:
            file = ImageFile(source.read())
            known = self._begin(file)
        except (OSError, UnreadableImageError) as error:
            with self._lock:
                self.summary.failures.append((source.name, str(error)))
            return
        if known is None:
            return
        try:
            self._ask_the_rest(source, file, known)
        finally:
            with self._lock:
                self._under_way.discard(file.pixel_key.hex())

    def _begin(self, file: ImageFile) -> Mapping[str, Answer] | None:
        """What was answered about an image; None where nothing is left to ask, or somebody asks just now."""
        with self._lock:
            if self._is_done(self._answers.of_file(file.file_key.hex())):
                return None
        key = file.pixel_key.hex()  # decodes it, which takes a while
        with self._lock:
            known = dict(self._answers.of_pixels(key))
            if key in self._under_way or self._is_done(known):  # the same picture in another file
                return None
            self._under_way.add(key)
            self.summary.known += sum(question in known for question in self._answers.asked.questions)
            return known

    def _is_done(self, known: Mapping[str, Answer]) -> bool:
        """Whether nothing is left to ask; counts what is known then."""
        questions = self._answers.asked.questions
        done = all(question in known for question in questions) and (not self._prompts or TEXT_PROMPT in known)
        self.summary.known += len(questions) * done
        return done

    def _ask_the_rest(self, source: ImageSource, file: ImageFile, known: Mapping[str, Answer]) -> None:
        keys = (source.name, file.file_key.hex(), file.pixel_key.hex())
        if TEXT_PROMPT not in known and source.name in self._prompts:
            self._keep(Answer(*keys, TEXT_PROMPT, self._prompts[source.name]))
        image = as_data_url(file)
        for name, question in self._answers.asked.questions.items():
            if name in known or self.stop.is_set():
                continue
            try:
                reply = self._model.ask(image, question)
            except RefusedError as error:
                self._fail(source.name, f"{name}: {error}")
            except EndpointError as error:
                self._give_up(error)
            else:
                self._keep(Answer(*keys, name, **reply._asdict()), reply)

    def _keep(self, answer: Answer, reply: Reply | None = None) -> None:
        with self._lock:
            if not self._takes_answers:
                return
            self._answers.append([answer])
            if reply is not None:
                self.summary.count(reply)
                self._in_vain = 0

    def _fail(self, image: str, reason: str) -> None:
        with self._lock:
            self.summary.failures.append((image, reason))
            self._in_vain += 1
            in_vain = self._in_vain
        if in_vain >= IN_VAIN:
            self._give_up(EndpointError(f"{in_vain} questions in a row were asked in vain, the last: {reason}"))

    def _give_up(self, error: EndpointError) -> None:
        with self._lock:
            self._end = self._end or error
        self.stop.set()
