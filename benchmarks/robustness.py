"""Whether a metric notices damage, at any size: pairs of an image and a worse version of it, and images re-rendered.

    python -m benchmarks.robustness --data AGIQA-3K --part val --out robustness [-m maagiqa-lite=CHECKPOINT]
    python -m benchmarks.robustness --folder DIR --out robustness

Degradations, incoherence and images of nothing as ``maagiqa_pyiqa/images/damage/table.py`` lists them, each at two
strengths, on images as they are and re-rendered at 256, 768 and 1024 px; then scores of the undamaged images at these
sizes against those at their own and against MOS, also of copies in which each pixel stands 2 x 2 times. Scores are kept
in OUT by the pixels they belong to, so a stopped run goes on. Writes pairs.csv, sizes.csv, robustness.json and
robustness.png there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas

from benchmarks.robustness_tables import PairFigures, Scores, SizeFigures, as_frame, draw, pair_figures, size_figures
from benchmarks.robustness_versions import list_jobs, score_jobs
from maagiqa_pyiqa.data.splits import PARTS
from maagiqa_pyiqa.images.sources import find_files, only_files
from maagiqa_pyiqa.leaderboard.datasets import DatasetChoice, load_data
from maagiqa_pyiqa.leaderboard.entrants import parse_scorers
from maagiqa_pyiqa.metrics.identity import identify
from maagiqa_pyiqa.metrics.score_store import ScoreStore
from maagiqa_pyiqa.support.files import write_whole

TARGET = 0.99  # of pairs in order


class Pictures(NamedTuple):
    """Images that are measured on, where from in words, and MOS if there are any."""

    paths: list[Path]
    title: str
    mos: np.ndarray | None


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--data", metavar="DIR", help="folder of AGIQA-3k, of whose official split a part is taken")
    where.add_argument("--folder", metavar="DIR", help="any folder of images")
    parser.add_argument("--part", choices=PARTS, default="test", help="of AGIQA-3k (default test)")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("-m", "--metric", default="maagiqa-lite", help="NAME, NAME=CHECKPOINT or LABEL=NAME=CHECKPOINT")
    parser.add_argument("--images", type=int, default=500, help="at most so many (default 500), drawn by chance")
    parser.add_argument("--size-images", type=int, default=100, help="for damage at other sizes (default 100)")
    parser.add_argument("--device", help="as in torch")
    parser.add_argument("--workers", type=int, default=1, help="threads that make versions (default 1)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write and show."""
    parsed = parse_arguments(arguments)
    pictures = choose_pictures(parsed)
    ((name, entrant),) = parse_scorers([parsed.metric]).items()
    metric = entrant.source.create(parsed.device)
    key = identify(metric, *entrant.source.origin).key
    jobs = list_jobs(pictures.paths, pictures.paths[: parsed.size_images])
    with ScoreStore(parsed.out / "scores.sqlite") as store:
        by_job = score_jobs(jobs, metric, key, store, parsed.workers)
    scores = Scores(by_job, entrant.lower_better)
    pairs, sizes = pair_figures(scores, pictures.paths), size_figures(scores, pictures.paths, pictures.mos)
    write(parsed.out, f"{name} on {pictures.title}", pairs, sizes)
    failed = int(np.isnan(list(by_job.values())).sum())
    print(as_text(pairs, sizes) + (f"\n{failed} of {len(jobs)} versions could not be scored." if failed else ""))
    print(f"\nWritten: {parsed.out}/pairs.csv, sizes.csv, robustness.json, robustness.png")


def choose_pictures(parsed: argparse.Namespace) -> Pictures:
    """So many images as are wanted, drawn by chance and the same each time.

    Raises:
        FileNotFoundError, ValueError: as ``load_data`` and ``find_files``.
    """
    if parsed.folder:
        paths, mos, title = find_files([parsed.folder]), None, Path(parsed.folder).name
    else:
        data = load_data(DatasetChoice(root=parsed.data, split=("official",), part=parsed.part))
        images = [data.images[position] for position in data.positions("official")]
        paths, mos = only_files([image.path for image in images]), np.array([image.mos for image in images])
        title = f"{data.title}, part {parsed.part}"
    chosen = np.random.default_rng(0).permutation(len(paths))[: parsed.images]
    return Pictures([paths[i] for i in chosen], title, None if mos is None else mos[chosen])


def write(out: Path, title: str, pairs: Sequence[PairFigures], sizes: Sequence[SizeFigures]) -> None:
    """Write tables and picture."""
    write_whole(out / "pairs.csv", as_frame(pairs).to_csv(index=False))
    write_whole(out / "sizes.csv", as_frame(sizes).to_csv(index=False))
    content = {"title": title, "pairs": [asdict(row) for row in pairs], "sizes": [asdict(row) for row in sizes]}
    write_whole(out / "robustness.json", json.dumps(content, indent=1))
    draw(pairs, title, out / "robustness.png")


def shares_by_kind(pairs: Sequence[PairFigures]) -> pandas.DataFrame:
    """Percent of pairs in order by kind of damage, in training or held out, and size."""
    frame = as_frame(pairs)
    frame["in order, %"] = frame["kind"] + frame["held_out"].map({True: ", held out", False: ""})
    table = frame.pivot_table(index="in order, %", columns="size", values="in_order", aggfunc="mean", sort=False)
    return (100 * table).round(2)


def as_text(pairs: Sequence[PairFigures], sizes: Sequence[SizeFigures]) -> str:
    """Both tables and summaries for the terminal."""
    short = pandas.DataFrame(
        {
            "size": row.size,
            "damage": row.damage + (" *" if row.held_out else ""),
            "strength": f"{row.strength:.3g}",
            "in order": f"{100 * row.in_order:.1f} % [{100 * row.low:.1f}, {100 * row.high:.1f}]",
            "mean drop": f"{row.mean_drop:.3f}",
            "below milder": "" if row.below_milder is None else f"{100 * row.below_milder:.1f} %",
        }
        for row in pairs
    )
    reached = sum(row.in_order >= TARGET for row in pairs)
    everything = np.average([row.in_order for row in pairs], weights=[row.images for row in pairs])
    return "\n\n".join(
        (
            short.to_string(index=False),
            as_frame(sizes).round(4).to_string(index=False),
            shares_by_kind(pairs).to_string(),
            f"{100 * everything:.2f} % of all pairs are in order; {reached} of {len(pairs)} rows have at least "
            f"{100 * TARGET:.0f} %. *: never trained on.",
        )
    )


if __name__ == "__main__":
    main()
