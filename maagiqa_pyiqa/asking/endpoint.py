"""One question about one image to an OpenAI-compatible chat endpoint, tried again where that may help."""

from __future__ import annotations

import math
import os
import re
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from maagiqa_pyiqa.support.errors import InputError

try:
    import openai
    from openai.types.chat import ChatCompletion
    from openai.types.chat.chat_completion import Choice
except ImportError as error:
    raise ImportError("asking an endpoint needs openai: pip install 'maagiqa_pyiqa[ask]'") from error

RETRIES = 6  # after 0.5, 1, 2, 4, 8 and 8 seconds, or when Retry-After says
NO_KEY = "none"  # what local servers, which need no key, are sent for one
TOP_LOGPROBS = 20  # the most that endpoints give
LONGEST = 1_000_000  # characters of an answer; more is no answer, and would have to be read whenever the folder is
TELLING = 16  # characters of a key, from which on no answer holds it by chance
LIKE_SPACE = " \t\r\n\u2581\u0120\u010a"  # around a word in a token, also as tokenizers write it


class EndpointError(ConnectionError):
    """The endpoint answers no question at all, such as for want of a key; there is no use in asking on."""


class RefusedError(Exception):
    """The endpoint gave no answer to a question about an image; the message gives the reason."""


class Reply(NamedTuple):
    """An answer: its text, the probabilities that it begins with yes and with no, why it ended, tokens."""

    text: str
    yes: float | None
    no: float | None
    finish: str
    tokens_in: int
    tokens_out: int


class Endpoint:
    """A model behind an endpoint; to be asked by any number of threads.

    Args:
        url: base URL, such as ``http://localhost:8000/v1``.
        model: its name there.
        key: API key; neither logged nor part of any message.
        sampling: parameters of each request, such as temperature and max_tokens.
        retries: how often a question is asked again after 408, 409, 429, 5xx, a cut connection or silence.
        seconds: to wait for an answer.

    Raises:
        ValueError: no URL of an endpoint, or one that holds a password or a key.
    """

    def __init__(
        self,
        url: str,
        model: str,
        key: str | None,
        sampling: Mapping[str, Any],
        *,
        retries: int = RETRIES,
        seconds: float = 600.0,
    ) -> None:
        _require_plain(url)
        self.url, self.model, self._key = url, model, key
        self._parameters: dict[str, Any] = {**sampling, "logprobs": True, "top_logprobs": TOP_LOGPROBS}
        client = openai.OpenAI(
            base_url=url,
            api_key=key or NO_KEY,
            max_retries=retries,
            timeout=openai.Timeout(seconds, connect=10.0),
            default_headers=_headers(key or NO_KEY),
        )
        self._create: Callable[..., Any] = client.chat.completions.create

    def ask(self, image: str, question: str) -> Reply:
        """Ask a question about an image, whose URL comes first, so that a server may keep it for the next question.

        Raises:
            EndpointError: it answers no question at all.
            RefusedError: it does not answer this one.
        """
        content = [{"type": "image_url", "image_url": {"url": image}}, {"type": "text", "text": question}]
        messages = [{"role": "user", "content": content}]
        while True:
            parameters = self._parameters
            try:
                return self._checked(self._create(model=self.model, messages=messages, **parameters))
            except (openai.AuthenticationError, openai.NotFoundError) as error:
                raise EndpointError(f"endpoint {self.url}: {self._reason(error)}") from None
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                accepted = _as_it_takes_them(parameters, str(error))
                if accepted == parameters:
                    hint = "; see --temperature" if "temperature" in str(error) else ""
                    raise RefusedError(f"{self._reason(error)}{hint}") from None
                self._parameters = accepted
            except openai.OpenAIError as error:
                raise RefusedError(self._reason(error)) from None
            except (ValueError, RecursionError) as error:  # a reply that is no JSON, or a bottomless one
                raise RefusedError(f"the reply cannot be read: {self._reason(error)}") from None

    def _checked(self, reply: object) -> Reply:
        """The answer of a reply."""
        if self._key and len(self._key) >= TELLING and self._key in repr(reply):
            raise RefusedError("the reply repeats the API key; it is not kept")
        answer = _parse(reply)
        if not answer.text.strip():
            cut = "; it was cut at --max-tokens: give more" if answer.finish == "length" else ""
            raise RefusedError(f"the answer is empty{cut}")
        if len(answer.text) > LONGEST:
            raise RefusedError(f"the answer has {len(answer.text)} characters, more than {LONGEST}")
        return answer

    def _reason(self, error: Exception) -> str:
        """What an error says, in one line and without the key, which some servers repeat."""
        text = " ".join(str(error).split())
        return (text.replace(self._key, "***") if self._key else text)[:300]


def _as_it_takes_them(parameters: dict[str, Any], complaint: str) -> dict[str, Any]:
    """Parameters of a request by the names that an endpoint asks for, without those that it does not give."""
    if "max_completion_tokens" in complaint:  # OpenAI's other name, for models that think before they answer
        parameters = {"max_completion_tokens" if k == "max_tokens" else k: v for k, v in parameters.items()}
    if "logprobs" in complaint:
        parameters = {name: value for name, value in parameters.items() if "logprobs" not in name}
    return parameters


def read_key(variable: str | None) -> str | None:
    """The key in a variable of the environment; None where no variable is named.

    Raises:
        ValueError: the variable is not set, or holds what no header can.
    """
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise InputError(f"there is no key in the environment variable '{variable}'; set it, or name another one.")
    if re.search(r"[^!-~]", key):
        raise InputError(
            f"what the environment variable '{variable}' holds is no key: it has spaces or other characters."
        )
    return key


def _headers(key: str) -> dict[str, Any]:
    """What the client would read of the environment is meant for another endpoint than the one named here."""
    further = os.environ.get("OPENAI_CUSTOM_HEADERS", "").split("\n")
    names = ("OpenAI-Organization", "OpenAI-Project", *(line.partition(":")[0].strip() for line in further))
    return {**dict.fromkeys(names, openai.omit), "Authorization": f"Bearer {key}"}


def _require_plain(url: str) -> None:
    try:
        parts = urllib.parse.urlsplit(url)
        named = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # no port or address; the error would repeat it
        named = False
    if not named or re.search(r"[^!-~]", url):
        raise InputError("an endpoint is the base URL of an API, such as http://localhost:8000/v1.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise InputError(
            f"the URL of the endpoint at {parts.hostname} holds a password or parameters; keys come from an "
            "environment variable alone."
        )


def _parse(reply: object) -> Reply:
    """Read what a server sent, which the client has not checked; probabilities and counts only where they are some."""
    if not isinstance(reply, ChatCompletion):
        raise RefusedError("the reply holds no answer; is this the base URL of an OpenAI-compatible API?")
    try:
        choice = reply.choices[0]
        text = choice.message.content or ""
    except (TypeError, LookupError, AttributeError) as error:
        raise RefusedError("the reply holds no answer") from error
    if not isinstance(text, str):
        raise RefusedError("the reply holds no answer in words")
    finish = choice.finish_reason if isinstance(choice.finish_reason, str) else ""
    tokens = (_count(getattr(reply.usage, f"{kind}_tokens", None)) for kind in ("prompt", "completion"))
    return Reply(text, *_yes_and_no(choice), finish, *tokens)


def _count(tokens: object) -> int:
    return tokens if isinstance(tokens, int) and tokens > 0 else 0


def _yes_and_no(choice: Choice) -> tuple[float | None, float | None]:
    """Probabilities of the first token to be yes and no, over all ways to write them."""
    try:
        first = choice.logprobs.content[0].top_logprobs  # type: ignore[union-attr, index]
        words = [(token.token.strip(LIKE_SPACE).casefold(), math.exp(min(token.logprob, 0.0))) for token in first]
    except (TypeError, LookupError, AttributeError):  # there are none
        return None, None
    if not words or any(math.isnan(token.logprob) for token in first):
        return None, None
    yes, no = (min(1.0, sum(p for written, p in words if written == word)) for word in ("yes", "no"))
    return yes, no
