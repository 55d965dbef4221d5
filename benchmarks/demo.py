"""Score pictures beside damaged and nonsense versions of them, and show whether the metric notices.

    python -m benchmarks.demo [--out demo] [-m maagiqa-lite]
    python -m benchmarks.demo --pictures Face Buck Ogres --sheet docs/contact_sheet.jpg   # the README's picture

Photographs that ship with scikit-image and pictures of generators, from AGIQA-3k, that ship with the tests. Each is
blurred, compressed to JPEG quality 5, cut into patches that are shuffled, melted, and replaced by a pattern of noise.
Writes images, scores.csv and contact_sheet.png.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import skimage
from PIL import Image

from benchmarks.contact_sheet import Cell, Row, Texts, draw_contact_sheet
from maagiqa_pyiqa.images.damage.table import DAMAGES
from maagiqa_pyiqa.images.decoding import decode
from maagiqa_pyiqa.metrics.ranking import sort_best_first
from maagiqa_pyiqa.metrics.score_tables import ScoreTable
from maagiqa_pyiqa.metrics.scoring import create_metrics, is_lower_better, makers_of, score_images
from maagiqa_pyiqa.support.files import write_whole

PHOTOGRAPHS = Path(skimage.__file__).parent / "data"
GENERATED = Path(__file__).parents[1] / "tests" / "data" / "agiqa_3k" / "images"


class Picture(NamedTuple):
    """A picture that is damaged: its name, where it is from, its file."""

    name: str
    origin: str
    path: Path


PICTURES = (
    Picture("Astronaut", "photograph", PHOTOGRAPHS / "astronaut.png"),
    Picture("Cat", "photograph", PHOTOGRAPHS / "chelsea.png"),
    Picture("Coffee", "photograph", PHOTOGRAPHS / "coffee.png"),
    Picture("Rocket", "photograph", PHOTOGRAPHS / "rocket.jpg"),
    Picture("Motorcycle", "photograph", PHOTOGRAPHS / "motorcycle_left.png"),
    Picture("Karaoke", "Midjourney", GENERATED / "midjourney_normal_007.jpg"),
    Picture("Face", "Midjourney", GENERATED / "midjourney_normal_010.jpg"),
    Picture("Buck", "DALL-E 2", GENERATED / "DALLE2_normal_148.jpg"),
    Picture("Riverside", "SDXL 2.2", GENERATED / "xl2.2_normal_065.jpg"),
    Picture("Ogres", "SD 1.5", GENERATED / "sd1.5_highcorr_052.jpg"),
)
VERSIONS = {
    "blurred": ("blur", 5.0),
    "compressed": ("jpeg", 95.0),
    "shuffled": ("shuffled", 8.0),
    "melted": ("melted", 0.05),
    "noise": ("coloured noise", 1 / 32),
}  # name of each version, the damage and its strength
ORIGINAL = "original"
COLUMNS = (ORIGINAL, *VERSIONS)


def present_pictures() -> list[Picture]:
    """Those that are here: the photographs, and generators' pictures in a checkout."""
    return [picture for picture in PICTURES if picture.path.is_file()]


def make_images(pictures: Sequence[Picture], folder: Path) -> list[list[Path]]:
    """Write every picture and its damaged versions as PNG; return their paths, a row a picture."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for seed, picture in enumerate(pictures):
        image = np.asarray(decode(picture.path))
        worse = [DAMAGES[damage](image, strength, seed) for damage, strength in VERSIONS.values()]
        paths = [folder / f"{picture.path.stem}_{version}.png" for version in COLUMNS]
        for path, pixels in zip(paths, (image, *worse), strict=True):
            Image.fromarray(pixels).save(path)
        rows.append(paths)
    return rows


def find_noticed(scores: np.ndarray, lower_better: bool) -> np.ndarray:
    """Which versions score worse than their original.

    Args:
        scores: (pictures, columns), the original in the first.
        lower_better: whether low scores are good.

    Returns:
        (pictures, columns - 1), bool.
    """
    return scores[:, 1:] > scores[:, :1] if lower_better else scores[:, 1:] < scores[:, :1]


def contact_sheet(
    pictures: Sequence[Picture], paths: Sequence[Sequence[Path]], scores: np.ndarray, metric: str
) -> Image.Image:
    """One row a picture, the best at the top."""
    lower_better = is_lower_better(metric)
    noticed = find_noticed(scores, lower_better)
    ranked = np.argsort(scores[:, 0] if lower_better else -scores[:, 0], kind="stable")
    wrong = np.pad(~noticed, ((0, 0), (1, 0)))  # an original is in order
    rows = [
        Row(
            pictures[i].name,
            pictures[i].origin,
            [Cell(*cell) for cell in zip(paths[i], scores[i].tolist(), wrong[i].tolist(), strict=True)],
        )
        for i in ranked
    ]
    explanation = (
        f"{noticed.sum()} of {noticed.size} damaged or nonsense versions score worse than their original"
        f"{'.' if noticed.all() else '; a red frame is around the others.'}\n"
        "Best originals at the top; under each image its score, in the colour of its quality."
    )
    return draw_contact_sheet(rows, Texts(f"What {metric} makes of damage", explanation, COLUMNS), lower_better)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; 1 if the metric cannot be made here."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("demo"))
    parser.add_argument("-m", "--metric", default="maagiqa-lite")
    parser.add_argument("--pictures", nargs="+", metavar="NAME", help="only these (default: all that are here)")
    parser.add_argument("--sheet", type=Path, help="where the contact sheet goes (default: contact_sheet.png in --out)")
    parsed = parser.parse_args(arguments)
    metrics, failures = create_metrics(makers_of([parsed.metric]))
    if failures:
        print(f"metric {parsed.metric} cannot run here: {failures[parsed.metric]}")
        return 1
    pictures = [one for one in present_pictures() if parsed.pictures is None or one.name in parsed.pictures]
    paths = make_images(pictures, parsed.out / "images")
    results = list(score_images([path for row in paths for path in row], metrics, workers=0))
    ranked = sort_best_first(results, parsed.metric, is_lower_better(parsed.metric))
    table = ScoreTable(ranked, [parsed.metric])
    print(table.as_text())
    write_whole(parsed.out / "scores.csv", table.as_csv())
    by_path = {result.path: result.scores[parsed.metric] for result in results}
    scores = np.array([[by_path[path] for path in row] for row in paths])
    sheet = parsed.sheet or parsed.out / "contact_sheet.png"
    contact_sheet(pictures, paths, scores, parsed.metric).save(sheet, optimize=True)
    noticed = find_noticed(scores, is_lower_better(parsed.metric))
    print(f"\n{noticed.sum()} of {noticed.size} damaged or nonsense versions score worse than their original.")
    print(f"Written: {parsed.out / 'scores.csv'}, {sheet}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
