"""How soon a gallery of many images can be used in a headless Chromium, on a desk and on a phone.

    python -m benchmarks.gallery_speed --images 1000

makes a page of small pictures with maps of 15 x 15 regions each, as large pictures have them, opens it, types a name
into its search field, and measures the time until that image alone is shown. Needs playwright and Chromium.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from playwright.sync_api import sync_playwright

from maagiqa_pyiqa.archs.region_map import RegionMap
from maagiqa_pyiqa.gallery.gallery import Gallery
from maagiqa_pyiqa.metrics.scoring import ImageScores
from maagiqa_pyiqa.support.environment import describe_environment

WIDTHS = (1280, 390)
SIDE = 64
RUNS = 5


def make_page(folder: Path, count: int) -> Path:
    """A page of so many pictures of noise."""
    random = np.random.default_rng(0)
    images = []
    for index in range(count):
        path = folder / f"{index:06d}.png"
        Image.fromarray(random.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)).save(path)
        images.append(ImageScores(path, scores={"lite": float(random.random())}))
    regions = RegionMap(torch.rand(15, 15), 0.5, (0.125, 0.125))
    page = folder / "out.html"
    page.write_text(Gallery(page, images, {"lite": False}, {}, regions=lambda path: regions).make_page())
    return page


def seconds_until_usable(browser: Any, file: Path, width: int, name: str) -> float:
    """From the opening of a page until a search shows its result."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    start = time.perf_counter()
    page.goto(file.as_uri())
    page.get_by_label("Find", exact=True).fill(name)
    page.wait_for_function("document.querySelectorAll('.card').length === 1")
    seconds = time.perf_counter() - start
    page.close()
    return seconds


def main() -> None:
    """Measure, and print figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    options = parser.parse_args()
    figures: dict[str, object] = {"machine": describe_environment().machine, "images": options.images}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as running:
        file = make_page(Path(folder), options.images)
        figures["page, KB"] = file.stat().st_size // 1000
        browser = running.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for width in WIDTHS:
            name = f"{options.images - 1:06d}"
            runs = [seconds_until_usable(browser, file, width, name) for _ in range(RUNS)]
            figures[f"seconds at {width} px, each of {RUNS}"] = [round(run, 2) for run in runs]
        browser.close()
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
