"""``maagiqa ask`` under load, killed and resumed, with faults, against a server that counts; and where the key goes.

    python -m benchmarks.asking_load IMAGES --out FOLDER

The server speaks HTTP on this machine and takes a while for each answer, which depends on the image's bytes and the
question. ``maagiqa ask`` is a process of its own: first one question at a time; then many at once, with faults of every
kind on the way, ended by SIGKILL in the middle and started again; then with a wrong key, and with a key in the URL.
In the end every byte of the folder and of what was printed is searched for the key.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from maagiqa_pyiqa.semantics.answers.store import Answers
from maagiqa_pyiqa.semantics.prompts import QUESTIONS
from tests.helpers.chat_server import ChatServer, serving

KEY = "sk-benchmark-0123456789abcdef"
FAULTS = (500, 429, "cut", "cut in the answer", 503, "<html>busy</html>")  # the last is no answer, and not tried again
Asked = tuple[str, str]  # SHA-256 of a file, and a question


class Run:
    """``maagiqa ask`` as a process, with what it prints in a file."""

    def __init__(self, server: ChatServer, images: Sequence[Path], out: Path, name: str) -> None:
        self.server, self.images, self.out, self.name = server, images, out, name
        self.log = out / f"{name}.log"

    def start(self, at_once: int, url: str | None = None) -> subprocess.Popen[bytes]:
        """Start it; the key is in its environment."""
        where = ["--endpoint", url or self.server.url, "--model", "a-model", "--answers", str(self.out / self.name)]
        options = ["--at-once", str(at_once), "--key-variable", "BENCHMARK_KEY", "--json", f"{self.log}.json"]
        command = [sys.executable, "-m", "maagiqa_pyiqa.cli.main", "ask", *map(str, self.images), *where, *options]
        with open(self.log, "ab") as log:
            environment = {**os.environ, "BENCHMARK_KEY": KEY, "OPENAI_LOG": "debug"}
            return subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def kept(self) -> dict[Asked, str]:
        """Answers on the disk."""
        given = [answer for of_image in Answers(self.out / self.name) for answer in of_image.values()]
        return {(answer.file_key, QUESTIONS[answer.question]): answer.text for answer in given}

    def lines(self) -> int:
        """Of the file of answers, which holds one for each."""
        path = self.out / self.name / "answers.jsonl"
        return path.read_bytes().count(b"\n") if path.is_file() else 0


def one_by_one(run: Run) -> dict[str, object]:
    """All questions, one at a time."""
    start = time.monotonic()
    code = run.start(1).wait()
    return {"seconds": time.monotonic() - start, "exit_code": code, "answers": len(run.kept()), "lines": run.lines()}


def killed_and_resumed(run: Run, at_once: int, kill_at: int) -> dict[str, object]:
    """Many at once, SIGKILL when so many answers are on the disk, then to the end; faults before and after."""
    server = run.server
    server.answered.clear()
    server.statuses.clear()
    server.faults += FAULTS
    process = run.start(at_once)
    while run.lines() < kill_at:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    while server.under_way:
        time.sleep(0.05)
    kept, before = run.kept(), collections.Counter(server.answered)
    server.faults += FAULTS
    start = time.monotonic()
    codes = [run.start(at_once).wait(), run.start(at_once).wait()]  # the second asks what was refused
    asked_now = server.answered - before
    return {
        "at_kill": {"on_the_disk": len(kept), "answered": sum(before.values()), "most_at_once": server.most_at_once},
        "asked_again_though_on_the_disk": len(asked_now.keys() & kept.keys()),
        "asked_again_in_flight_at_the_kill": len(asked_now.keys() & before.keys()),
        "answered_more_than_twice": sum(times > 2 for times in server.answered.values()),
        "exit_codes": codes,
        "seconds_resumed": time.monotonic() - start,
        "statuses": dict(server.statuses),
        "answers": len(run.kept()),
        "lines": run.lines(),
    }


def refused(run: Run) -> dict[str, object]:
    """A wrong key, which the server repeats; and URLs that hold a key."""
    host = run.server.url.removeprefix("http://")
    codes = {"in the URL": [run.start(1, url).wait() for url in (f"http://{KEY}@{host}", f"http://{host}?key={KEY}")]}
    run.server.key = "another"
    codes["wrong"] = [run.start(16).wait()]
    return {"exit_codes": codes, "answers": run.lines()}


def places_of_the_key(out: Path) -> list[str]:
    """Files in which it stands."""
    return [str(path) for path in sorted(out.rglob("*")) if path.is_file() and KEY.encode() in path.read_bytes()]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run everything, print the figures and write them to ``figures.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, help="folder of images")
    parser.add_argument("--out", type=Path, required=True, help="new folder for answers and logs")
    parser.add_argument("--count", type=int, default=200, help="images, evenly from the folder")
    parser.add_argument("--at-once", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=0.2, help="that an answer takes")
    parsed = parser.parse_args(arguments)
    parsed.out.mkdir(parents=True)
    found = sorted(path for path in parsed.images.iterdir() if path.suffix in (".jpg", ".png"))
    images = [found[place * len(found) // parsed.count] for place in range(parsed.count)]
    with serving(seconds=parsed.seconds, key=KEY) as server:
        alone, together = (Run(server, images, parsed.out, name) for name in ("one", "many"))
        figures = {"one_by_one": one_by_one(alone)}
        figures["killed_and_resumed"] = killed_and_resumed(together, parsed.at_once, parsed.count)
        figures["equal_to_one_by_one"] = {"answers": alone.kept() == together.kept()}
        figures["refused"] = refused(Run(server, images, parsed.out, "refused"))
    figures["key"] = {"files_searched": sum(map(Path.is_file, parsed.out.rglob("*")))}
    figures["key"]["found_in"] = places_of_the_key(parsed.out)
    text = json.dumps(figures, indent=1)
    (parsed.out / "figures.json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
