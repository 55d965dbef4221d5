"""The two questions of the paper (section 3.2) and the templates they are asked in."""

from __future__ import annotations

from types import MappingProxyType

IMAGE_MARK = "<|image|>"
# names and order as everywhere: existence of semantic content first, then coherence
QUESTIONS: MappingProxyType[str, str] = MappingProxyType(
    {
        "semantic_content": (
            "Evaluate the input image to determine if its quality is compromised due to a lack of meaningful semantic "
            "content."
        ),
        "coherence": "Evaluate if the image quality is compromised due to violations of coherence.",
    }
)
# sets of questions by name; with the second, the probability of yes is that of a quality compromised
QUESTION_SETS: MappingProxyType[str, MappingProxyType[str, str]] = MappingProxyType(
    {
        "paper": QUESTIONS,
        "yes-no": MappingProxyType(
            {name: f"{question} Begin with yes or no, then say why." for name, question in QUESTIONS.items()}
        ),
    }
)
# the authors put the image after the question and use no system text
MPLUG_OWL2_TEMPLATE = "USER: {question}\n" + IMAGE_MARK + " ASSISTANT:"

# Q-Align (Wu et al., 2023): the model finishes the sentence with one of five words, worth 5 to 1
ONE_ALIGN_TEMPLATE = (
    "USER: How would you rate the {task} of this image?\n" + IMAGE_MARK + "\nASSISTANT: The {task} of the image is"
)
LEVELS: MappingProxyType[str, float] = MappingProxyType(
    {"excellent": 5.0, "good": 4.0, "fair": 3.0, "poor": 2.0, "bad": 1.0}
)
