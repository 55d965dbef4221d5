"""One question to an endpoint: what is sent, what comes back, what is tried again and what is not."""

import base64
import json
import logging
import math
import os
import time

import pytest

pytest.importorskip("openai", reason="asking an endpoint needs openai")

from maagiqa_pyiqa.asking.endpoint import Endpoint, EndpointError, RefusedError, read_key
from maagiqa_pyiqa.semantics.answers.store import Answer, Answers, Asked, writing
from tests.helpers.chat_server import answer_to, serving

IMAGE = b"an image"
URL = f"data:image/png;base64,{base64.b64encode(IMAGE).decode()}"
KEY = "sk-secret-key-0123456789"
SAMPLING = {"temperature": 0, "max_tokens": 64}


@pytest.fixture
def server():
    with serving() as server:
        yield server


def endpoint(server, model="a-model", key=None, **options):
    return Endpoint(server.url, model, key, SAMPLING, **options)


def test_a_request_holds_image_question_and_sampling_and_no_setting_of_another_endpoint(server, monkeypatch):
    for name in ("API_KEY", "ADMIN_KEY", "ORG_ID", "PROJECT_ID", "BASE_URL"):
        monkeypatch.setenv(f"OPENAI_{name}", "https://of.another.endpoint")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "authorization: Bearer another\nX-Api-Key: another\nno header")
    endpoint(server).ask(URL, "Is it?")
    (body,), (headers,) = server.bodies, server.headers
    content = [{"type": "image_url", "image_url": {"url": URL}}, {"type": "text", "text": "Is it?"}]
    assert body["messages"] == [{"role": "user", "content": content}]
    assert {name: body[name] for name in ("model", *SAMPLING)} == {"model": "a-model", **SAMPLING}
    assert "another" not in str(headers)


def test_a_reply_has_text_tokens_and_probabilities_over_all_ways_to_write_yes_and_no(server):
    questions = [f"Question {number}?" for number in range(8)]
    replies = [endpoint(server).ask(URL, question) for question in questions]
    assert [reply.text for reply in replies] == [answer_to(IMAGE, question) for question in questions]
    for reply in replies:
        likely, other = (reply.yes, reply.no) if reply.text.startswith("Yes") else (reply.no, reply.yes)
        assert (likely, other) == (pytest.approx(0.625), pytest.approx(0.25))
    assert len({reply.text[:2] for reply in replies}) == 2
    assert {(reply.finish, reply.tokens_in, reply.tokens_out) for reply in replies} == {("stop", 100, 7)}


def test_an_endpoint_without_probabilities_is_asked_for_them_once():
    with serving(logprobs=False) as server:
        model = endpoint(server)
        for question in ("One?", "Two?"):
            reply = model.ask(URL, question)
            assert (reply.yes, reply.no, reply.text) == (None, None, answer_to(IMAGE, question))
    assert dict(server.statuses) == {422: 1, 200: 2}


def test_a_limit_of_tokens_goes_by_the_name_that_the_endpoint_asks_for():
    with serving(thinks=True, logprobs=False) as server:
        model = Endpoint(server.url, "a-model", None, {"max_tokens": 64})
        for question in ("One?", "Two?"):
            assert model.ask(URL, question).text == answer_to(IMAGE, question)
    assert dict(server.statuses) == {422: 1, 400: 1, 200: 2}
    assert "max_tokens" not in server.bodies[-1]
    assert server.bodies[-1]["max_completion_tokens"] == 64


def test_a_temperature_that_is_refused_is_not_left_out_in_silence():
    with serving(thinks=True) as server, pytest.raises(RefusedError, match=r"support 0\..*; see --temperature"):
        endpoint(server).ask(URL, "Is it?")


@pytest.mark.parametrize("fault", [500, 503, 408, "cut", "cut in the answer"])
def test_what_may_pass_is_tried_again(server, fault):
    server.faults += [fault]
    assert endpoint(server).ask(URL, "Is it?").text == answer_to(IMAGE, "Is it?")
    assert len(server.bodies) == 2


def test_too_many_requests_wait_as_long_as_they_are_told(server):
    server.faults += [429]
    start = time.monotonic()
    endpoint(server).ask(URL, "Is it?")
    assert time.monotonic() - start >= 1.0


def test_retries_come_to_an_end(server):
    server.faults += [500, "cut", 500]
    with pytest.raises(RefusedError, match="fault 500"):
        endpoint(server, retries=2).ask(URL, "Is it?")
    assert len(server.bodies) == 3


@pytest.mark.parametrize("status", [400, 403, 413, 422])
def test_a_question_that_is_refused_is_not_tried_again(server, status):
    server.faults += [status]
    with pytest.raises(RefusedError, match=f"fault {status}"):
        endpoint(server).ask(URL, "Is it?")
    assert len(server.bodies) == 1


@pytest.mark.parametrize("reply", ["<html>welcome</html>", {}, {"choices": []}, {"error": "busy"}])
def test_a_reply_without_an_answer_is_none(server, reply):
    server.faults += [reply]
    with pytest.raises(RefusedError, match="repl"):
        endpoint(server).ask(URL, "Is it?")


def reply_with(message, **choice):
    usage = {"prompt_tokens": "9", "completion_tokens": None}
    return {"choices": [{"message": message, "finish_reason": None, **choice}], "usage": usage}


def as_bytes(content):
    """As JSON that a strict writer would not write."""
    return json.dumps(content).encode()


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (as_bytes(reply_with({"content": None})), "the answer is empty"),
        (
            as_bytes(reply_with({"content": " \n"}, finish_reason="length")),
            "empty; it was cut at --max-tokens: give more",
        ),
        (
            as_bytes(reply_with({"content": "word " * 2_000_000})),
            "the answer has 10000000 characters, more than 1000000",
        ),
        (as_bytes(reply_with({"content": [{"type": "text", "text": "Yes"}]})), "holds no answer in words"),
        (as_bytes(reply_with({"content": 7})), "holds no answer in words"),
        (as_bytes(reply_with(None)), "holds no answer"),
        (as_bytes(reply_with("Yes")), "holds no answer"),
        (as_bytes({"choices": {"message": "Yes"}}), "holds no answer"),
        (as_bytes({"choices": ["Yes"]}), "holds no answer"),
        (as_bytes([1]), "holds no answer"),
        (b"null", "holds no answer"),
        (b'{"choices": [', "the reply cannot be read"),
        (b"[" * 100_000, "the reply cannot be read"),
        (b"\xff\xfe\x00", "the reply cannot be read"),
        (b"", "the reply cannot be read"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_hostile_reply_is_a_refusal_with_its_reason(server, reply, reason):
    server.faults += [reply]
    with pytest.raises(RefusedError, match=reason):
        endpoint(server).ask(URL, "Is it?")


def test_a_stream_that_nobody_asked_for_is_a_refusal(server):
    server.faults += ['data: {"choices": [{"delta": {"content": "Yes"}}]}\n\ndata: [DONE]\n\n']
    with pytest.raises(RefusedError, match="the reply holds no answer; is this the base URL"):
        endpoint(server).ask(URL, "Is it?")


@pytest.mark.parametrize("text", ["a\0b", "half \ud83d of a pair", "\u2028\x1b[2J", "a\nb\r\n"])
def test_strange_characters_of_an_answer_are_kept_as_they_are(server, text, tmp_path):
    server.faults += [as_bytes(reply_with({"content": text}))]
    reply = endpoint(server).ask(URL, "Is it?")
    assert (reply.text, reply.finish, reply.tokens_in, reply.tokens_out) == (text, "", 0, 0)
    with writing(tmp_path / "answers", Asked("a-model", {"q": "Is it?"}, {})) as answers:
        answers.append([Answer("0.png", "file", "pixels", "q", **reply._asdict())])
    assert Answers(tmp_path / "answers").of_pixels("pixels")["q"].text == text


@pytest.mark.parametrize(
    "top",
    [
        None,
        "yes",
        [],
        [7],
        [{"token": None, "logprob": -1}],
        [{"token": "yes", "logprob": None}],
        [{"token": "yes", "logprob": "-1"}],
        [{"token": "yes", "logprob": math.nan}],
    ],
)
def test_probabilities_that_are_none_are_left_out(server, top):
    server.faults += [as_bytes(reply_with({"content": "Yes."}, logprobs={"content": [{"top_logprobs": top}]}))]
    reply = endpoint(server).ask(URL, "Is it?")
    assert (reply.text, reply.yes, reply.no) == ("Yes.", None, None)


@pytest.mark.parametrize(("logprob", "probability"), [(1e9, 1.0), (-math.inf, 0.0)])
def test_probabilities_stay_between_0_and_1(server, logprob, probability):
    top = {"content": [{"top_logprobs": [{"token": "yes", "logprob": logprob}]}]}
    server.faults += [as_bytes(reply_with({"content": "Yes."}, logprobs=top))]
    assert endpoint(server).ask(URL, "Is it?").yes == probability


def test_an_unknown_model_ends_it(server):
    with pytest.raises(EndpointError, match=r"endpoint http://127.0.0.1:\d+/v1: .*The model 'absent' does not exist"):
        endpoint(server, "absent").ask(URL, "Is it?")


# ------------------------------------------------------------------------------------------------------------------ key


def test_the_key_goes_to_the_endpoint_and_into_no_message_or_log(caplog):
    caplog.set_level(logging.DEBUG)
    with serving(key=KEY) as server:
        assert endpoint(server, key=KEY).ask(URL, "Is it?").text
        assert server.headers[0]["authorization"] == f"Bearer {KEY}"
        server.key = "another"  # the server repeats what it was given
        with pytest.raises(EndpointError, match=r"Incorrect API key provided: \*\*\*") as refused:
            endpoint(server, key=KEY).ask(URL, "Is it?")
    assert refused.value.__cause__ is None
    assert KEY not in caplog.text
    assert KEY not in repr(vars(refused.value))


def test_without_a_key_none_of_the_environment_is_sent(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    endpoint(server).ask(URL, "Is it?")
    assert KEY not in str(server.headers)


def test_a_key_is_read_from_the_variable_that_is_named(monkeypatch):
    monkeypatch.setenv("MY_KEY", f" {KEY}\n")
    assert read_key("MY_KEY") == KEY
    assert read_key(None) is None
    with pytest.raises(ValueError, match="no key in the environment variable 'NO_KEY_HERE'; set it"):
        read_key("NO_KEY_HERE")


def test_a_reply_that_repeats_the_key_is_not_taken(server):
    server.faults += [as_bytes(reply_with({"content": f"You sent Bearer {KEY}"}))]
    with pytest.raises(RefusedError, match="the reply repeats the API key; it is not kept"):
        endpoint(server, key=KEY).ask(URL, "Is it?")


@pytest.mark.parametrize("key", ["sk-one two", "sk-one\nX-Other: 1", "sk-\u00e9", "\x00"])
def test_what_no_header_can_hold_is_no_key(monkeypatch, key):
    monkeypatch.setattr(os, "environ", {"MY_KEY": key})
    with pytest.raises(ValueError, match="what the environment variable 'MY_KEY' holds is no key") as refused:
        read_key("MY_KEY")
    assert key not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["http://me:s3cret@host/v1", "https://host/v1?api-key=s3cret", "https://host/v1#s3cret"]
)
def test_a_url_with_a_password_is_refused_without_repeating_it(url):
    with pytest.raises(ValueError, match="the URL of the endpoint at host holds a password or parameters") as refused:
        Endpoint(url, "a-model", None, SAMPLING)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000",
        "",
        "ftp://host",
        "http://",
        "http://me:s3cret/v1",
        "http://[s3cret/v1",
        "http://host/v1 s3cret",
    ],
)
def test_what_is_no_url_is_refused_without_repeating_it(url):
    with pytest.raises(
        ValueError, match=r"^an endpoint is the base URL of an API, such as http://localhost:8000/v1\.$"
    ):
        Endpoint(url, "a-model", None, SAMPLING)
