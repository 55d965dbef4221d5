"""``maagiqa doctor``: versions, devices, which metrics can run here, and the cards of those that are named."""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import json
import os
import platform
import sys
from collections.abc import Callable
from typing import TypeVar

from maagiqa_pyiqa.cli.outputs import write_outputs
from maagiqa_pyiqa.cli.verbs import add_verb
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.files import STANDARD_OUTPUT

RUNS = "runs"
Result = TypeVar("Result")

EXAMPLES = """\
  maagiqa doctor
  maagiqa doctor -m topiq_nr -m nima --json doctor.json
  maagiqa doctor maagiqa-lite --json   # its card, with what it takes on this machine
"""
PACKAGES = (
    "maagiqa_pyiqa",
    "pyiqa",
    "torch",
    "torchvision",
    "timm",
    "transformers",
    "onnxruntime",
    "numpy",
    "setuptools",
)
METRICS = (
    "maagiqa", "maagiqa-lite", "brisque", "niqe", "ilniqe", "piqe", "entropy", "hyperiqa", "maniqa", "dbcnn", "musiq",
    "clipiqa", "clipiqa+", "liqe", "one-align",
)  # fmt: skip


def add_parser(verbs: argparse._SubParsersAction) -> None:
    """Add the verb."""
    summary = "Show versions, devices, which metrics can run here or what they lack, and the cards of metrics."
    parser = add_verb(verbs, "doctor", summary, EXAMPLES, run)
    parser.add_argument("names", nargs="*", metavar="NAME", help="show the card of this metric, and measure it")
    parser.add_argument("-m", "--metric", action="append", metavar="NAME", help="look at this metric; repeatable")
    parser.add_argument(
        "--json",
        nargs="?",
        const=STANDARD_OUTPUT,
        metavar="FILE",
        help="write the findings, or the cards of the metrics named, as JSON to a file, a URL or - (standard output)",
    )
    parser.set_defaults(outputs=("json",))


def run(arguments: argparse.Namespace) -> int:
    """Look at everything and print it; 1 if a metric cannot run here."""
    from maagiqa_pyiqa.metrics.scoring import check_metric_names
    from maagiqa_pyiqa.support import reachability

    if arguments.names:
        return _show_cards(arguments)
    names = arguments.metric or list(METRICS)
    check_metric_names(names)
    findings = {"versions": _versions(), "devices": _devices(), "hosts": _hosts()}
    for title, values in findings.items():
        print(title)
        for name, value in values.items():
            _print(name, value)
    print("metrics")
    findings["metrics"] = {}
    is_reachable = functools.cache(reachability.is_reachable)
    for name in names:
        findings["metrics"][name] = _try_metric(name, is_reachable)
        _print(name, findings["metrics"][name])
    write_outputs(arguments, json=lambda: json.dumps(findings, indent=1) + "\n")
    return 0 if all(finding == RUNS for finding in findings["metrics"].values()) else 1


def _show_cards(arguments: argparse.Namespace) -> int:
    """Print the cards of the metrics named, measured where they can run; 1 if one cannot."""
    from maagiqa_pyiqa.leaderboard.card import card
    from maagiqa_pyiqa.support import reachability

    if arguments.metric:
        raise InputError("name metrics either for their cards, or after -m for whether they run.")
    known = [card(name) for name in dict.fromkeys(arguments.names)]
    is_reachable = functools.cache(reachability.is_reachable)
    records = []
    for one in known:
        measured, status = _without_network(functools.partial(card, one.name, measure_it=True), is_reachable)
        records.append({**(measured or one).as_record(), "status": status})
        print(one.name)
        for title, value in records[-1].items():
            _print(title, json.dumps(value))
    write_outputs(arguments, json=lambda: json.dumps(records, indent=1) + "\n")
    return 0 if all(record["status"] == RUNS for record in records) else 1


def _print(name: str, finding: str) -> None:
    print(f"  {name:<28} {finding}", flush=True)


def _versions() -> dict[str, str]:
    from maagiqa_pyiqa.support.environment import find_version

    versions = {name: find_version(name) or "not installed" for name in PACKAGES}
    hook = "on" if "_maagiqa_pyiqa_startup" in sys.modules else "off"
    return {"python": platform.python_version(), **versions, "start-up hook": hook}


def _devices() -> dict[str, str]:
    import torch

    devices = {"cpu": f"{os.cpu_count()} cores, {torch.get_num_threads()} threads"}
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        devices[f"cuda:{index}"] = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
    if torch.backends.mps.is_available():
        devices["mps"] = "available"
    return devices


def _hosts() -> dict[str, str]:
    from maagiqa_pyiqa.support.reachability import WEIGHT_HOSTS, find_unreachable, hub_host

    hosts = list(dict.fromkeys([*WEIGHT_HOSTS, hub_host()]))
    unreachable = find_unreachable(hosts)
    return {host: "out of reach" if host in unreachable else "reachable" for host in hosts}


def _try_metric(name: str, is_reachable: Callable[[str, int], bool]) -> str:
    """Create a metric and score a small image without any network; say what it lacks."""
    import pyiqa
    import torch

    image = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    return _without_network(lambda: pyiqa.create_metric(name, device="cpu")(image), is_reachable)[1]


def _without_network(work: Callable[[], Result], is_reachable: Callable[[str, int], bool]) -> tuple[Result | None, str]:
    """What work gives, and RUNS or what it lacks."""
    from maagiqa_pyiqa.metrics.availability import explain
    from maagiqa_pyiqa.support.reachability import no_network

    with no_network(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            return work(), RUNS
        except (Exception, SystemExit) as error:
            failure = error
    return None, explain(failure, is_reachable)
