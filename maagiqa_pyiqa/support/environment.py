"""What figures were made with: versions, commit, machine."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import torch

PACKAGES = (
    "maagiqa_pyiqa", "pyiqa", "torch", "torchvision", "timm", "transformers", "onnxruntime", "numpy", "scipy",
    "pandas", "pillow",
)  # fmt: skip
SECONDS_FOR_GIT = 10


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Versions by package, git commit (None outside a checkout), Python, machine with its CUDA devices, threads."""

    packages: Mapping[str, str]
    git_commit: str | None
    python: str
    machine: str
    threads: int


def describe_environment() -> Environment:
    """Look at this process and machine."""
    devices = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return Environment(
        packages={name: version for name in PACKAGES if (version := find_version(name))},
        git_commit=find_commit(),
        python=platform.python_version(),
        machine=", ".join([platform.machine(), f"{os.cpu_count()} cores", _cpu_model(), *devices]),
        threads=torch.get_num_threads(),
    )


def find_version(package: str) -> str | None:
    """Version of an installed package, None where it is not."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def find_commit() -> str | None:
    """Commit of the checkout this package is run from, with ``-dirty`` where files differ from it."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_FOR_GIT, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown CPU"
