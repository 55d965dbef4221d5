"""Options made for somebody's own ratings can be trained with, and the scale of the ratings changes nothing."""

import copy

import numpy as np
import pandas
import pytest
import torch
from PIL import Image
from pyiqa.data import build_dataset

from maagiqa_pyiqa.cli.main import main
from maagiqa_pyiqa.data.own_images import OwnImages, check_own_images
from maagiqa_pyiqa.data.public_datasets import dataset_sections
from maagiqa_pyiqa.models import recipes
from maagiqa_pyiqa.models.maagiqa_model import MAAGIQAModel
from maagiqa_pyiqa.models.recipes import make_options
from maagiqa_pyiqa.models.start_scale import StartScale, start_scale_of_lite
from tests.models.test_training import parsed_option


def own_images(folder, turn=1.0, **options):
    """The 48 quarters, rated from 0 to 100 as the quality of the whole is; from 0 to -100 where turned."""
    table = pandas.read_csv(folder / "data.csv")
    table["rating"] = turn * 20 * table["mos_quality"]
    csv = folder / f"rated{turn:g}.csv"
    table.to_csv(csv, index=False)
    return check_own_images(OwnImages(csv=str(csv), images=str(folder / "images"), mos_column="rating", **options))


def test_a_start_has_mean_and_deviation_of_the_ratings():
    scores, ratings = np.array([1.0, 2.0, 4.0]), np.array([10.0, 40.0, 70.0])
    scale = StartScale.fitted(scores, ratings)
    started = scale.factor * scores + scale.shift
    assert [started.mean(), started.std()] == pytest.approx([ratings.mean(), ratings.std()], rel=1e-4)
    turned = StartScale.fitted(scores, -ratings)
    assert turned.factor == -scale.factor
    assert StartScale.fitted(np.ones(3), ratings).factor == 1.0


@pytest.mark.parametrize("turn", [1.0, -1.0])
def test_lite_starts_on_the_scale_of_the_ratings_and_turned_around_where_they_are(quarters, turn):
    images = own_images(quarters, turn)
    scale = start_scale_of_lite({**images.section, "augment": {}})
    assert (scale.factor < 0) == (turn < 0)
    assert 5 < abs(scale.factor) < 60


@pytest.fixture
def made(quarters, monkeypatch):
    """Make the options of recipe lite without looking at the images."""
    monkeypatch.setattr(recipes, "start_scale_of_lite", lambda _: StartScale(-20.0, 90.0))
    return lambda **options: make_options("mine", "lite", own_images(quarters, **options))


def test_lite_goes_on_from_its_own_weights_for_forty_steps_or_three_epochs(made):
    options = made()
    train = options["train"]
    assert options["network"]["pretrained"] == "lite"
    assert options["network"]["rescale"] == [-20.0, 90.0]
    assert options["datasets"]["train"]["batch_size_per_gpu"] == 16
    assert train["total_epoch"] == 20  # of 2 steps each
    assert train["optim"]["lr_regression"] == pytest.approx(20 * train["optim"]["lr"])
    assert train["scheduler"]["max_lr"] == [train["optim"]["lr_regression"], train["optim"]["lr"]]
    assert train["mos_loss_opt"]["loss_weight"] == pytest.approx(1 / 400)


def test_images_are_resized_where_they_could_not_make_a_batch(made, quarters):
    assert made()["datasets"]["train"]["augment"] == {"hflip": True}
    with Image.open(next((quarters / "images").iterdir())) as opened:
        opened.resize((300, 200)).save(opened.filename)
    options = made()
    assert options["test"]["augment"] == {"squash": recipes.SQUASH}
    sizes = {build_dataset({**options["test"], "phase": part})[0]["img"].shape for part in ("train", "val", "test")}
    assert sizes == {(3, 512, 512)}


def test_the_three_sections_are_the_three_parts(made):
    sections = dataset_sections(made(val=0.2, test=0.3))
    parts = [
        [path for path, _ in build_dataset({**section, "phase": part}).paths_mos]
        for part, section in zip(("train", "val", "test"), sections, strict=True)
    ]
    assert sum(map(len, parts)) == len(set().union(*parts)) == 48
    assert len(parts[1]) < 20 <= len(parts[0])


def test_official_without_a_cache_says_how_to_make_one(quarters):
    with pytest.raises(ValueError, match=r"extract them first \(maagiqa extract .*images --cache DIR") as error:
        make_options("mine", "official", own_images(quarters))
    assert "\n" not in str(error.value)


def test_lite_takes_no_cache(quarters):
    with pytest.raises(ValueError, match="leave --cache out"):
        make_options("mine", "lite", own_images(quarters), "features")


def test_official_trains_on_the_features_of_a_cache(quarters, tmp_path):
    cache = str(tmp_path / "features")
    assert main(["extract", str(quarters / "images"), "--cache", cache, "--extractor", "visual"]) == 0
    images = own_images(quarters, mos_range=(0, 100))
    options = make_options("mine", "official", images, cache)
    assert options["network"]["feature_dim"] == 1280
    assert options["network"]["rescale"] == [20.0, 0.0]
    assert options["train"]["optim"]["lr_regression"] == pytest.approx(20 * 1e-5)
    dataset = build_dataset({**options["datasets"]["train"], "phase": "train"})
    assert len(dataset) == images.sizes["train"]
    assert dataset[0]["semantic_features"].shape == (2, 1280)


def test_training_on_another_scale_is_the_same_training(tiny_options, images, features, tmp_path):
    """Ratings of 20 y + 7 give the scores 20 s + 7, whatever the scale does to gradients and rates."""
    plain = parsed_option(tiny_options)
    plain["path"]["experiments_root"] = plain["path"]["models"] = str(tmp_path)
    plain["train"]["metric_loss_opt"] = {"type": "PLCCLoss"}
    plain["train"]["optim"]["weight_decay"] = 0.0
    plain["train"]["mos_loss_opt"]["loss_weight"] = 1.0
    scaled = copy.deepcopy(plain)
    recipes._bring_to_scale(scaled, StartScale(20.0, 7.0))
    recipes._bring_to_scale(plain, StartScale(1.0, 0.0))

    def scores(option, factor, shift):
        torch.manual_seed(0)
        model = MAAGIQAModel(option)
        mos = factor * torch.tensor([[1.0], [2.0], [3.0], [4.0]]) + shift
        for step in range(1, 7):
            model.feed_data({"img": images, "mos_label": mos, "semantic_features": features()})
            model.optimize_parameters(step)
        return model.net.eval()(images, features()).detach()

    before, after = scores(plain, 1, 0), scores(scaled, 20, 7)
    assert torch.allclose(after, 20 * before + 7, atol=0.02)
    assert before.std() > 0.01
