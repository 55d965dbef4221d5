"""Connections that fail at once instead of after minutes."""

import socket
import time
import urllib.request

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from maagiqa_pyiqa.support import reachability
from maagiqa_pyiqa.support.reachability import find_unreachable, no_network


def test_connections_fail_at_once_and_only_within():
    originals = socket.socket.connect, socket.getaddrinfo
    with no_network():
        with pytest.raises(OSError, match="network is switched off"):
            urllib.request.urlopen("https://example.com")
        with socket.socket() as unconnected, pytest.raises(ConnectionError):
            unconnected.connect(("192.0.2.1", 80))
    assert (socket.socket.connect, socket.getaddrinfo) == originals


def test_only_named_hosts_are_refused():
    with no_network(["example.com"]):
        assert socket.getaddrinfo("127.0.0.1", 80)
        with pytest.raises(ConnectionError, match=r"example\.com is out of reach"):
            socket.getaddrinfo("example.com", 80)


def test_this_machine_can_be_talked_to():
    with socket.create_server(("127.0.0.1", 0)) as server, no_network():
        socket.create_connection(server.getsockname()).close()
        left, right = socket.socketpair()
        left.close()
        right.close()


def test_the_hubs_client_does_not_retry(tmp_path):
    start = time.monotonic()
    before = huggingface_hub.constants.HF_HUB_OFFLINE
    with no_network(["huggingface.co"]), pytest.raises(LocalEntryNotFoundError):
        huggingface_hub.hf_hub_download("timm/none", "none", cache_dir=tmp_path, endpoint="https://huggingface.co")
    assert time.monotonic() - start < 5
    assert before == huggingface_hub.constants.HF_HUB_OFFLINE


def test_hosts_are_looked_at_together(monkeypatch):
    monkeypatch.setattr(reachability, "is_reachable", lambda host: time.sleep(0.2) or host == "b")
    start = time.monotonic()
    assert find_unreachable(["a", "b", "c"]) == ["a", "c"]
    assert time.monotonic() - start < 0.55
