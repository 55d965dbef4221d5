"""``maagiqa doctor``: versions, devices, and which metrics can run here."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import platform
import sys

from maagiqa_pyiqa.cli.verbs import add_verb
from maagiqa_pyiqa.support.files import write_whole

EXAMPLES = """\
  maagiqa doctor
  maagiqa doctor -m topiq_nr -m nima --json doctor.json
"""
PACKAGES = ("maagiqa_pyiqa", "pyiqa", "torch", "torchvision", "timm", "transformers", "numpy", "setuptools")
METRICS = (
    "maagiqa", "maagiqa-lite", "brisque", "niqe", "ilniqe", "piqe", "entropy", "hyperiqa", "maniqa", "dbcnn", "musiq",
    "clipiqa", "clipiqa+", "liqe",
)  # fmt: skip


def add_parser(verbs: argparse._SubParsersAction) -> None:
    """Add the verb."""
    summary = "Show versions, devices, and which metrics can run here or what they lack."
    parser = add_verb(verbs, "doctor", summary, EXAMPLES, run)
    parser.add_argument("-m", "--metric", action="append", metavar="NAME", help="look at this metric; repeatable")
    parser.add_argument("--json", metavar="FILE", help="write the findings as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Look at everything and print it; 1 if a metric cannot run here."""
    from maagiqa_pyiqa.metrics.scoring import check_metric_names

    names = arguments.metric or list(METRICS)
    check_metric_names(names)
    findings = {"versions": _versions(), "devices": _devices(), "hosts": _hosts()}
    for title, values in findings.items():
        print(title)
        for name, value in values.items():
            print(f"  {name:<28} {value}")
    print("metrics")
    findings["metrics"] = {}
    for name in names:
        finding = _try_metric(name, any(value == "reachable" for value in findings["hosts"].values()))
        findings["metrics"][name] = finding
        print(f"  {name:<28} {finding}", flush=True)
    if arguments.json:
        write_whole(arguments.json, json.dumps(findings, indent=1) + "\n")
    return 0 if all(finding == "runs" for finding in findings["metrics"].values()) else 1


def _versions() -> dict[str, str]:
    from maagiqa_pyiqa.support.environment import find_version

    found = {"python": platform.python_version()}
    found |= {name: find_version(name) or "not installed" for name in PACKAGES}
    hook = "on" if "_maagiqa_pyiqa_startup" in sys.modules else "off"
    return found | {"start-up hook": hook}


def _devices() -> dict[str, str]:
    import torch

    found = {"cpu": f"{os.cpu_count()} cores, {torch.get_num_threads()} threads"}
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        found[f"cuda:{index}"] = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
    if torch.backends.mps.is_available():
        found["mps"] = "available"
    return found


def _hosts() -> dict[str, str]:
    from maagiqa_pyiqa.support.reachability import WEIGHT_HOSTS, find_unreachable

    unreachable = find_unreachable(WEIGHT_HOSTS)
    return {host: "out of reach" if host in unreachable else "reachable" for host in WEIGHT_HOSTS}


def _try_metric(name: str, online: bool) -> str:
    """Create a metric and score a small image without any network; say what it lacks."""
    import torch

    from maagiqa_pyiqa.metrics.scoring import create_metrics, short_reason
    from maagiqa_pyiqa.support.reachability import no_network

    with no_network(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        metrics, failures = create_metrics([name], "cpu")
        if not failures:
            try:
                metrics[name](torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0)))
                return "runs"
            except Exception as error:
                failures[name] = short_reason(error)
            except SystemExit:
                failures[name] = "it ended the program"
    return _explain(failures[name], online)


def _explain(reason: str, online: bool) -> str:
    """Why a metric cannot run, and what to do."""
    from maagiqa_pyiqa.archs.checkpoint import weights_folder

    if "No module named" in reason:
        return f"lacks a package: {reason}; pip install it"
    network_words = (
        "network is switched off",
        "offline",
        "reach",
        "resolve",
        "connect",
        "download",
        "urlopen",
        "cached",
    )
    if not any(word in reason.lower() for word in network_words):
        return f"fails: {reason}"
    if online:
        return "its weights are not here yet; they are fetched at first use"
    return f"its weights are not here and no host answers; put them into {weights_folder()}, or connect and use it once"
