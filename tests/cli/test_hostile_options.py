"""Option files that a stranger sends: one line that names what is wrong, at once, and nothing left behind."""

import json
import os
import re
import subprocess
import sys

import pytest
import yaml

from maagiqa_pyiqa.data.public_datasets import PUBLIC_DATASETS
from maagiqa_pyiqa.support.option_files import packaged_option_files, read_option_file
from tests.helpers.public_data import write_dataset

AGIQA3K = PUBLIC_DATASETS["agiqa-3k"]
MAX_SECONDS = 20  # a file that merges merges once took 125
MAX_GROWTH = 1 << 30  # bytes

# files: whatever they are called and hold, read by both verbs; text, bytes, or what makes them
FILES = {
    "empty": ("", "holds no options"),
    "blanks": (" \n" * 1000, "holds no options"),
    "number": ("7", "holds no options"),
    "list of mappings": ("- {name: x}\n- {name: y}", "holds no options"),
    "malformed": ("name: [", "is not YAML"),
    "two documents": ("name: x\n---\nname: y", "is not YAML"),
    "tab": ("train:\n\toptim: 1", "is not YAML"),
    "not UTF-8": (b"name: \xff\xfe\x80", "is not YAML"),
    "UTF-16": ("name: x".encode("utf-16-le"), "is not YAML"),
    "zero bytes": (b"name: x\0\0", "is not YAML"),
    "an image": (b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(range(256)), "is not YAML"),
    "control characters": (b"name: \x1b[2J\x07", "is not YAML"),
    "lists 50,000 deep": ("[" * 50_000, "is not YAML"),
    "mappings 900 deep": ("{a: " * 900 + "1" + "}" * 900, "is not YAML|holds over|unknown option"),
    "mappings 20,000 deep": ("{a: " * 15_000 + "1" + "}" * 15_000, "is not YAML"),
    "aliases of aliases": (
        "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        + "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)),
        "holds over 10,000 values",
    ),
    "merges of merges": (
        "a0: &a0 {x0: 1, y0: 2}\n"
        + "\n".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}], x{n}: 1}}" for n in range(1, 9)),
        "over 10,000 merged keys|'name' is missing|unknown option",  # since PyYAML 6.0.4 merges do not multiply
    ),
    "a mapping that holds itself": ("name: &a {b: *a}", "holds over 10,000 values, or one that holds itself"),
    "twelve thousand keys": ("\n".join(f"k{n}: 1" for n in range(12_000)), "bytes; at most|holds over"),
    "a key twice": ("name: x\nname: y", "'name' stands twice"),
    "a list as key": ("? [a]\n: 1", "is not YAML"),
    "a tag that runs": ("name: !!python/object/apply:os.mkdir [made]", "is not YAML: could not determine"),
    "a tag that imports": ("name: !!python/module:antigravity", "is not YAML: could not determine"),
    "a tag of nobody": ("name: !mine 3", "is not YAML: could not determine"),
    "a date that is none": ("name: 2020-99-99", "is not YAML"),
    "an integer of 5,000 digits": (f"name: {'9' * 5000}", "is not YAML"),
    "an integer beyond 64 bits": (f"seed: {2**70}", "seed is an integer beyond 64 bits"),
    "NaN": ("train: {max_grad_norm: .nan}", "max_grad_norm is nan"),
    "infinity": ("resamples: .inf", "resamples is inf"),
    "a number as text": ("train: {optim: {lr: 1e-3}}", "lr is the text '1e-3'"),
    "a word without end": (f"{'x' * 90_000}: 1", "is not YAML"),
    "an alias of nothing": ("name: *nothing", "is not YAML"),
    "a folder": (os.mkdir, "is a folder"),
    "a pipe": (os.mkfifo, "is a pipe or device"),
    "a device": (lambda path: os.symlink("/dev/zero", path), "is a pipe or device"),
    "a link to itself": (lambda path: os.symlink(path, path), "does not exist"),
    "a link to nothing": (lambda path: os.symlink("/nothing", path), "does not exist"),
    "a hundred megabytes": (lambda path: path.write_bytes(b"a: 1\n" * 20_000_000), "bytes; at most 100,000"),
    "a terabyte of nothing": (lambda path: (path.touch(), os.truncate(path, 1 << 40)), "bytes; at most 100,000"),
}


def changed(name, *keys, value):
    """A packaged option file with one value changed."""
    option = section = read_option_file(name)
    for key in keys[:-1]:
        section = section[key]
    section[keys[-1]] = value
    return yaml.safe_dump(option)


# values of another kind than the key wants; the message has to name the key
TRAIN = {
    ("name",): [7, ["x"], "a/b", ".."],
    ("num_gpu",): ["many", [1], -1],
    ("manual_seed",): ["x", -1],
    ("datasets", "train", "batch_size_per_gpu"): [0, -8, "eight", 2.5, None],
    ("datasets", "train", "num_worker_per_gpu"): [-1, "two"],
    ("datasets", "train", "dataset_enlarge_ratio"): [0, "x"],
    ("datasets", "train", "augmnt"): [{}],
    ("datasets", "val", "split"): [3, ["official"], "oficial"],
    ("datasets", "val", "part"): ["tset"],
    ("network", "backbone"): [None, 5, "resnte18"],
    ("network", "input_size"): [0, -1, "big"],
    ("network", "taps"): ["x", [99], []],
    ("path", "pretrain_network"): [5, "absent.pth"],
    ("path", "strict_lod"): [True],
    ("train", "total_epoch"): ["x", -1, 0, [1]],
    ("train", "scheduler_step"): ["epoh", 1],
    ("train", "autocast"): [True, "bf61"],
    ("train", "freeze"): ["backbone", [1], ["backbnoe"]],
    ("train", "max_grad_norm"): ["x", -1.0],
    ("train", "optim"): ["AdamW", {}, {"type": "AdamW"}],
    ("train", "optim", "lr"): [-1.0, "fast", None],
    ("train", "optim", "betas"): [[2.0, 2.0], "x"],
    ("train", "optim", "lr_backbnoe"): [0.1],
    ("train", "scheduler", "pct_strat"): [0.1],
    ("train", "scheduler", "pct_start"): ["early", 7.0],
    ("train", "scheduler", "T_max"): [10],
    ("train", "mos_loss_opt", "redction"): ["mean"],
    ("train", "mos_loss_opt", "reduction"): ["median", 3],
    ("train", "mos_loss_opt", "loss_weight"): ["x"],
    ("val", "val_freq"): [0, -5, "often"],
    ("val", "key_metric"): ["srccc", 3],
    ("logger", "print_freq"): [0, "x"],
    ("logger", "save_checkpoint_freq"): ["x"],
    ("logger", "pritn_freq"): [1],
}
BENCHMARK = {
    ("dataset",): ["agiqa-3", 3, None],
    ("root",): [3, "absent", ["x"]],
    ("metrics",): [3, [3], ["maagiqa-liet"], [{"nmae": "x"}], [{"name": 3}], [{"name": "x", "metric": ["piqe"]}]],
    ("split",): ["oficial", [3], 3],
    ("split_seed",): ["x", 1.5],
    ("part",): ["tset", 3],
    ("resamples",): [0, -1, "x", 1.5],
    ("seed",): [-1, "x", True],
    ("batch_size",): [0, -8, "x"],
    ("workers",): [-1, "x"],
    ("device",): [3],
    ("out",): [3],
    ("where",): [["generator"], [3]],
    ("baseline",): ["absent", 3],
    ("mos_range",): [[5], ["a", "b"], 5],
    ("group_columns",): [[3]],
    ("retry_failed",): ["yes", 1],
    ("metircs",): [["piqe"]],
}


# keys whose message names what they are part of, or the file
NAMED = {
    "lr": "lr|train: optim: Invalid learning rate",
    "betas": "train: optim: ",
    "pct_start": "pct_start",
    "pretrain_network": r"pretrain_network|absent\.pth",
    "metrics": "metric|participant",
    "where": "where|filter",
}


def list_values(verb, name, table):
    return {
        f"{verb} {':'.join(keys)} {json.dumps(value)}": (
            verb,
            changed(name, *keys, value=value),
            NAMED.get(keys[-1], keys[-1]),
        )
        for keys, values in table.items()
        for value in values
    }


VALUES = {
    **list_values("train", "ablation_lite_3k", TRAIN),
    **list_values("benchmark", "benchmark_agiqa3k", BENCHMARK),
}
CASES = {
    **{f"{verb} {name}": (verb, *case) for name, case in FILES.items() for verb in ("train", "benchmark")},
    **VALUES,
}
RUNNER = """
import contextlib, io, json, os, resource, signal, sys, time
from maagiqa_pyiqa.cli.main import main
import maagiqa_pyiqa.leaderboard.run, maagiqa_pyiqa.models.maagiqa_model

def give_up(*_):
    raise TimeoutError

signal.signal(signal.SIGALRM, give_up)
root = sys.argv[1]  # an engine puts its own words there
opened = []  # never closed, since a logger may still write to the first
for number, verb in enumerate(json.load(sys.stdin)):
    os.chdir(f"{root}/{number}")
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    opened.append(open("../%d.stderr" % number, "w"))
    with contextlib.redirect_stderr(opened[-1]):
        with contextlib.redirect_stdout(io.StringIO()):
            signal.alarm(20)  # ends a training that should not have begun
            try:
                code = main([verb, "-opt", "option.yml"])
            except BaseException as error:
                code = repr(error)
            signal.alarm(0)
    opened[-1].flush()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    with open("../%d.json" % number, "w") as file:
        json.dump([code, time.monotonic() - started, grown], file)
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What each file leads to, all in one process: code, seconds, bytes that its peak of memory rose, messages."""
    root = tmp_path_factory.mktemp("hostile")
    write_dataset(root / "datasets" / AGIQA3K.folder, AGIQA3K)
    for number, (_, content, _) in enumerate(CASES.values()):
        folder = root / str(number)
        folder.mkdir()
        (folder / "datasets").symlink_to(root / "datasets")
        path = folder / "option.yml"
        if callable(content):
            content(path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
    subprocess.run(
        [sys.executable, "-c", RUNNER, str(root)],
        input=json.dumps([verb for verb, _, _ in CASES.values()]),
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        text=True,
        check=True,
        timeout=600,
    )
    return root


@pytest.mark.parametrize(("number", "expected"), enumerate(case[2] for case in CASES.values()), ids=list(CASES))
def test_it_is_refused_in_one_line_at_once_and_leaves_nothing(number, expected, outcomes):
    code, seconds, grown = json.loads((outcomes / f"{number}.json").read_text())
    message = (outcomes / f"{number}.stderr").read_text()
    complaint = [line for line in message.splitlines() if line.startswith("maagiqa ")]
    assert code == 2, message[-500:]
    assert len(complaint) == 1, message[-500:]
    assert "Traceback" not in message
    assert seconds < MAX_SECONDS
    assert grown < MAX_GROWTH
    assert re.search(expected, complaint[0]), complaint[0][:500]
    left = {path.name for path in (outcomes / str(number)).iterdir()} - {"datasets", "option.yml"}
    assert not any(path.is_dir() for name in left for path in (outcomes / str(number) / name).glob("*"))


def test_there_are_enough_of_them():
    assert len(CASES) >= 60
    assert packaged_option_files().keys() >= {"ablation_lite_3k", "benchmark_agiqa3k"}
