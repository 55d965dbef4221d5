"""``maagiqa doctor``: versions, devices, and which metrics can run here."""

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

from maagiqa_pyiqa.cli.outputs import add_outputs, write_outputs
from maagiqa_pyiqa.cli.verbs import add_verb

EXAMPLES = """\
  maagiqa doctor
  maagiqa doctor -m topiq_nr -m nima --json doctor.json
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
    summary = "Show versions, devices, and which metrics can run here or what they lack."
    parser = add_verb(verbs, "doctor", summary, EXAMPLES, run)
    parser.add_argument("-m", "--metric", action="append", metavar="NAME", help="look at this metric; repeatable")
    add_outputs(parser, "the findings", "json")


def run(arguments: argparse.Namespace) -> int:
    """Look at everything and print it; 1 if a metric cannot run here."""
    from maagiqa_pyiqa.metrics.scoring import check_metric_names
    from maagiqa_pyiqa.support import reachability

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
    return 0 if all(finding == "runs" for finding in findings["metrics"].values()) else 1


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

    from maagiqa_pyiqa.metrics.availability import explain
    from maagiqa_pyiqa.support.reachability import no_network

    image = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    with no_network(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            pyiqa.create_metric(name, device="cpu")(image)
            return "runs"
        except (Exception, SystemExit) as error:
            failure = error
    return explain(failure, is_reachable)
