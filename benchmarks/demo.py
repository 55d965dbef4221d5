"""Score photographs beside damaged and nonsense versions of them, and show whether the metric notices.

    python benchmarks/demo.py [--out demo] [-m maagiqa-lite]

The photographs ship with scikit-image; the damage is done here: blur, JPEG quality 5, shuffled patches, and a noise
pattern in the photograph's place. Writes images, scores.csv and contact_sheet.png.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import skimage
from PIL import Image, ImageDraw, ImageFilter

from maagiqa_pyiqa.metrics.ranking import sort_best_first
from maagiqa_pyiqa.metrics.score_tables import ScoreTable
from maagiqa_pyiqa.metrics.scoring import ImageScores, create_metrics, is_lower_better, makers_of, score_images
from maagiqa_pyiqa.support.files import write_whole

PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png")
PATCHES = 8  # a side, for the shuffle
THUMBNAIL = 190
CAPTION = 30


def blur(photograph: Image.Image) -> Image.Image:
    """Out of focus."""
    return photograph.filter(ImageFilter.GaussianBlur(max(photograph.size) / 100))


def jpeg5(photograph: Image.Image) -> Image.Image:
    """Compressed to JPEG quality 5."""
    file = io.BytesIO()
    photograph.save(file, "JPEG", quality=5)
    return Image.open(file).convert("RGB")


def shuffle(photograph: Image.Image) -> Image.Image:
    """Cut into 8 x 8 patches and put together in another order."""
    pixels = np.asarray(photograph)
    height, width = (side // PATCHES for side in pixels.shape[:2])
    pixels = pixels[: height * PATCHES, : width * PATCHES]
    patches = pixels.reshape(PATCHES, height, PATCHES, width, 3).swapaxes(1, 2).reshape(-1, height, width, 3)
    patches = np.random.default_rng(0).permutation(patches).reshape(PATCHES, PATCHES, height, width, 3)
    return Image.fromarray(patches.swapaxes(1, 2).reshape(pixels.shape))


def noise(photograph: Image.Image) -> Image.Image:
    """A pattern of coloured noise of the same size, with nothing in it."""
    small = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(photograph.size, Image.Resampling.NEAREST)


DAMAGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "blur": blur,
    "jpeg5": jpeg5,
    "shuffle": shuffle,
    "noise": noise,
}


def make_images(folder: Path) -> list[Path]:
    """Write every photograph and its damaged versions as PNG; return their paths, row by row of the contact sheet."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in PHOTOGRAPHS:
        photograph = Image.open(Path(skimage.__file__).parent / "data" / name).convert("RGB")
        versions = {"original": photograph, **{damage: make(photograph) for damage, make in DAMAGES.items()}}
        for version, image in versions.items():
            paths.append(folder / f"{Path(name).stem}_{version}.png")
            image.save(paths[-1])
    return paths


def count_noticed(scores: Sequence[float]) -> tuple[int, int]:
    """How many damaged versions score below their original, and of how many; scores in the order of make_images."""
    rows = np.reshape(scores, (len(PHOTOGRAPHS), 1 + len(DAMAGES)))
    return int((rows[:, 1:] < rows[:, :1]).sum()), rows[:, 1:].size


def contact_sheet(results: Sequence[ImageScores], metric: str) -> Image.Image:
    """One row a photograph, score and version under each picture."""
    columns = 1 + len(DAMAGES)
    cell = THUMBNAIL + 10, THUMBNAIL + CAPTION
    sheet = Image.new("RGB", (columns * cell[0] + 10, len(PHOTOGRAPHS) * cell[1] + 10), "white")
    draw = ImageDraw.Draw(sheet)
    for index, result in enumerate(results):
        x, y = 10 + index % columns * cell[0], 10 + index // columns * cell[1]
        thumbnail = Image.open(str(result.path))
        thumbnail.thumbnail((THUMBNAIL, THUMBNAIL))
        sheet.paste(thumbnail, (x, y + THUMBNAIL - thumbnail.height))
        version = Path(str(result.path)).stem.rsplit("_", 1)[1]
        draw.text((x, y + THUMBNAIL + 3), f"{result.scores[metric]:.2f}  {version}", fill="black", font_size=16)
    return sheet


def main() -> int:
    """Run the demo; 1 if the metric cannot be made here."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("demo"))
    parser.add_argument("-m", "--metric", default="maagiqa-lite")
    arguments = parser.parse_args()
    metrics, failures = create_metrics(makers_of([arguments.metric]))
    if failures:
        print(f"metric {arguments.metric} cannot run here: {failures[arguments.metric]}")
        return 1
    paths = make_images(arguments.out / "images")
    by_path = {result.path: result for result in score_images(paths, metrics, workers=0)}
    results = [by_path[path] for path in paths]
    table = ScoreTable(
        sort_best_first(results, arguments.metric, is_lower_better(arguments.metric)), [arguments.metric]
    )
    print(table.as_text())
    write_whole(arguments.out / "scores.csv", table.as_csv())
    contact_sheet(results, arguments.metric).save(arguments.out / "contact_sheet.png")
    noticed, pairs = count_noticed([result.scores[arguments.metric] for result in results])
    print(f"\n{noticed} of {pairs} damaged or nonsense versions score below their original.")
    print(f"Written: {arguments.out / 'scores.csv'}, {arguments.out / 'contact_sheet.png'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
