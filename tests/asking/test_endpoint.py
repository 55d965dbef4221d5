"""One question to an endpoint: what is sent, what comes back, what is tried again and what is not."""

import base64
import logging
import time

import pytest

pytest.importorskip("openai", reason="asking an endpoint needs openai")

from maagiqa_pyiqa.asking.endpoint import Endpoint, EndpointError, RefusedError, read_key
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
    for name in ("API_KEY", "ORG_ID", "PROJECT_ID", "BASE_URL"):
        monkeypatch.setenv(f"OPENAI_{name}", "https://of.another.endpoint")
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


@pytest.mark.parametrize("fault", [500, 503, 408, "cut"])
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


@pytest.mark.parametrize("status", [400, 413, 422])
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


@pytest.mark.parametrize("url", ["http://me:s3cret@host/v1", "https://host/v1?api-key=s3cret"])
def test_a_url_with_a_password_is_refused_without_repeating_it(url):
    with pytest.raises(ValueError, match="the URL of the endpoint at host holds a password or parameters") as refused:
        Endpoint(url, "a-model", None, SAMPLING)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("url", ["localhost:8000", "", "ftp://host", "http://"])
def test_what_is_no_url_is_refused(url):
    with pytest.raises(ValueError, match="an endpoint is the base URL of an API, such as http://localhost:8000/v1"):
        Endpoint(url, "a-model", None, SAMPLING)
