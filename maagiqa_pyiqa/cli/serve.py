"""``maagiqa serve``: scores over HTTP."""

from __future__ import annotations

import argparse
import importlib.util
import os

from maagiqa_pyiqa.cli.scoring import add_metrics
from maagiqa_pyiqa.cli.verbs import add_scoring_arguments, add_verb, positive
from maagiqa_pyiqa.serving import wire
from maagiqa_pyiqa.support.errors import InputError

EXAMPLES = """\
  maagiqa serve
  maagiqa serve -m maagiqa-lite -m piqe --port 9000
  maagiqa serve --device cuda:0,cuda:1 --batch-size 32
  MAAGIQA_TOKEN=... maagiqa serve --host 0.0.0.0
"""
PACKAGES = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")


def add_parser(verbs: argparse._SubParsersAction) -> None:
    """Add the verb."""
    parser = add_verb(verbs, "serve", "Score images over HTTP, for whoever trains or filters elsewhere.", EXAMPLES, run)
    add_metrics(parser)
    parser.add_argument("--host", default=wire.HOST, metavar="ADDRESS", help=f"to listen on (default {wire.HOST})")
    parser.add_argument(
        "--port", type=int, default=wire.PORT, metavar="N", help=f"0 takes a free one (default {wire.PORT})"
    )
    parser.add_argument(
        "--without-token",
        action="store_true",
        help=f"answer other machines without one; by default that needs {wire.TOKEN_VARIABLE} in the environment",
    )
    add_scoring_arguments(parser)
    limits = parser.add_argument_group("limits")
    for option, default, meaning in (
        ("queue", 512, "images that may wait; more are refused with 429"),
        ("max-images", wire.MAX_IMAGES, "of a request"),
        ("max-body", wire.MAX_BODY_MIB, "MiB of a request"),
        ("max-megapixels", 17, "of an image"),
        ("memory", 1024, "MiB that requests may hold together"),
        ("body-timeout", 30, "seconds in which a request has to arrive"),
        ("timeout", 120, "seconds after which a request is given up"),
    ):
        limits.add_argument(
            f"--{option}", type=positive, default=default, metavar="N", help=f"{meaning} (default {default})"
        )
    parser.add_argument("--access-log", action="store_true", help="a line for every request")


def run(arguments: argparse.Namespace) -> int:
    """Serve until told to stop."""
    _require_packages()
    from maagiqa_pyiqa.leaderboard.entrants import parse_scorers
    from maagiqa_pyiqa.serving.engine import ProcessEngine
    from maagiqa_pyiqa.serving.rewards import Served
    from maagiqa_pyiqa.serving.run import run as serve
    from maagiqa_pyiqa.serving.settings import ServerSettings
    from maagiqa_pyiqa.serving.worker import Job
    from maagiqa_pyiqa.support.devices import default_device

    settings = ServerSettings(
        host=arguments.host,
        port=arguments.port,
        token=os.environ.get(wire.TOKEN_VARIABLE),
        open_without_token=arguments.without_token,
        batch_size=arguments.batch_size,
        workers=arguments.workers,
        queue=arguments.queue,
        max_images=arguments.max_images,
        max_body_mib=arguments.max_body,
        max_megapixels=arguments.max_megapixels,
        memory_mib=arguments.memory,
        body_seconds=arguments.body_timeout,
        score_seconds=arguments.timeout,
    )
    entrants = parse_scorers(arguments.metric or ["maagiqa-lite"], arguments.semantics)
    words = {name: entrant.spec for name, entrant in entrants.items()}
    devices = (arguments.device or default_device()).split(",")
    engines = [ProcessEngine(Job(tuple(words.values()), arguments.semantics, device)) for device in devices]
    serve(settings, Served(words, arguments.semantics), engines, arguments.access_log)
    return 0


def _require_packages() -> None:
    missing = [name for name in PACKAGES if not importlib.util.find_spec(name)]
    if missing:
        raise InputError(f"serving needs {', '.join(missing)}; install with: pip install 'maagiqa_pyiqa[serve]'")
