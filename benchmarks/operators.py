"""The same images through ``maagiqa score``, Ray Data and data-juicer: their scores side by side.

    python -m benchmarks.operators --data AGIQA-3K --images 500

What is not installed is left out, and said so: data-juicer may need an environment of its own.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas

from maagiqa_pyiqa.cli.main import main as maagiqa
from maagiqa_pyiqa.support.environment import describe_environment

Scores = Mapping[str, float]


def by_command(paths: list[str], metric: str) -> Scores:
    """Scores by ``maagiqa score``."""
    with tempfile.TemporaryDirectory() as folder:
        images, scores = Path(folder, "images.csv"), Path(folder, "scores.parquet")
        pandas.DataFrame({"image": paths}).to_csv(images, index=False)
        code = maagiqa(["score", str(images), "-m", metric, "--device", "cpu", "--quiet", "--parquet", str(scores)])
        if code:
            raise SystemExit(f"maagiqa score ended with {code}")
        table = pandas.read_parquet(scores)
    return dict(zip(table["image"], table[metric], strict=True))


def by_ray_data(paths: list[str], metric: str) -> Scores:
    """Scores by a pipeline of Ray Data with two actors."""
    import ray

    from maagiqa_pyiqa.integrations.ray_data import ImageScorer

    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    images = ray.data.from_items([{"path": path} for path in paths], override_num_blocks=16)
    options = {"metric": metric, "device": "cpu"}
    actors = ray.data.ActorPoolStrategy(size=2)
    scored = images.map_batches(ImageScorer, fn_constructor_kwargs=options, batch_size=32, compute=actors)
    found = {row["path"]: row[metric] for row in scored.take_all()}
    ray.shutdown()
    return found


def by_data_juicer(paths: list[str], metric: str) -> Scores:
    """Scores by data-juicer's own processes, of samples with two images each."""
    from data_juicer.core.data import NestedDataset
    from data_juicer.ops import load_ops
    from data_juicer.utils.constant import Fields

    from maagiqa_pyiqa.integrations import data_juicer

    samples = [{"images": paths[start : start + 2]} for start in range(0, len(paths), 2)]
    (operator,) = load_ops([{data_juicer.NAME: {"metric": metric, "num_proc": 2}}])
    rows = operator.run(NestedDataset.from_list(samples), reduce=False)
    pairs = zip(rows["images"], rows[Fields.stats], strict=True)
    return {
        path: score for images, stats in pairs for path, score in zip(images, stats[f"{metric}_scores"], strict=True)
    }


PIPELINES: Mapping[str, tuple[str, Callable[[list[str], str], Scores]]] = {
    "Ray Data": ("ray", by_ray_data),
    "data-juicer": ("data_juicer", by_data_juicer),
}


def main() -> None:
    """Run all that is installed, and print figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of AGIQA-3k, or any with images/")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--metric", default="maagiqa-lite")
    options = parser.parse_args()
    every = sorted(str(path) for path in (options.data / "images").iterdir())
    paths = [every[round(place)] for place in np.linspace(0, len(every) - 1, min(options.images, len(every)))]
    start = time.perf_counter()
    expected = by_command(paths, options.metric)
    figures: dict[str, object] = {
        "machine": describe_environment().machine,
        "metric": options.metric,
        "images": len(expected),
        "maagiqa score, seconds": round(time.perf_counter() - start, 1),
    }
    for name, (package, run) in PIPELINES.items():
        if find_spec(package) is None:
            figures[name] = "not installed"
            continue
        start = time.perf_counter()
        found = run(paths, options.metric)
        figures[name] = {
            "seconds": round(time.perf_counter() - start, 1),
            "images": len(found),
            "greatest difference": max(abs(found[path] - expected[path]) for path in expected),
        }
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
