"""Training from option files: every one of the package's, as its users run it, and what is refused before it begins."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyiqa
import pytest
import yaml
from pyiqa.data import build_dataset
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from maagiqa_pyiqa.data.public_datasets import PUBLIC_DATASETS, dataset_of_class, dataset_sections, with_root
from maagiqa_pyiqa.models import RESOLVED_OPTIONS
from maagiqa_pyiqa.models.run_options import check_sections
from maagiqa_pyiqa.models.train_options import check_option_sections
from maagiqa_pyiqa.support.folder_lock import folder_lock
from maagiqa_pyiqa.support.option_files import packaged_option_files, read_option_file
from tests.helpers.places import ROOT
from tests.helpers.public_data import write_dataset
from tests.helpers.training_runs import write_option

FILES = {name: path for name, path in packaged_option_files().items() if not name.startswith("benchmark_")}
AGIQA3K = PUBLIC_DATASETS["agiqa-3k"]


def run(folder, *words):
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


def train(folder, *words):
    return run(folder, "-m", "maagiqa_pyiqa.cli.main", "train", *words)


@pytest.mark.parametrize("name", FILES)
def test_option_file_has_only_keys_that_are_read(name):
    option = read_option_file(name)
    check_sections(option, name)
    check_option_sections(option)
    assert option["name"] == name


@pytest.mark.parametrize("name", FILES)
def test_option_file_builds_its_datasets_from_the_published_layout(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sections = dataset_sections(read_option_file(name))
    for phase, section in zip(("train", "val", "test"), sections, strict=True):
        base = section.get("base", section)
        public = dataset_of_class(base["type"])
        if not Path(base["root"]).exists():
            write_dataset(Path(base["root"]), public)
        assert base["root"] == f"datasets/{public.folder}"
        dataset = build_dataset({**base, "name": section["name"], "phase": phase})
        assert len(dataset) > 0


def test_data_and_features_stand_once_in_each_file():
    for name, path in FILES.items():
        text = path.read_text().split("\nname: ")[1]
        assert "datasets/" not in text, name
        assert "features/" not in text, name


@pytest.fixture
def workplace(tmp_path):
    """A folder with the data where the option files look for it."""
    write_dataset(tmp_path / "elsewhere", AGIQA3K)
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / AGIQA3K.folder).symlink_to(tmp_path / "elsewhere")
    return tmp_path


SHORT = ("--force_yml", "train:total_epoch=1", "datasets:train:num_worker_per_gpu=0",
         "datasets:train:persistent_workers=false")  # fmt: skip


def test_a_checkout_of_pyiqa_trains_as_its_users_say(workplace):
    shutil.copytree(Path(pyiqa.__file__).parent, workplace / "pyiqa", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "options", workplace / "options")
    done = run(workplace, "pyiqa/train.py", "-opt", "options/maagiqa_lite_3k.yml", *SHORT)
    assert done.returncode == 0, done.stderr[-2000:]
    folder = workplace / "experiments" / "maagiqa_lite_3k"
    assert (folder / "models" / "net_best.pth").is_file()
    assert (folder / "test_figures.json").is_file()


def test_training_by_name_with_the_data_elsewhere(workplace):
    (workplace / "datasets" / AGIQA3K.folder).unlink()
    done = train(workplace, "-opt", "ablation_lite_3k", "--data", "elsewhere", *SHORT)
    assert done.returncode == 0, done.stderr[-2000:]
    folder = workplace / "experiments" / "ablation_lite_3k"
    assert len((folder / "test_scores.csv").read_text().splitlines()) == 1 + 6
    assert '"root": "elsewhere"' in (folder / RESOLVED_OPTIONS).read_text()


def test_data_of_no_public_dataset_cannot_be_pointed_elsewhere():
    section = {"name": "mine", "type": "CSVQualityDataset"}
    with pytest.raises(ValueError, match="dataset 'mine' is of type 'CSVQualityDataset', which reads no public"):
        with_root({"datasets": {"train": section}}, "x")


def test_ratings_of_ones_own_stay_where_the_images_are_pointed_elsewhere():
    own = {"name": "own", "type": "AGIQA3kDataset", "root": "here", "meta_info_file": "smoothed.csv"}
    pyiqas = {"name": "pyiqa's", "type": "AGIQA3kDataset", "dataroot_target": "here", "meta_info_file": "here.csv"}
    moved = with_root({"datasets": {"train": own, "val": pyiqas}}, "there")["datasets"]
    assert (moved["train"]["root"], moved["train"]["meta_info_file"]) == ("there", "smoothed.csv")
    assert moved["val"] == {"name": "pyiqa's", "type": "AGIQA3kDataset", "root": "there"}


def test_tensorboard_gets_the_course_of_a_training(tmp_path, quarters, tiny_options):
    write_option(tmp_path, quarters, tiny_options, train={"total_iter": 4}, logger={"use_tb_logger": True})
    done = train(tmp_path, "-opt", "option.yml")
    assert done.returncode == 0, done.stderr[-2000:]
    events = EventAccumulator(str(tmp_path / "tb_logger" / "tiny")).Reload()
    assert len(events.Scalars("losses/l_mos")) == 4
    assert [event.step for event in events.Scalars("val_metrics/some validation/srcc")] == [3, 4]


def test_last_lines_of_a_run_name_what_came_of_it(tmp_path, quarters, tiny_options):
    write_option(tmp_path, quarters, tiny_options, train={"total_iter": 4})
    done = train(tmp_path, "-opt", "option.yml")
    best, weights, test = done.stdout.splitlines()[-3:]
    assert re.fullmatch(r"best validation: srcc_plcc -?\d\.\d{4} @ [34]", best)
    assert Path(weights.removeprefix("weights: ")).is_file()
    assert re.match(r"test: srcc -?0\.\d{4}, plcc ", test)


# what is refused before it begins


def changed(*keys, value):
    """The option file of the small recipe with one value changed, or taken out where it is None."""
    option = read_option_file("ablation_lite_3k")
    section = option
    for key in keys[:-1]:
        section = section[key]
    if value is None:
        del section[keys[-1]]
    else:
        section[keys[-1]] = value
    return yaml.safe_dump(option)


REFUSED = {
    "empty": ("", "holds no options"),
    "list": ("- a", "holds no options"),
    "malformed": ("a: [", "is not YAML"),
    "hostile": ("name: !!python/object/apply:os.mkdir [made]", "is not YAML: could not determine a constructor"),
    "learning rate as text": (changed("train", "optim", "lr", value="1e-3"), "lr is the text '1e-3'"),
    "unknown optimizer": (changed("train", "optim", "type", value="AdmW"), "no optim 'AdmW'. Did you mean 'AdamW'"),
    "unknown scheduler": (
        changed("train", "scheduler", "type", value="OneCycle"),
        "no scheduler 'OneCycle'. Did you mean 'OneCycleLR'",
    ),
    "unknown model": (changed("model_type", value="MAAGIQAModle"), "'MAAGIQAModle'.*Did you mean.*MAAGIQAModel"),
    "unknown dataset": (
        changed("datasets", "val", "type", value="AGIQA3Dataset"),
        "'AGIQA3Dataset'.*Did you mean.*AGIQA3kDataset",
    ),
    "unknown network": (changed("network", "type", value="MAGIQA"), "'MAGIQA'.*Did you mean.*MAAGIQA"),
    "unknown loss": (changed("train", "mos_loss_opt", "type", value="MSLoss"), "'MSLoss'.*Did you mean.*MSELoss"),
    "unknown argument of the optimizer": (
        changed("train", "optim", "weight_decy", value=0.1),
        "optim AdamW: unknown option 'weight_decy'. Did you mean 'weight_decay'",
    ),
    "unknown argument of the scheduler": (
        changed("train", "scheduler", "pct_strt", value=0.1),
        "scheduler OneCycleLR: unknown option 'pct_strt'. Did you mean 'pct_start'",
    ),
    "no argument of the scheduler": (changed("train", "scheduler", "max_lr", value=None), "'max_lr' is missing"),
    "unknown argument of a loss": (
        changed("train", "mos_loss_opt", "weight", value=1.0),
        "mos_loss_opt MSELoss: unknown option 'weight'. Did you mean 'loss_weight'",
    ),
    "weight of a loss as a word": (
        changed("train", "mos_loss_opt", "loss_weight", value="much"),
        "loss_weight must be a finite number, got 'much'",
    ),
    "negative learning rate": (changed("train", "optim", "lr", value=-1.0), "train: optim: Invalid learning rate: -1"),
    "epochs as a word": (changed("train", "total_epoch", value="many"), "total_epoch must be an integer"),
    "NaN": (changed("train", "max_grad_norm", value=float("nan")), "max_grad_norm is nan"),
    "key twice": (changed("num_gpu", value=0) + "num_gpu: 0", "key 'num_gpu' stands twice"),
    "unknown option of the network": (changed("network", "presett", value=1), "unknown option 'presett'"),
    "unknown option of a dataset": (changed("datasets", "val", "splitt", value=1), "unknown option 'splitt'"),
    "no datasets": (changed("datasets", value=None), "'datasets' is missing"),
    "no training data": (changed("datasets", "train", value=None), "no section 'train'"),
    "datasets that are a word": (changed("datasets", value="mine"), "'datasets' cannot be 'mine'"),
    "name with a folder": (changed("name", value="../x"), "cannot hold slashes"),
    "no name": (changed("name", value=None), "'name' is missing"),
    "no type of a dataset": (changed("datasets", "val", "type", value=None), "needs a name and a type"),
    "made by a newer version": (
        changed("maagiqa_pyiqa", value="99.1.0"),
        r"option.yml' was made by maagiqa_pyiqa 99\.1\.0, and this is .*: update it",
    ),
    "made by no version": (changed("maagiqa_pyiqa", value="new"), "'new' is no version"),
    "no such data": (changed("datasets", "train", "root", value="nowhere"), "AGIQA-3k is not in 'nowhere'"),
}


@pytest.fixture(scope="module")
def refusals(tmp_path_factory):
    """What each wrong option file leads to, in one process: error, and what it left behind."""
    root = tmp_path_factory.mktemp("refused")
    write_dataset(root / "datasets" / AGIQA3K.folder, AGIQA3K)
    for name, (content, _) in REFUSED.items():
        folder = root / name.replace(" ", "_")
        folder.mkdir()
        (folder / "datasets").symlink_to(root / "datasets")
        (folder / "option.yml").write_text(content)
    code = (
        "import os, sys, contextlib, io\n"
        "from maagiqa_pyiqa.cli.main import main\n"
        f"for folder in {[name.replace(' ', '_') for name in REFUSED]!r}:\n"
        f"    os.chdir(os.path.join({str(root)!r}, folder))\n"
        "    with contextlib.redirect_stderr(open('stderr', 'w')), contextlib.redirect_stdout(io.StringIO()):\n"
        "        code = main(['train', '-opt', 'option.yml'])\n"
        "    open('code', 'w').write(str(code))\n"
    )
    done = run(root, "-c", code)
    assert done.returncode == 0, done.stderr[-2000:]
    return root


@pytest.mark.parametrize("name", REFUSED)
def test_wrong_option_file_is_one_line_and_leaves_nothing_behind(name, refusals):
    folder = refusals / name.replace(" ", "_")
    message = (folder / "stderr").read_text()
    complaint = [line for line in message.splitlines() if line.startswith("maagiqa train: ")]
    assert (folder / "code").read_text() == "2"
    assert len(complaint) == 1
    assert "Traceback" not in message
    assert re.search(REFUSED[name][1], complaint[0]), complaint[0]
    assert not (folder / "made").exists()
    assert [path.name for path in folder.glob("experiments/*") if path.is_dir()] == []


def test_a_run_that_cannot_begin_leaves_the_one_before_where_it_was(workplace):
    kept = workplace / "experiments" / "ablation_lite_3k" / "models" / "net_best.pth"
    kept.parent.mkdir(parents=True)
    kept.write_text("weights of the run before")
    done = train(workplace, "-opt", "ablation_lite_3k", "--data", "nowhere")
    assert done.returncode == 2
    assert "AGIQA-3k is not in 'nowhere'" in done.stderr
    assert kept.read_text() == "weights of the run before"
    assert [path.name for path in (workplace / "experiments").iterdir() if path.is_dir()] == ["ablation_lite_3k"]


def test_a_second_training_in_the_same_folder_is_refused(workplace):
    folder = workplace / "experiments" / "ablation_lite_3k"
    (folder / "models").mkdir(parents=True)
    with folder_lock(folder, "training", beside=True):
        done = train(workplace, "-opt", "ablation_lite_3k", *SHORT)
    assert done.returncode == 2
    assert f"another training runs in '{folder}': process {os.getpid()}" in done.stderr
    assert (folder / "models").is_dir()
