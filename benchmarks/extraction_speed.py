"""Semantic features: images per second of ours against the authors' procedure.

    python -m benchmarks.extraction_speed [--size tiny|mid|full] [--device cuda] [--dtype bf16] [--images 16]
        [--batch-size 4] [--rounds 3] [--quantization none|8bit|4bit] [--model DIR]

Both run the same random weights, dtype, images and machine, in one process, in turns. ``tiny`` takes seconds, ``mid``
(about 300 M parameters) suits a CPU, ``full`` is the published 7B shape and wants a GPU. The baseline is
``reference_pass.py``: the authors' procedure on our layers, so the ratio is that of the procedures alone.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from PIL import Image

from benchmarks.random_mplug_owl2 import SIZES, write_model
from benchmarks.reference_pass import reference_features
from maagiqa_pyiqa.semantics.batched_extractor import choose_dtype
from maagiqa_pyiqa.semantics.mplug_owl2.extractor import MplugOwl2Extractor
from maagiqa_pyiqa.semantics.protocol import TORCH_DTYPES

PEAK_FLOPS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}  # dense half precision, from the vendor's data sheets


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="tiny")
    parser.add_argument("--model", type=Path, help="model directory; made (and kept) if absent")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="auto", choices=("auto", *TORCH_DTYPES))
    parser.add_argument("--quantization", default="none")
    parser.add_argument("--images", type=int, default=8, help="of 512 x 512, in a round")
    parser.add_argument("--reference-images", type=int, help="in a round of the authors' procedure, default the same")
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def main() -> None:
    """Make a model and images, time both, print."""
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.model or Path(scratch) / "model"
        dtype = choose_dtype(arguments.dtype, torch.device(arguments.device), MplugOwl2Extractor.gpu_dtype)
        if not (folder / "config.json").is_file():
            write_model(folder, SIZES[arguments.size], dtype)
        paths = write_images(Path(scratch), arguments.images)
        extractor = load(folder, arguments)
        report(extractor, *time_both(extractor, paths, arguments))


def write_images(folder: Path, number: int) -> list[Path]:
    """JPEG files of random pixels, smooth enough to compress as photographs do."""
    random = np.random.default_rng(0)
    paths = [folder / f"{index}.jpg" for index in range(number)]
    for path in paths:
        coarse = Image.fromarray(random.integers(0, 256, (64, 64, 3), dtype=np.uint8))
        coarse.resize((512, 512), Image.Resampling.BICUBIC).save(path, quality=92)
    return paths


def load(folder: Path, arguments: argparse.Namespace) -> MplugOwl2Extractor:
    """Load the extractor and print what that took."""
    before, start = psutil.Process().memory_info().rss, time.perf_counter()
    extractor = MplugOwl2Extractor(
        folder,
        arguments.device,
        arguments.dtype,
        batch_size=arguments.batch_size,
        quantization=arguments.quantization,
        words=True,
    )
    seconds = time.perf_counter() - start
    size = sum(p.nbytes for p in extractor.lmm.net.parameters())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    count = sum(p.numel() for p in extractor.lmm.net.parameters())
    print(f"{count / 1e6:.0f} M parameters, {size / 2**30:.2f} GiB, loaded in {seconds:.1f} s; ", end="")
    print(f"peak of host memory while loading {peak / 2**30:.2f} GiB = {peak / size:.2f} x the size")
    return extractor


def time_both(
    extractor: MplugOwl2Extractor, paths: list[Path], arguments: argparse.Namespace
) -> tuple[list[float], list[float]]:
    """Images per second of the authors' procedure and of ours, round by round, in turns."""
    few = paths[: arguments.reference_images or len(paths)]
    difference = (reference_features(extractor, few[:2]) - extractor.extract(paths[:2])).norm()
    print(f"largest relative difference of features: {difference / extractor.extract(paths[:2]).norm():.1e}")
    rates: tuple[list[float], list[float]] = [], []
    for _ in range(arguments.rounds):
        rates[0].append(rate(lambda: reference_features(extractor, few), len(few), extractor.device))
        rates[1].append(rate(lambda: extractor.extract(paths), len(paths), extractor.device))
    return rates


def rate(work: Callable[[], Any], images: int, device: torch.device) -> float:
    """Images per second."""
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return images / (time.perf_counter() - start)


def report(extractor: MplugOwl2Extractor, theirs: list[float], ours: list[float]) -> None:
    """Print rates, ratios and memory."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    for name, values in {"authors' procedure, images/s": theirs, "ours, images/s": ours, "ratio": ratios}.items():
        print(f"{name:<29} median {statistics.median(values):8.3f}  min {min(values):8.3f}  max {max(values):8.3f}")
    reference, fast = operations(extractor)
    print(f"{'ratio predicted by arithmetic':<29} {reference / fast:.2f} ({fast / 1e9:.1f} GFLOP an image)")
    print(f"{'peak host memory':<29} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")
    if extractor.device.type == "cuda":
        name = torch.cuda.get_device_name(extractor.device)
        peak = next((flops for card, flops in PEAK_FLOPS.items() if card in name), None)
        share = f", {fast * statistics.median(ours) / peak:.0%} of its half-precision peak" if peak else ""
        print(f"{'device':<29} {name}, {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB used{share}")


def operations(extractor: MplugOwl2Extractor) -> tuple[float, float]:
    """Floating-point operations an image, two to a weight and token, of the authors' procedure and of ours.

    Attention's own products are left out on both sides.
    """
    net, config = extractor.lmm.net, extractor.lmm.net.model.config
    patches = (config.vision.image_size // config.vision.patch_size) ** 2 + 1
    encoder = 2 * patches * sum(p.numel() for p in net.model.vision_model.encoder.parameters())
    abstractor = 2 * (patches + config.image_tokens) * sum(p.numel() for p in net.model.visual_abstractor.parameters())
    width, mlp = config.hidden_size, config.intermediate_size
    token = 2 * config.num_hidden_layers * (4 * width * width + 3 * width * mlp)
    head = 2 * width * config.vocab_size
    theirs, ours = 0.0, float(encoder + abstractor)
    for prompt in extractor.lmm.prompts.values():
        length = len(prompt.prefix) + config.image_tokens + len(prompt.tail)
        theirs += 2 * (encoder + abstractor + length * (token + head))
        ours += (length - len(prompt.prefix)) * token
    return theirs, ours


if __name__ == "__main__":
    main()
