r"""Distribution of maagiqa-lite's scores on AGIQA-3k, which belongs to its weights: run it after every change of them.

    python -m benchmarks.lite.distribution --data AGIQA-3K

scores the test images of the official split, on which no weight was trained, and writes their quantiles by generator to
the file beside the weights.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

import maagiqa_pyiqa
from benchmarks.official_parts import SPLIT, read_parts
from maagiqa_pyiqa.metrics.explanation import WEIGHTS_OF, weights_fingerprint
from maagiqa_pyiqa.support.files import write_whole
from maagiqa_pyiqa.weights import packaged_scores

METRIC = "maagiqa-lite"
PART = "test"
PERCENTS = np.linspace(0, 100, 101)
GENERATORS = {  # as file names begin: name and year of the model
    "AttnGAN": "AttnGAN (2017)",
    "glide": "GLIDE (2021)",
    "DALLE2": "DALL-E 2 (2022)",
    "sd1.5": "Stable Diffusion 1.5 (2022)",
    "midjourney": "Midjourney (2023)",
    "xl2.2": "Stable Diffusion XL 2.2 (2023)",
}


def quantiles(names: list[str], scores: np.ndarray) -> dict[str, object]:
    """Quantiles of the scores of all images and of each generator's, and how many those are."""
    titles = np.array([GENERATORS[name.split("_")[0]] for name in names])
    of = {title: scores[titles == title] for title in GENERATORS.values()}
    return {
        "images": {title: len(own) for title, own in of.items()},
        "all": _quantiles(scores),
        "generators": {title: _quantiles(own) for title, own in of.items()},
    }


def _quantiles(scores: np.ndarray) -> list[float]:
    return [round(float(value), 3) for value in np.percentile(scores, PERCENTS)]


def main() -> None:
    """Parse the command line, score and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of AGIQA-3k")
    data = parser.parse_args().data
    names = [str(name) for name in read_parts(data, [PART])["name"]]
    scored = maagiqa_pyiqa.score([data / "images" / name for name in names], METRIC, device="cpu", batch_size=1)
    scores = scored[METRIC].to_numpy(float)
    content = {
        "metric": METRIC,
        "weights_sha256": weights_fingerprint(WEIGHTS_OF[METRIC]),
        "data": f"AGIQA-3k, {SPLIT} split, part {PART}",
        **quantiles(names, scores),
    }
    target = packaged_scores(WEIGHTS_OF[METRIC])
    write_whole(target, json.dumps(content) + "\n")
    print(f"{target}: {len(names)} images, median {np.median(scores):.2f}")


if __name__ == "__main__":
    main()
