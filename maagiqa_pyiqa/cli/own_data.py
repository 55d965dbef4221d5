"""What ``train`` does for somebody's own CSV: check it, make the option file, and say at the end how to go on."""

from __future__ import annotations

import argparse
import contextlib
import re
import shlex
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from maagiqa_pyiqa.cli.verbs import add_shares
from maagiqa_pyiqa.support.errors import InputError

METRIC_OF = {"lite": "maagiqa-lite", "official": "maagiqa"}  # by recipe: the metric that takes its checkpoints


def add_own_data(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that stand in place of an option file."""
    group = parser.add_argument_group("your own ratings, in place of an option file")
    group.add_argument("--csv", metavar="FILE", help="table with a row for each image")
    group.add_argument("--images", metavar="DIR", help="folder that its paths start from (default: the CSV's)")
    group.add_argument("--mos-column", default="mos", metavar="NAME", help="column of ratings (default: mos)")
    group.add_argument("--path-column", default="name", metavar="NAME", help="column of image paths (default: name)")
    group.add_argument("--prompt-column", metavar="NAME", help="column of prompts (default: prompt, if there is one)")
    group.add_argument("--part-column", metavar="NAME", help="column that says train, val or test, as split writes it")
    add_shares(group, "without a part column")
    group.add_argument("--seed", type=int, default=0, metavar="N", help="of the division into parts (default 0)")
    group.add_argument(
        "--mos-range",
        nargs=2,
        type=float,
        metavar=("LOW", "HIGH"),
        help="lowest and highest rating there can be (default: those of the table)",
    )
    group.add_argument("--recipe", choices=METRIC_OF, default="lite", help="what is trained, and how (default lite)")
    group.add_argument("--cache", metavar="DIR", help="semantic features of the images, for --recipe official")
    group.add_argument("--name", metavar="NAME", help="of the experiment (default: that of the CSV, and the recipe)")


@contextlib.contextmanager
def own_option_file(arguments: argparse.Namespace) -> Iterator[str]:
    """The option file for somebody's own CSV: made anew, or that of the run which is resumed.

    Raises:
        FileNotFoundError, ValueError: see ``check_own_images`` and ``make_options``; nothing is written then.
    """
    name = experiment_name(arguments)
    kept = Path("experiments", name, f"{name}.yml")
    if arguments.resume and kept.is_file():
        yield str(kept)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{name}.yml")
        path.write_text(_make_option_file(arguments, name), encoding="utf-8")
        yield str(path)


def experiment_name(arguments: argparse.Namespace) -> str:
    """The name that was given, or one made of the CSV's and the recipe's."""
    stem = re.sub(r"\W+", "_", Path(arguments.csv).stem)
    return arguments.name or f"{stem}_{arguments.recipe}"


def _make_option_file(arguments: argparse.Namespace, name: str) -> str:
    import yaml

    from maagiqa_pyiqa.data.own_images import OwnImages, check_own_images
    from maagiqa_pyiqa.models.recipes import make_options

    if Path(name).name != name:
        raise InputError(f"--name '{name}' names a folder; it cannot hold slashes.")
    images = check_own_images(
        OwnImages(
            csv=arguments.csv,
            images=image_folder(arguments),
            mos_column=arguments.mos_column,
            path_column=arguments.path_column,
            prompt_column=arguments.prompt_column,
            part_column=arguments.part_column,
            val=arguments.val,
            test=arguments.test,
            seed=arguments.seed,
            mos_range=tuple(arguments.mos_range) if arguments.mos_range else None,
        )
    )
    print(images.as_text(), flush=True)
    options = make_options(name, arguments.recipe, images, arguments.cache)
    print(_in_short(options, arguments.recipe), flush=True)
    return yaml.safe_dump(options, sort_keys=False)


def image_folder(arguments: argparse.Namespace) -> str:
    """The folder that was given, or the CSV's own."""
    return arguments.images or str(Path(arguments.csv).parent)


def _in_short(options: Mapping[str, Any], recipe: str) -> str:
    train, name = options["train"], options["name"]
    factor, shift = options["network"]["rescale"]
    batch = options["datasets"]["train"]["batch_size_per_gpu"]
    lines = [
        f"recipe {recipe}: {train['total_epoch']} epochs, batch {batch}, {train['optim']['type']} at "
        f"{train['optim']['lr']:g}; scores start at {factor:g} * score {shift:+g}",
        f"options: experiments/{name}/{name}.yml",
    ]
    if factor < 0:
        lines.append(
            "The ratings fall where maagiqa-lite's scores rise, so lower ones seem to be better, and will be in the "
            "scores; turn the ratings around if higher scores are to be better."
        )
    return "\n".join(lines)


def how_to_go_on(arguments: argparse.Namespace, checkpoint: Path) -> str:
    """Three ways to use the checkpoint, to be copied."""
    name, metric = experiment_name(arguments), METRIC_OF[arguments.recipe]
    word = shlex.quote(f"{name}={metric}={checkpoint}")
    table = shlex.quote(str(checkpoint.parents[1] / "test_scores.csv"))
    folder = shlex.quote(image_folder(arguments))
    options = f", semantics='cache:{arguments.cache}'" if arguments.cache else ""
    return "\n".join(
        [
            "to use it:",
            f"  maagiqa score {folder} -m {word}",
            f"  maagiqa benchmark --dataset csv --csv {table} --data {folder} -m {metric} -m {word}",
            f"  pyiqa.create_metric('{metric}', pretrained_model_path='{checkpoint}'{options})",
        ]
    )
