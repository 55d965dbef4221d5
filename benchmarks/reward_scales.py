r"""Where scores of metrics lie on AGIQA-3k, for rewards that add up several: run it when a metric is added to METRICS.

    python -m benchmarks.reward_scales --data AGIQA-3K

scores the validation and test images of the official split and writes the constants beside the weights. maagiqa-lite
is not among them: its scores are mean opinion scores, and ``benchmarks.lite.distribution`` knows where they lie.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np

import maagiqa_pyiqa
from benchmarks.official_parts import SPLIT, read_parts
from maagiqa_pyiqa.metrics.scales import Scale
from maagiqa_pyiqa.support.files import write_whole
from maagiqa_pyiqa.weights import packaged_scales

METRICS = ("maagiqa-lite-2026a", "piqe", "entropy")
PARTS = ("val", "test")
DIGITS = 5


def scale_of(scores: np.ndarray, mos: np.ndarray) -> Scale:
    """Constants of a metric from its scores and the mean opinion scores of the same images."""
    slope, offset = np.polyfit(scores, mos, 1)
    low, high = np.percentile(scores, [1, 99])
    values = (low, high, scores.mean(), scores.std(), slope, offset)
    names = (field.name for field in dataclasses.fields(Scale))
    return Scale(**{name: round(float(value), DIGITS) for name, value in zip(names, values, strict=True)})


def main() -> None:
    """Parse the command line, score and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of AGIQA-3k")
    data = parser.parse_args().data
    rows = read_parts(data, PARTS, ["mos_quality"])
    images = [data / "images" / str(name) for name in rows["name"]]
    scored = maagiqa_pyiqa.score(images, list(METRICS), device="cpu")
    mos = rows["mos_quality"].to_numpy(float)
    scales = {name: dataclasses.asdict(scale_of(scored[name].to_numpy(float), mos)) for name in METRICS}
    content = {"data": f"AGIQA-3k, {SPLIT} split, parts {' and '.join(PARTS)}", "images": len(rows), "metrics": scales}
    write_whole(packaged_scales(), json.dumps(content, indent=1) + "\n")
    print(packaged_scales(), json.dumps(scales, indent=1), sep="\n")


if __name__ == "__main__":
    main()
