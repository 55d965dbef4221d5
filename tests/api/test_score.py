"""``maagiqa_pyiqa.score``: images of every kind, by any metric, with the scores of the command line."""

import csv
import json

import numpy as np
import pandas
import pyiqa
import pytest
import torch
from PIL import Image
from torchvision.transforms.functional import to_tensor

import maagiqa_pyiqa
from maagiqa_pyiqa.archs.maagiqa_arch import MAAGIQA
from maagiqa_pyiqa.cli.main import main
from tests.helpers.input_files import make_tar


class Mean(torch.nn.Module):
    """Mean of the pixels; cannot score a black image."""

    def forward(self, x):
        means = x.mean((1, 2, 3))
        if (means == 0).any():
            raise RuntimeError("too dark")
        return means[:, None]


@pytest.fixture(scope="module")
def lite():
    return pyiqa.create_metric("maagiqa-lite", device=torch.device("cpu"))


@pytest.fixture
def folder(tmp_path):
    """Seven noisy images of two sizes and one that cannot be read."""
    for number in range(7):
        pixels = np.random.default_rng(number).integers(0, 256, (64, 64 + 32 * (number % 2), 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    (tmp_path / "text.png").write_text("no image")
    return tmp_path


@pytest.fixture
def path(folder):
    return folder / "0.png"


def test_scores_are_those_of_the_command_line_to_the_bit(folder):
    words = ["-m", "maagiqa-lite", "-m", "entropy"]
    assert main(["score", str(folder), *words, "--batch-size", "3", "--csv", str(folder / "scores.csv")]) == 1
    with (folder / "scores.csv").open() as file:
        rows = {row["image"]: row for row in csv.DictReader(file)}
    table = maagiqa_pyiqa.score(folder, ["maagiqa-lite", "entropy"], batch_size=3)
    assert list(table.columns) == ["image", "maagiqa-lite", "entropy", "error"]
    assert table["image"].tolist() == sorted(rows)
    for _, row in table[:7].iterrows():
        assert {metric: row[metric] for metric in ("maagiqa-lite", "entropy")} == {
            metric: float(rows[row["image"]][metric]) for metric in ("maagiqa-lite", "entropy")
        }
    assert table["error"][7] == rows[str(folder / "text.png")]["error"]
    assert table[["maagiqa-lite", "entropy"]].iloc[7].isna().all()


KINDS = {
    "text": str,
    "Path": lambda path: path,
    "PIL image, not loaded": Image.open,
    "PIL image of a palette": lambda path: Image.open(path).quantize(256),
    "array": lambda path: np.array(Image.open(path)),
    "array of a batch": lambda path: np.array(Image.open(path))[None],
    "array seen from its end": lambda path: np.array(Image.open(path))[::-1].copy()[::-1],
    "tensor (3, H, W)": lambda path: to_tensor(Image.open(path)),
    "tensor (1, 3, H, W)": lambda path: to_tensor(Image.open(path))[None],
    "tensor of doubles": lambda path: to_tensor(Image.open(path)).double(),
    "tensor with gradient": lambda path: to_tensor(Image.open(path)).requires_grad_(),
    "list": lambda path: [path],
    "tuple": lambda path: (path,),
}  # fmt: skip


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_image_is_scored(path, kind, workers):
    table = maagiqa_pyiqa.score(KINDS[kind](path), Mean(), workers=workers)
    expected = np.array(Image.open(path)).mean() / 255
    assert table["Mean"].tolist() == pytest.approx([expected], abs=0.01 if "palette" in kind else 1e-6)
    assert table["error"].tolist() == [None]


@pytest.mark.parametrize("given", [path for path in KINDS if "palette" not in path and "gradient" not in path])
def test_the_score_of_an_image_is_the_same_to_the_bit_whatever_it_is_given_as(path, lite, given):
    from_file = maagiqa_pyiqa.score(path, lite)["maagiqa-lite"]
    assert maagiqa_pyiqa.score(KINDS[given](path), lite)["maagiqa-lite"].equals(from_file)


def test_a_list_of_any_mix_keeps_its_order_and_names_each_by_its_place(path):
    open_twice = Image.open(path)
    grays = torch.stack([torch.full((3, 8, 8), level) for level in (0.25, 0.5)])
    mix = [
        grays,
        str(path),
        np.full((8, 8, 3), 51, np.uint8),
        open_twice,
        "absent.png",
        open_twice,
        np.zeros((9, 9, 3), "u1"),
    ]
    table = maagiqa_pyiqa.score(mix, Mean(), batch_size=2)
    of_file = np.array(Image.open(path)).mean() / 255
    assert table["image"].tolist() == [
        "images[0][0]", "images[0][1]", str(path), "images[2]", "images[3]", "absent.png", "images[5]", "images[6]",
    ]  # fmt: skip
    expected = [0.25, 0.5, of_file, 0.2, of_file, np.nan, of_file, np.nan]
    np.testing.assert_allclose(table["Mean"], expected, rtol=1e-5)
    assert table["error"][5] == "no such file: 'absent.png'"
    assert table["error"][7] == "Mean: too dark"
    assert table["error"].notna().sum() == 2


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (torch.full((3, 8, 8), torch.nan), "pixels must be in [0, 1], got min nan, max nan"),
        (torch.full((3, 8, 8), 255.0), "pixels must be in [0, 1], got min 255, max 255"),
        (torch.full((3, 8, 8), -0.1), "pixels must be in [0, 1], got min -0.1, max -0.1"),
        (torch.zeros(3, 0, 8), "no pixels: shape (3, 0, 8)"),
        (np.zeros((0, 8, 3), np.uint8), "no pixels"),
        (Image.new("F", (8, 8)), "floating-point pixels have no agreed range"),
    ],
)
def test_pixels_that_cannot_be_scored_are_a_reason_beside_other_scores(path, image, reason):
    table = maagiqa_pyiqa.score([path, image], Mean())
    assert table["Mean"].isna().tolist() == [False, True]
    assert reason in table["error"][1]


def test_no_image_is_an_empty_table():
    for nothing in ([], torch.zeros(0, 3, 8, 8)):
        table = maagiqa_pyiqa.score(nothing, Mean())
        assert list(table.columns) == ["image", "Mean", "error"]
        assert len(table) == 0
        assert table["Mean"].dtype == float


def test_a_glob_and_a_csv_stand_for_their_images(folder):
    (folder / "list.csv").write_text("name\n3.png\n1.png\n")
    table = maagiqa_pyiqa.score([str(folder / "[45].png"), folder / "list.csv"], Mean())
    assert table["image"].tolist() == [str(folder / f"{number}.png") for number in (4, 5, 3, 1)]


WRONG_IMAGES = {
    "number": (3, TypeError, "got int"),
    "nothing": ([None], TypeError, r"images\[0\] must be a path.* got NoneType"),
    "nested list": ([["a.png"]], TypeError, "got list"),
    "array of floats": (np.zeros((8, 8, 3)), ValueError, r"got an array \(8, 8, 3\) of float64.*astype"),
    "array of channels first": (np.zeros((2, 3, 8, 8), np.uint8), ValueError, r"got an array \(2, 3, 8, 8\) of uint8"),
    "gray array": (np.zeros((8, 8), np.uint8), ValueError, r"got an array \(8, 8\) of uint8"),
    "tensor of integers": (torch.zeros(3, 8, 8, dtype=torch.uint8), ValueError, r"x\.float\(\) / 255"),
    "channels last": (torch.zeros(2, 8, 8, 3), ValueError, "movedim"),
    "folder without images": ("{empty}", FileNotFoundError, "holds no image"),
    "glob without files": ("{empty}/*.png", FileNotFoundError, "no file matches"),
    "url": ("s3://bucket/a.png", ValueError, "not a file on this machine"),
}  # fmt: skip


@pytest.mark.parametrize(("images", "error", "message"), WRONG_IMAGES.values(), ids=WRONG_IMAGES)
def test_what_is_no_image_is_refused_before_anything_is_scored(tmp_path, images, error, message):
    if isinstance(images, str):
        images = images.format(empty=tmp_path)
    with pytest.raises(error, match=message):
        maagiqa_pyiqa.score(images, Mean())


def test_checkpoints_labels_and_objects_stand_side_by_side(path, lite):
    checkpoint = path.parent / "mine.pth"
    torch.save({"params": MAAGIQA(pretrained="lite", rescale=(-2.0, 10.0)).state_dict()}, checkpoint)
    table = maagiqa_pyiqa.score(path, [f"mine=maagiqa-lite={checkpoint}", Mean(), "entropy", lite])
    assert list(table.columns) == ["image", "mine", "Mean", "entropy", "maagiqa-lite", "error"]
    assert table["mine"][0] == pytest.approx(10 - 2 * table["maagiqa-lite"][0], abs=1e-4)


WRONG_METRICS = {
    "misspelt": ("maagiqa-lit", ValueError, "Did you mean 'maagiqa-lite'"),
    "full reference": ("psnr", ValueError, "does not score an image by itself"),
    "no checkpoint": ("mine=maagiqa-lite=nowhere.pth", FileNotFoundError, "checkpoint 'nowhere.pth' does not exist"),
    "scores": (f"mine=csv:{__file__}:x", ValueError, "scores that are in a file already do not score images"),
    "two of one name": ([Mean(), Mean()], ValueError, "'Mean' takes part twice"),
    "name of a column": (f"error=maagiqa-lite={__file__}", ValueError, "'error' is a column of its own"),
    "none": ([], ValueError, "no metric is named"),
    "number": (3, TypeError, "got int"),
}


@pytest.mark.parametrize(("metric", "error", "message"), WRONG_METRICS.values(), ids=WRONG_METRICS)
def test_what_is_no_metric_is_refused(path, metric, error, message):
    with pytest.raises(error, match=message):
        maagiqa_pyiqa.score(path, metric)


def test_a_metric_that_cannot_run_here_is_an_error_with_its_reason(path, monkeypatch):
    def broken(*_, **__):
        raise ConnectionError("no network")

    monkeypatch.setattr(pyiqa, "create_metric", broken)
    with pytest.raises(ValueError, match="metric brisque cannot run here: no network"):
        maagiqa_pyiqa.score(path, "brisque")


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"workers": -1}, {"batch_size": "8"}])
def test_numbers_that_make_no_sense_are_refused(path, options):
    with pytest.raises(ValueError, match="must be an integer of at least"):
        maagiqa_pyiqa.score(path, Mean(), **options)


def test_the_images_given_are_left_as_they_are(path):
    array, tensor = np.array(Image.open(path)), to_tensor(Image.open(path))
    before = array.copy(), tensor.clone()
    maagiqa_pyiqa.score([array, tensor], Mean())
    np.testing.assert_array_equal(array, before[0])
    assert torch.equal(tensor, before[1])


def test_the_table_goes_to_a_file_and_back(path, tmp_path):
    table = maagiqa_pyiqa.score([path, "absent.png"], Mean())
    table.to_csv(tmp_path / "scores.csv", index=False)
    back = pandas.read_csv(tmp_path / "scores.csv")
    assert list(back.columns) == list(table.columns)
    assert back["error"].isna().tolist() == [True, False]


def test_lists_and_tars_stand_for_the_images_in_them(folder):
    names = [f"{number}.png" for number in range(3)]
    (folder / "list.jsonl").write_text("".join(json.dumps({"image": name}) + "\n" for name in names))
    make_tar(folder / "shard.tar", [folder / name for name in names])
    of_list = maagiqa_pyiqa.score(folder / "list.jsonl", Mean(), workers=0)
    of_tar = maagiqa_pyiqa.score(folder / "shard.tar", Mean(), workers=0)
    assert of_list["image"].tolist() == [str(folder / name) for name in names]
    assert of_tar["image"].tolist() == [f"{folder}/shard.tar/shard/{name}" for name in names]
    assert of_list["Mean"].tolist() == of_tar["Mean"].tolist()
