"""An OpenAI-compatible chat endpoint on this machine that answers by content, counts, and fails on demand."""

import base64
import collections
import hashlib
import json
import math
import os
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WORDS = ("No", "Yes", "blurred", "melted", "sharp", "sky", "hand", "text")


def answer_to(image, question):
    """Words that depend on the bytes of the image and on the question."""
    digest = hashlib.sha256(image + question.encode()).digest()
    return " ".join([WORDS[digest[0] % 2] + ",", *(WORDS[2 + byte % 6] for byte in digest[1:6])])


class ChatServer(ThreadingHTTPServer):
    """Counts requests and answers by (SHA-256 of the image, question).

    Attributes:
        faults: what becomes of the next requests, the first first: a status, ``cut`` (the connection), ``cut in the
            answer``, a body as JSON or words, or bytes that are said to be JSON.
        seconds: that an answer takes.
        key: that is asked for; None where none is.
        logprobs: whether it gives them; else it refuses to be asked.
        thinks: whether its model thinks first: OpenAI's take no temperature, and a limit of tokens by another name.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port=0, seconds=0.0, key=None, logprobs=True, thinks=False):
        super().__init__(("127.0.0.1", port), Handler)
        self.seconds, self.key, self.logprobs, self.thinks = seconds, key, logprobs, thinks
        self.lock = threading.Lock()
        self.faults = collections.deque()
        self.asked, self.answered = collections.Counter(), collections.Counter()
        self.headers, self.bodies, self.statuses = [], [], collections.Counter()
        self.under_way = self.most_at_once = 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request, client_address):
        """A client that was killed is no error."""


class Handler(BaseHTTPRequestHandler):
    """POST /v1/chat/completions."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
            self.server.bodies.append(body)
            self.server.under_way += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.under_way)
            fault = self.server.faults.popleft() if self.server.faults else None
        try:
            time.sleep(self.server.seconds)
            self._reply(body, fault)
        finally:
            with self.server.lock:
                self.server.under_way -= 1

    def _reply(self, body, fault):
        server = self.server
        if fault == "cut":
            self.close_connection = True
            self.connection.close()
            return None
        if fault == "cut in the answer":
            return self._send_half(body)
        if isinstance(fault, int):
            extra = {"Retry-After": "1"} if fault == 429 else {}
            return self._send(fault, {"error": {"message": f"fault {fault}"}}, extra)
        if fault is not None:
            return self._send(200, fault)
        if server.key and self.headers["Authorization"] != f"Bearer {server.key}":
            given = self.headers["Authorization"].removeprefix("Bearer ")
            return self._send(401, {"error": {"message": f"Incorrect API key provided: {given}"}})
        if body["model"] == "absent":
            return self._send(404, {"error": {"message": "The model 'absent' does not exist"}})
        if "logprobs" in body and not server.logprobs:
            return self._send(422, {"error": {"message": "Unsupported fields: {'logprobs', 'top_logprobs'}"}})
        if server.thinks and "max_tokens" in body:
            words = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
            return self._send(400, {"error": {"message": words}})
        if server.thinks and body.get("temperature", 1) != 1:
            words = "Unsupported value: 'temperature' does not support 0. Only the default (1) is supported."
            return self._send(400, {"error": {"message": words}})
        return self._send(200, self._answer(body))

    def _send_half(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "400")
        self.end_headers()
        self.wfile.write(json.dumps({"model": body["model"], "choices": []}).encode())
        self.close_connection = True
        self.connection.close()

    def _answer(self, body):
        image_part, text_part = body["messages"][0]["content"]
        image = base64.b64decode(image_part["image_url"]["url"].partition(",")[2])
        question = text_part["text"]
        key = (hashlib.sha256(image).hexdigest(), question)
        text = answer_to(image, question)
        with self.server.lock:
            self.server.answered[key] += 1
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "finish_reason": "stop", "message": message, "logprobs": None}
        if body.get("logprobs"):
            likely, other = ("Yes", "\u0120no") if text.startswith("Yes") else ("No", " yes")
            tops = [(likely, 0.5), (other, 0.25), (f" {likely.upper()}", 0.125), ("Maybe", 0.0625)]
            tokens = [{"token": token, "logprob": math.log(p), "bytes": None} for token, p in tops]
            choice["logprobs"] = {"content": [{**tokens[0], "top_logprobs": tokens}], "refusal": None}
        usage = {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107}
        kind = {"id": "1", "object": "chat.completion", "created": 0, "model": body["model"]}
        return {**kind, "choices": [choice], "usage": usage}

    def _send(self, status, content, extra=None):
        with self.server.lock:
            self.server.statuses[status] += 1
        data = content if isinstance(content, bytes) else content.encode() if isinstance(content, str) else None
        data = json.dumps(content).encode() if data is None else data
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if isinstance(content, str) else "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in (extra or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def serving(**options):
    """A server in a thread of this process."""
    server = ChatServer(**options)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def set_variables(**variables):
    """Of the environment of another process."""
    os.environ.update(variables)
