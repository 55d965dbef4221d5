"""Splits, datasets and augmentations: the authors' exactly, nothing leaks, and a bad CSV fails before training."""

import random

import numpy as np
import pandas
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pyiqa.data import build_dataloader, build_dataset
from torchvision.transforms.functional import to_tensor

from maagiqa_pyiqa.cli.main import main
from maagiqa_pyiqa.data.agi_dataset import AGIQA3kDataset, AIGCQA20kDataset, CSVQualityDataset
from maagiqa_pyiqa.data.splits import PARTS, make_split, official_split, prompt_disjoint_split, random_split
from maagiqa_pyiqa.data.transforms import RandomHeightFlip, RandomQuarterTurns, Squash, build_transforms
from maagiqa_pyiqa.images.tensors import squash
from tests.helpers.places import SAMPLE

# splits


@pytest.mark.parametrize(("n", "sizes"), [(2982, (2087, 298, 597)), (14000, (9800, 1400, 2800))])
def test_official_split_has_the_authors_sizes(n, sizes):
    assert tuple(len(official_split(n)[part]) for part in PARTS) == sizes


@pytest.mark.parametrize("n", [0, 1, 7, 2982, 14000])
def test_official_split_is_the_authors_recipe(n):
    rows = list(range(n))
    random.seed(20)
    random.shuffle(rows)
    expected = {"train": rows[: int(0.7 * n)], "val": rows[int(0.7 * n) : int(0.8 * n)], "test": rows[int(0.8 * n) :]}
    assert official_split(n) == expected


def test_official_split_leaves_the_callers_random_state_alone():
    random.seed(1)
    expected = random.random()
    random.seed(1)
    official_split(100)
    assert random.random() == expected


def prompts_of(split, prompts):
    return {part: {str(prompts[row]).strip().lower() for row in rows} for part, rows in split.items()}


def assert_disjoint_and_whole(split, prompts):
    assert sorted(row for rows in split.values() for row in rows) == list(range(len(prompts)))
    parts = prompts_of(split, prompts)
    assert len(set.union(*parts.values())) == sum(map(len, parts.values()))


@pytest.mark.parametrize("name", ["agiqa_3k", "aigcqa_20k"])
@pytest.mark.parametrize("seed", [0, 1])
def test_prompt_disjoint_split_of_real_data_shares_no_prompt_and_keeps_the_shares(prompt_ids, name, seed):
    prompts = prompt_ids[name]
    split = prompt_disjoint_split(prompts, seed)
    assert_disjoint_and_whole(split, prompts)
    for part, share in {"train": 0.7, "val": 0.1, "test": 0.2}.items():
        assert len(split[part]) == pytest.approx(share * len(prompts), rel=0.03)


def test_every_test_image_of_the_official_split_shares_its_prompt_with_a_training_image(prompt_ids):
    prompts = prompt_ids["agiqa_3k"]
    parts = prompts_of(official_split(len(prompts)), prompts)
    assert parts["test"] <= parts["train"]  # why prompt-disjoint is reported beside it


PROMPTS = st.lists(st.sampled_from([spelt for p in "abcdefgh" for spelt in (p, p.upper(), f" {p}\n")]), min_size=3)


@given(prompts=PROMPTS.filter(lambda p: len({x.strip().lower() for x in p}) >= 3), seed=st.integers(0, 100))
def test_prompt_disjoint_split_shares_no_prompt(prompts, seed):
    split = prompt_disjoint_split(prompts, seed)
    assert_disjoint_and_whole(split, prompts)
    assert split == prompt_disjoint_split(prompts, seed)
    normal = [prompt.strip().lower() for prompt in prompts]
    largest = max(map(normal.count, normal))
    for part, share in {"train": 0.7, "val": 0.1, "test": 0.2}.items():
        assert 0 < len(split[part]) <= share * len(prompts) + largest
        assert split[part] == sorted(split[part])


def test_prompt_disjoint_split_depends_on_the_seed():
    prompts = [str(i // 3) for i in range(90)]
    assert prompt_disjoint_split(prompts, 0) != prompt_disjoint_split(prompts, 1)


def test_prompt_disjoint_split_of_too_few_prompts_is_refused():
    with pytest.raises(ValueError, match="at least 3 different prompts, got 2"):
        prompt_disjoint_split(["a cat", "A CAT ", "a dog", "a dog"])


@given(n=st.integers(20, 500), seed=st.integers(0, 9), val=st.floats(0.1, 0.4), test=st.floats(0.1, 0.4))
def test_random_split_has_every_row_once_and_keeps_the_shares_to_two_rows(n, seed, val, test):
    split = random_split(n, seed, val, test)
    assert sorted(row for rows in split.values() for row in rows) == list(range(n))
    for part, share in {"train": 1 - val - test, "val": val, "test": test}.items():
        assert abs(len(split[part]) - share * n) <= 2


def test_random_split_is_shuffled_and_depends_on_the_seed():
    assert random_split(100, 0)["test"] != random_split(100, 1)["test"] != list(range(80, 100))


def test_prompt_disjoint_split_keeps_other_shares_too(prompt_ids):
    prompts = prompt_ids["agiqa_3k"]
    split = prompt_disjoint_split(prompts, 0, val=0.25, test=0.25)
    assert_disjoint_and_whole(split, prompts)
    assert [len(split[part]) / len(prompts) for part in PARTS] == pytest.approx([0.5, 0.25, 0.25], abs=0.02)


def test_splits_of_before_are_what_they_were(prompt_ids):
    split = prompt_disjoint_split(prompt_ids["agiqa_3k"])
    assert [len(split[part]) for part in PARTS] == [2079, 306, 597]
    assert split["test"][:5] == [8, 12, 17, 34, 43]


@pytest.mark.parametrize(("val", "test"), [(0, 0.2), (0.1, 0), (0.5, 0.5), (-0.1, 0.2), (float("nan"), 0.2)])
def test_shares_that_leave_nothing_for_a_part_are_refused(val, test):
    with pytest.raises(ValueError, match="val and test must be over 0 and together under 1, got"):
        random_split(10, 0, val, test)


def test_split_all_has_every_row_in_every_part():
    assert make_split("all", None, 3) == {part: [0, 1, 2] for part in PARTS}


def test_misspelt_split_names_the_nearest():
    with pytest.raises(ValueError, match=r"got 'prompt_disjoint'\. Did you mean 'prompt-disjoint'"):
        make_split("prompt_disjoint", ["a"], 1)


def test_prompt_disjoint_split_without_prompts_is_refused():
    with pytest.raises(ValueError, match="needs a prompt column"):
        make_split("prompt-disjoint", None, 10)


# datasets


@pytest.fixture
def folder(tmp_path):
    """Ten small images and ``labels.csv`` with a user's own columns."""
    (tmp_path / "images").mkdir()
    for i in range(10):
        pixels = np.random.default_rng(i).integers(0, 256, (20, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{i}.png")
    write_table(tmp_path, range(10), [i / 2 for i in range(10)])
    return tmp_path


def write_table(folder, names, mos, **columns):
    table = pandas.DataFrame({"file": [f"{name}.png" for name in names], "rating": mos, **columns})
    table.to_csv(folder / "labels.csv", index=False)


def own_options(folder, **options):
    return {
        "type": "CSVQualityDataset",
        "name": "mine",
        "dataroot_target": str(folder / "images"),
        "meta_info_file": str(folder / "labels.csv"),
        "path_column": "file",
        "mos_column": "rating",
        "split": "all",
        **options,
    }


def agiqa3k_options(folder, **options):
    return {
        "type": "AGIQA3kDataset",
        "name": "3k",
        "dataroot_target": str(folder / "images"),
        "meta_info_file": str(folder / "data.csv"),
        **options,
    }


@pytest.mark.parametrize(("phase", "count"), [("train", 2087), ("val", 298), ("test", 597)])
def test_agiqa3k_has_the_authors_parts(agiqa3k, phase, count):
    dataset = AGIQA3kDataset(agiqa3k_options(agiqa3k, phase=phase))
    table = pandas.read_csv(agiqa3k / "data.csv")
    first = table.iloc[official_split(2982)[phase][0]]
    item = dataset[0]
    assert len(dataset) == count
    assert item["img_path"] == str(agiqa3k / "images" / first["name"])
    assert item["mos_label"].tolist() == pytest.approx([first["mos_quality"]])
    assert torch.equal(item["img"], to_tensor(Image.open(item["img_path"]).convert("RGB")))


def agiqa3k_parts(folder):
    """Paths of each part of the prompt-disjoint split."""
    options = agiqa3k_options(folder, split="prompt-disjoint")
    return [{path for path, _ in AGIQA3kDataset({**options, "phase": phase}).paths_mos} for phase in PARTS]


def test_agiqa3k_can_be_split_by_prompt():
    assert len(set.union(*agiqa3k_parts(SAMPLE))) == sum(map(len, agiqa3k_parts(SAMPLE))) == 12


def test_the_whole_of_agiqa3k_can_be_split_by_prompt(agiqa3k):
    assert len(set.union(*agiqa3k_parts(agiqa3k))) == 2982


def test_part_can_differ_from_the_phase():
    sample = AGIQA3kDataset(agiqa3k_options(SAMPLE, phase="val", part="test"))
    assert len(sample) == len(official_split(12)["test"]) == 3


def test_a_last_training_may_take_the_validation_part_too():
    def paths(phase, **options):
        return [path for path, _ in AGIQA3kDataset(agiqa3k_options(SAMPLE, phase=phase, **options)).paths_mos]

    assert paths("train", with_val=True) == paths("train") + paths("val")
    assert sorted(paths("train", with_val=True, split="all")) == sorted(paths("train", split="all"))  # none twice
    with pytest.raises(ValueError, match="dataset '3k': with_val is for part 'train', got part 'test'"):
        paths("test", with_val=True)


def test_part_of_the_whole_of_agiqa3k_can_differ_from_the_phase(agiqa3k):
    assert len(AGIQA3kDataset(agiqa3k_options(agiqa3k, phase="val", part="test"))) == 597


def test_aigcqa20k_reads_the_published_columns_and_misses_its_images(prompt_ids, tmp_path):
    table = tmp_path / "info_train.csv"
    names = ["DALLE2_0000.png", *(f"{number}.png" for number in range(1, 14000))]
    pandas.DataFrame({"name": names, "prompt": prompt_ids["aigcqa_20k"], "mos": 2.5}).to_csv(table, index=False)
    section = own_options(tmp_path, type="AIGCQA20kDataset", dataroot_target=str(tmp_path), meta_info_file=str(table))
    del section["path_column"], section["mos_column"]
    with pytest.raises(ValueError, match=r"14000 problems\n  DALLE2_0000\.png: no such image") as error:
        AIGCQA20kDataset(section)
    assert str(error.value).endswith("... and 13990 more")


def test_own_csv_with_own_columns(folder):
    dataset = CSVQualityDataset(own_options(folder))
    assert len(dataset) == 10
    assert dataset[3]["mos_label"].tolist() == [1.5]
    assert dataset[3]["img"].shape == (3, 20, 30)
    assert dataset[3]["img_path"].endswith("3.png")


def test_prompt_column_of_an_own_csv_is_the_one_named(folder):
    write_table(folder, range(10), [1.0] * 10, text=["a", "b", "c", "d", "e"] * 2)
    splits = [
        CSVQualityDataset(own_options(folder, split="prompt-disjoint", prompt_column="text", phase=phase)).paths_mos
        for phase in PARTS
    ]
    prompts = [{int(path[-5]) % 5 for path, _ in part} for part in splits]
    assert sum(map(len, prompts)) == 5


def parts_of(folder, **options):
    datasets = [CSVQualityDataset(own_options(folder, phase=phase, **options)) for phase in PARTS]
    return [[int(path[-5]) for path, _ in dataset.paths_mos] for dataset in datasets]


def test_a_column_says_which_part_each_row_is_in(folder):
    words = ["val", "train", "test ", "train", "val", *["train"] * 5]
    write_table(folder, range(10), [1.0] * 10, use=words)
    assert parts_of(folder, part_column="use") == [[1, 3, 5, 6, 7, 8, 9], [0, 4], [2]]


def test_what_the_split_command_writes_is_read_as_a_column_of_parts(folder):
    write_table(folder, range(10), [1.0] * 10, prompt=list("aabbccddee"))
    written = str(folder / "parts.csv")
    arguments = ["--split", "prompt-disjoint", "--seed", "3", "--val", "0.2", "--test", "0.4"]
    assert main(["split", str(folder / "labels.csv"), *arguments, "--csv", written]) == 0
    by_column = parts_of(folder, part_column="part", meta_info_file=written)
    assert [len(part) for part in by_column] == [4, 2, 4]
    assert by_column == parts_of(folder, split="prompt-disjoint", split_seed=3, val_share=0.2, test_share=0.4)


def test_unknown_words_in_the_column_of_parts_are_listed(folder):
    write_table(folder, range(10), [1.0] * 10, part=["tset", None, *["train"] * 8])
    with pytest.raises(ValueError, match="2 problems") as error:
        CSVQualityDataset(own_options(folder, part_column="part"))
    assert "0.png: part 'tset' is not one of ('train', 'val', 'test')" in str(error.value)
    assert "1.png: part 'nan' is not one of" in str(error.value)


def test_a_part_without_rows_is_named(folder):
    write_table(folder, range(10), [1.0] * 10, part=["train"] * 10)
    with pytest.raises(ValueError, match=r"no row has part 'val' in column 'part' of '.*labels\.csv'"):
        CSVQualityDataset(own_options(folder, part_column="part", phase="val"))


def test_images_that_cannot_be_read_are_listed_with_all_else(folder):
    write_table(folder, [0, 1, 2, 77], [1.0, np.nan, 2.0, 3.0])
    (folder / "images" / "2.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match="3 problems") as error:
        CSVQualityDataset(own_options(folder, open_images=True))
    for problem in ("1.png: MOS nan", "2.png: cannot be read: ", "77.png: no such image"):
        assert problem in str(error.value)


def test_bad_rows_are_listed_together(folder):
    write_table(folder, [0, 0, 1, 2, 77, 3], [1.0, 1.0, np.nan, 9.5, 2.0, "good"])
    with pytest.raises(ValueError, match=r"dataset 'mine' \(.*labels\.csv\): 5 problems") as error:
        CSVQualityDataset(own_options(folder))
    for problem in (
        "0.png: named more than once",
        "1.png: MOS nan is not a number in [0, 5] (option mos_range)",
        "2.png: MOS 9.5 is not a number in [0, 5]",
        "77.png: no such image",
        "3.png: MOS good is not a number",
    ):
        assert problem in str(error.value)


def test_first_ten_bad_rows_are_listed_and_the_rest_counted(folder):
    write_table(folder, range(100, 125), [1.0] * 25)
    with pytest.raises(ValueError, match="25 problems") as error:
        CSVQualityDataset(own_options(folder))
    lines = str(error.value).splitlines()
    assert len(lines) == 1 + 10 + 1
    assert lines[1].strip().startswith("100.png")
    assert lines[-1].strip() == "... and 15 more"


def test_mos_range_is_the_users(folder):
    write_table(folder, range(10), [float(10 * i) for i in range(10)])
    assert len(CSVQualityDataset(own_options(folder, mos_range=[0, 100]))) == 10


DATASET_ERRORS = {
    "misspelt option": ({"meta_info_fiel": "x"}, "dataset 'mine': unknown option 'meta_info_fiel'. .*'meta_info_file'"),
    "misspelt column": ({"mos_column": "ratign"}, r"no column 'ratign'\. Did you mean 'rating'\? Columns: file, r"),
    "two misspelt columns": (
        {"mos_column": "ratign", "path_column": "fiel"},
        r"no column 'fiel'\. Did you mean 'file'\? And no column 'ratign'\. Did you mean 'rating'\? Columns: file, r",
    ),
    "no column of parts": ({"part_column": "part"}, "no column 'part'"),
    "no prompt column": ({"split": "prompt-disjoint"}, "no column 'prompt'"),
    "misspelt split": ({"split": "oficial"}, "dataset 'mine': split must be .* Did you mean 'official'"),
    "misspelt part": ({"part": "tset"}, "part must be .* Did you mean 'test'"),
    "misspelt augment": (
        {"augment": {"random_hieght_flip": 0.5}},
        "augment: unknown option 'random_hieght_flip'. Did you mean 'random_height_flip'",
    ),
    "misspelt interpolation": (
        {"augment": {"squash": {"size": 8, "interpolation": "cubicantialias"}}},
        "Did you mean 'cubic-antialias'",
    ),
}


@pytest.mark.parametrize(("options", "message"), DATASET_ERRORS.values(), ids=DATASET_ERRORS)
def test_dataset_options_of_the_wrong_kind_are_refused_by_name(folder, options, message):
    with pytest.raises(ValueError, match=message):
        CSVQualityDataset(own_options(folder, **options))


def test_missing_option_is_refused_by_name(folder):
    section = own_options(folder)
    del section["dataroot_target"]
    with pytest.raises(ValueError, match=r"dataset 'mine': .*dataroot_target"):
        CSVQualityDataset(section)


@pytest.mark.parametrize("option", ["meta_info_file", "dataroot_target"])
def test_missing_file_or_folder_is_named(folder, option):
    with pytest.raises(FileNotFoundError, match="elsewhere"):
        CSVQualityDataset(own_options(folder, **{option: str(folder / "elsewhere")}))


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n cut short"])
def test_broken_image_is_named(folder, content):
    path = folder / "images" / "3.png"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"dataset 'mine': image '.*3\.png' cannot be read"):
        CSVQualityDataset(own_options(folder))[3]


def test_a_damaged_version_stands_beside_each_image_where_it_is_asked_for(folder):
    resize = {"squash": 16}
    item = CSVQualityDataset(own_options(folder, damaged=True, augment=resize))[0]
    plain = CSVQualityDataset(own_options(folder, augment=resize))[0]
    assert item["damaged"].shape == item["img"].shape == (3, 16, 16)
    assert torch.equal(item["img"], plain["img"])
    assert not torch.equal(item["damaged"], item["img"])
    assert "damaged" not in plain


def test_image_cut_short_is_named(folder):
    path = folder / "images" / "3.png"
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(ValueError, match=r"image '.*3\.png' cannot be read"):
        CSVQualityDataset(own_options(folder))[3]


def test_pyiqa_builds_dataset_and_loader_with_workers(folder):
    section = own_options(folder, phase="val", batch_size_per_gpu=4, num_worker_per_gpu=2, augment={"squash": 16})
    batches = list(build_dataloader(build_dataset(section), section))
    assert [batch["img"].shape[0] for batch in batches] == [4, 4, 2]  # the last partial batch is kept
    assert batches[0]["img"].shape == (4, 3, 16, 16)
    assert torch.cat([batch["mos_label"] for batch in batches]).flatten().tolist() == [i / 2 for i in range(10)]


def test_pyiqa_finds_every_dataset_by_its_name(folder):
    assert isinstance(build_dataset(agiqa3k_options(SAMPLE, phase="val")), AGIQA3kDataset)
    assert type(build_dataset(own_options(folder))) is CSVQualityDataset


# augmentations


@pytest.fixture
def oblong():
    return torch.rand(3, 4, 6, generator=torch.Generator().manual_seed(0))


def draws(transform, x, n=400):
    random.seed(0)
    return [transform(x) for _ in range(n)]


def test_quarter_turns_are_one_to_three_equally_often(oblong):
    turned = [np.rot90(oblong.numpy(), turns, (1, 2)) for turns in (1, 2, 3)]
    counts = [0, 0, 0]
    for x in draws(RandomQuarterTurns(1.0), oblong):
        (kind,) = (i for i, t in enumerate(turned) if t.shape == tuple(x.shape) and np.array_equal(t, x))
        counts[kind] += 1
    assert min(counts) > 90


def test_height_flip_is_fliplr_of_a_channel_first_array(oblong):
    assert np.array_equal(RandomHeightFlip(1.0)(oblong), np.fliplr(oblong.numpy()))


@pytest.mark.parametrize("transform", [RandomQuarterTurns, RandomHeightFlip])
def test_augmentations_happen_with_the_authors_probability_and_never_with_none(transform, oblong):
    share = np.mean([not (x.shape == oblong.shape and torch.equal(x, oblong)) for x in draws(transform(), oblong)])
    assert share == pytest.approx(0.7, abs=0.07)
    assert all(torch.equal(x, oblong) for x in draws(transform(0.0), oblong, 20))


@pytest.mark.parametrize("interpolation", ["cubic", "cubic-antialias"])
def test_squash_in_a_dataset_is_the_networks_own(image_paths, interpolation):
    image = Image.open(image_paths[0]).convert("RGB")
    expected = squash(to_tensor(image).unsqueeze(0), 64, interpolation)[0]
    assert torch.equal(Squash(64, interpolation)(image), expected)
    assert torch.equal(Squash(64, interpolation)(to_tensor(image)), expected)


def test_score_is_the_same_whether_the_dataset_squashes_or_the_network(tiny_net, images, features):
    net = tiny_net()
    squashed = torch.stack([Squash(64)(x) for x in images])
    with torch.no_grad():
        torch.testing.assert_close(net(squashed, features()), net(images, features()))


def test_augment_section_gives_transforms_in_its_order():
    section = {"hflip": True, "squash": 8, "random_height_flip": 0.25, "random_quarter_turns": True}
    transforms = build_transforms(section)
    assert [type(t).__name__ for t in transforms[1:]] == ["Squash", "RandomHeightFlip", "RandomQuarterTurns"]
    assert (transforms[1].size, transforms[2].p, transforms[3].p) == (8, 0.25, 0.7)


def test_augmentation_set_to_false_is_left_out():
    assert build_transforms({"random_height_flip": False}) == []
    assert build_transforms(None) == []


def test_augmentations_need_no_squash_before_them(folder):
    section = own_options(folder, augment={"random_quarter_turns": 1.0, "random_height_flip": 1.0})
    item = CSVQualityDataset(section)[0]
    assert {*item["img"].shape} == {3, 20, 30}
