"""Folders of answers for tests, and a small model of sentence-transformers."""

from maagiqa_pyiqa.images.sources import find_sources
from maagiqa_pyiqa.semantics.answers import preparing
from maagiqa_pyiqa.semantics.answers.store import TEXT_PROMPT, Answer, Asked, writing
from maagiqa_pyiqa.semantics.prompts import QUESTIONS

ASKED = Asked("a-model", dict(QUESTIONS), {"temperature": 0, "max_tokens": 64})
WORDS = ("blurred", "sharp", "melted", "hand", "sky", "river", "text", "colour", "dog", "empty")


def text_of(number, question):
    """Some words, different for each image and question."""
    start = number + len(question)
    return " ".join(WORDS[(start * step) % len(WORDS)] for step in (1, 3, 7, number))


def write_answers(folder, images, asked=ASKED, prompts=True):
    """Answers to all questions about images, with probabilities of yes and no."""
    with writing(folder, asked) as answers:
        for number, source in enumerate(find_sources(images)):
            keys = preparing.keys_of(source)
            given = [
                Answer(*keys, question, text_of(number, question), yes=0.1 * (number % 9), no=0.05)
                for question in asked.questions
            ]
            answers.append([*given, *([Answer(*keys, TEXT_PROMPT, text_of(number, ""))] if prompts else [])])
    return folder


def fit(folder, images, encoder="hashed", **options):
    """Give a folder its text encoder."""
    return preparing.fit(folder, find_sources(images), encoder, **options)
