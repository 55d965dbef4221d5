"""Results as the leaderboard's core gives them, of made-up metrics that follow MOS with noise on any list of images."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from maagiqa_pyiqa.agreement.bootstrap import draw_resamples, estimate
from maagiqa_pyiqa.agreement.statistics import judge

RESAMPLES = 100
PUBLISHED = {"plcc": 0.9273, "krcc": 0.7211, "rmse": 0.3756, "source": "paper, Table 1"}
ODD_NAME = "<script>alert('x')<\\script> & \"q\".png"


@dataclass(frozen=True)
class Made:
    """A made-up metric: MOS with noise, brought to a scale of its own, negated where lower is better."""

    name: str
    noise: float
    scale: float = 1.0
    lower_better: bool = False
    gate: bool = False
    published: float | None = None
    missing: tuple[str, ...] = ()  # images it has no score for

    def scores(self, images, seed):
        noise = np.random.default_rng(seed).normal(0, self.noise, len(images))
        values = (np.array([image["mos"] for image in images]) + noise) * self.scale
        return -values if self.lower_better else values


METRICS = (
    Made("good", 0.35, gate=True, published=0.8939),
    Made("fair|*", 0.7, missing=("image_003.png",)),
    Made("worse_when_high", 1.5, scale=12.0, lower_better=True),
)
FAILED = (("out-of-reach", "no weights: <b>hub</b> & 100% out of reach_"),)


def small_results(folder, count=60, metrics=METRICS, failed=FAILED):
    """Tiny images on disk, one of them oddly named, one absent, and results on two splits that overlap."""
    mos = np.random.default_rng(0).uniform(0.2, 4.8, count)
    images = []
    for i in range(count):
        name = ODD_NAME if i == 0 else f"image_{i:03}.png"
        splits = ["official"] * (i % 4 != 2) + ["prompt-disjoint"] * (i % 4 != 1)
        columns = {"generator": ("SDXL", "GLIDE", "Attn<GAN>")[i % 3], "prompt": f"a <i>cat</i> no. {i}", "style": None}
        images.append({"name": name, "mos": float(mos[i]), "splits": splits, "columns": columns})
        if i != 1:
            Image.new("RGB", (40, 30), (int(50 * mos[i]), 90, 120)).save(folder / name)
    return make_results(images, metrics, failed)


def make_results(images, metrics, failed=(), columns=("generator",), name="AGIQA-3k"):
    """Results on these images (name, mos, splits, columns); ``failed`` are pairs of name and reason."""
    for image in images:
        image |= {"scores": {}, "gate": {}}
    for seed, metric in enumerate(metrics, start=1):
        for image, score in zip(images, metric.scores(images, seed), strict=True):
            if image["name"] not in metric.missing:
                image["scores"][metric.name] = float(score)
            if metric.gate:
                image["gate"][metric.name] = [0.12, -0.2, 1.08]
    splits = dict.fromkeys(split for image in images for split in image["splits"])
    return {
        "schema": 1,
        "created": "2026-11-23T15:00:00Z",
        "seed": 0,
        "resamples": RESAMPLES,
        "environment": {
            "packages": {"maagiqa_pyiqa": "0.1.0", "pyiqa": "0.1.16", "torch": "2.15.0"},
            "git_commit": "6061a68c0ffee",
            "python": "3.11.7",
            "machine": "x86_64, 2 cores, AMD EPYC",
            "threads": 2,
        },
        "dataset": {
            "name": name,
            "csv": "data.csv",
            "csv_sha256": "c5f0" * 16,
            "images_sha256": "1a9e" * 16,
            "images": len(images),
            "mos_range": [0, 5],
            "group_columns": list(columns),
        },
        "participants": [_taking_part(metric) for metric in metrics] + [_failing(*pair) for pair in failed],
        "splits": {split: _split(metrics, images, split, columns) for split in splits},
        "images": images,
    }


def _split(metrics, images, split, columns):
    inside = [image for image in images if split in image["splits"]]
    rows = [_row(metric, inside, metric.published if split == "official" else None) for metric in metrics]
    rows.sort(key=lambda row: -row["srcc"]["value"])
    for i, row in enumerate(rows):
        row |= {"is_best": i == 0, "p_against_best": None if i == 0 else 0.2 if i == 1 else 0.0004}
    groups = {column: _groups(rows, metrics, inside, column) for column in columns}
    return {"part": "test", "images": len(inside), "rows": rows, "groups": groups}


def _row(metric, images, published=None):
    scored = [image for image in images if metric.name in image["scores"]]
    sign = -1 if metric.lower_better else 1
    judged, logistic = judge([sign * i["scores"][metric.name] for i in scored], [i["mos"] for i in scored])
    found = estimate(judged, draw_resamples(len(scored), RESAMPLES, 0))
    return {
        "name": metric.name,
        "n": len(scored),
        **{key: value and vars(value) for key, value in found.items()},
        "logistic": logistic and list(logistic),
        "published": published and PUBLISHED | {"srcc": published},
    }


def _groups(rows, metrics, images, column):
    by_name = {metric.name: metric for metric in metrics}
    entries = []
    for group in dict.fromkeys(image["columns"][column] for image in images):
        members = [image for image in images if image["columns"][column] == group]
        for row in rows:
            found = _row(by_name[row["name"]], members) if len(members) >= 5 else {"n": len(members)}
            figures = {key: found.get(key) for key in ("srcc", "plcc", "rmse_fitted")}
            entries.append({"group": group or "none", "name": row["name"], "n": found["n"], **figures})
    return entries


def _taking_part(metric):
    return {
        "name": metric.name,
        "spec": metric.name,
        "kind": "metric",
        "lower_better": metric.lower_better,
        "options": {"semantics": "visual"} if metric.gate else {},
        "weights_sha256": "0123456789abcdef" * 4,
        "version": "pyiqa 0.1.16",
        "trained_on": {"dataset": "agiqa-3k", "split": "official", "split_seed": 0} if metric.gate else None,
        "parameters": 3_900_000,
        "peak_memory_bytes": 1.2e9,
        "images_per_second": 7.6,
        "device": "cpu",
        "status": "partial" if metric.missing else "ok",
        "reason": None,
        "failed_images": dict.fromkeys(metric.missing, "not an image"),
    }


def _failing(name, reason):
    unknown = dict.fromkeys(("weights_sha256", "parameters", "peak_memory_bytes", "images_per_second", "device"))
    return _taking_part(Made(name, 0)) | unknown | {"status": "failed", "reason": reason}
