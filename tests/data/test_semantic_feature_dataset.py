"""A dataset with features from a cache: looked up by content, complete or refused, the same in every worker."""

import pickle
import shutil
from types import MappingProxyType, SimpleNamespace

import numpy as np
import pandas
import pytest
import torch
import yaml
from PIL import Image
from pyiqa.data import build_dataset
from torch.utils.data import DataLoader

from maagiqa_pyiqa.cache.keys import file_key, pixel_key
from maagiqa_pyiqa.cache.manifest import CacheMismatchError
from maagiqa_pyiqa.cache.part import Entry
from maagiqa_pyiqa.cache.writer import CacheWriter
from maagiqa_pyiqa.data.semantic_feature_dataset import SemanticFeatureDataset
from maagiqa_pyiqa.images.decoding import decode
from maagiqa_pyiqa.models.maagiqa_model import MAAGIQAModel

N = 12


class Extractor:
    prompts = ("semantic_content", "coherence")
    feature_dim = 24
    fingerprint = "abcdef0123456789"
    fingerprint_parts = MappingProxyType({})


def features_of(index):
    return torch.stack([torch.full((24,), float(index)), torch.full((24,), -float(index))])


@pytest.fixture
def folder(tmp_path):
    """Twelve images, their CSV, and a cache of their features in another order."""
    random = np.random.default_rng(0)
    for index in range(N):
        Image.fromarray(random.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(tmp_path / f"{index}.png")
    pandas.DataFrame({"name": [f"{i}.png" for i in range(N)], "mos": 1.0}).to_csv(tmp_path / "data.csv", index=False)
    fill(tmp_path, reversed(range(N)))
    return tmp_path


def fill(folder, indices):
    cache = CacheWriter.create(folder / "cache", Extractor())
    for index in indices:
        content = (folder / f"{index}.png").read_bytes()
        entry = Entry(pixel_key(decode(content)), file_key(content), f"elsewhere/{index}.png")
        cache.append([entry], features_of(index)[None])


def options(folder, **changes):
    base = {"type": "CSVQualityDataset", "dataroot_target": str(folder), "meta_info_file": str(folder / "data.csv")}
    section = {"name": "own", "type": "SemanticFeatureDataset", "phase": "train", "cache": str(folder / "cache")}
    return {**section, "base": base, **changes}


def index_of(item):
    return int(item["img_path"].rsplit("/", 1)[-1].removesuffix(".png"))


def assert_features_fit(item):
    assert torch.equal(item["semantic_features"], features_of(index_of(item)))


def test_items_are_the_bases_with_features(folder):
    dataset = build_dataset(options(folder))
    assert isinstance(dataset, SemanticFeatureDataset)
    assert len(dataset) == len(dataset.base) == int(0.7 * N)
    for index in range(len(dataset)):
        assert_features_fit(dataset[index])
        assert torch.equal(dataset[index]["img"], dataset.base[index]["img"])
    assert dataset.opt["name"] == "own"


@pytest.mark.parametrize("phase", ["val", "test"])
def test_the_base_takes_its_phase_from_the_section(folder, phase):
    dataset = build_dataset(options(folder, phase=phase))
    assert dataset.base.phase == phase
    assert_features_fit(dataset[0])


def test_the_base_takes_its_part_from_the_section(folder):
    """As the final test of a training run asks for it."""
    tested = build_dataset(options(folder, phase="val", part="test"))
    assert [path for path, _ in tested.base.paths_mos] == [
        path for path, _ in build_dataset(options(folder, phase="test")).base.paths_mos
    ]
    assert_features_fit(tested[0])


def test_prompts_can_be_chosen_by_name(folder):
    dataset = build_dataset(options(folder, prompts=["coherence"]))
    assert torch.equal(dataset[0]["semantic_features"], features_of(index_of(dataset[0]))[1:])
    with pytest.raises(ValueError, match=r"prompts must be one of .* got 'coherance'. Did you mean 'coherence'"):
        build_dataset(options(folder, prompts=["coherance"]))


def test_a_dataset_of_pyiqas_own_can_be_wrapped(folder):
    pandas.DataFrame({"img": [f"{i}.png" for i in range(N)], "mos": 1.0}).to_csv(folder / "meta.csv", index=False)
    base = {"type": "GeneralNRDataset", "dataroot_target": str(folder), "meta_info_file": str(folder / "meta.csv")}
    dataset = build_dataset(options(folder, base={**base, "augment": {}}, phase="test"))
    for index in range(N):
        assert_features_fit(dataset[index])


def test_augmented_pixels_keep_the_features_of_the_file(folder):
    section = options(folder)
    section["base"]["augment"] = {"squash": 16, "random_quarter_turns": 1.0, "random_height_flip": 1.0}
    dataset = build_dataset(section)
    assert dataset[0]["img"].shape == (3, 16, 16)
    assert_features_fit(dataset[0])


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_read_what_the_process_reads(folder, start):
    loader = DataLoader(build_dataset(options(folder)), batch_size=None, num_workers=2, multiprocessing_context=start)
    items = list(loader)
    assert len(items) == int(0.7 * N)
    for item in items:
        assert_features_fit(item)


def test_a_copy_reads_the_same_rows_although_the_cache_has_grown(folder):
    pickled = pickle.dumps(build_dataset(options(folder)))
    Image.new("RGB", (9, 9)).save(folder / "99.png")
    fill(folder, [99])
    for item in pickle.loads(pickled):
        assert_features_fit(item)


def test_renamed_and_losslessly_reencoded_images_are_found(folder):
    Image.open(folder / "3.png").save(folder / "re.bmp")
    shutil.move(folder / "4.png", folder / "moved.png")
    pandas.DataFrame({"name": ["re.bmp", "moved.png"], "mos": 1.0}).to_csv(folder / "data.csv", index=False)
    section = options(folder)
    dataset = build_dataset({**section, "base": {**section["base"], "split": "all"}})
    assert [float(dataset[i]["semantic_features"][0, 0]) for i in range(2)] == [3.0, 4.0]


def test_images_without_features_are_listed_with_the_command(folder):
    shutil.rmtree(folder / "cache")
    fill(folder, range(0, N, 2))
    with pytest.raises(
        ValueError, match=r"of 8 images have no features in cache .* maagiqa extract .* --cache"
    ) as error:
        build_dataset(options(folder))
    assert ".png" in str(error.value).splitlines()[1]


def test_an_edited_image_is_missing(folder):
    for index in range(N):
        image = Image.open(folder / f"{index}.png")
        image.putpixel((0, 0), (1, 2, 3))
        image.save(folder / f"{index}.png")
    with pytest.raises(ValueError, match="8 of 8 images have no features"):
        build_dataset(options(folder))


def test_a_folder_that_is_no_cache_names_the_command(folder):
    with pytest.raises(FileNotFoundError, match=r"is no feature cache.*maagiqa extract"):
        build_dataset(options(folder, cache=str(folder / "nothing")))


def test_other_features_than_expected_are_refused(folder):
    build_dataset(options(folder, fingerprint="abcdef"))
    with pytest.raises(CacheMismatchError, match="has fingerprint abcdef012345, expected 999"):
        build_dataset(options(folder, fingerprint="999"))


@pytest.mark.parametrize(("change", "nearest"), [({"cahce": "x"}, "cache"), ({"num_workers_per_gpu": 2}, "num_worker")])
def test_a_misspelt_option_names_the_nearest(folder, change, nearest):
    with pytest.raises(ValueError, match=f"unknown option .* Did you mean '{nearest}"):
        build_dataset(options(folder, **change))


def test_a_misspelt_option_of_the_base_names_the_nearest(folder):
    section = options(folder)
    section["base"]["splt"] = "official"
    with pytest.raises(ValueError, match=r"unknown option 'splt'.* Did you mean 'split'"):
        build_dataset(section)


@pytest.mark.parametrize("name", ["maagiqa_3k", "maagiqa_20k"])
def test_the_papers_option_files_read_their_features_from_a_cache(name, request):
    option = yaml.safe_load((request.config.rootpath / "options" / f"{name}.yml").read_text())
    for section in (*option["datasets"].values(), option["test"]):
        assert section["type"] == "SemanticFeatureDataset"
        assert section["cache"].startswith("features/")


@pytest.mark.parametrize(
    ("own", "base", "count"), [(None, None, 3), (None, "val", 1), ("val", None, 1), ("val", "test", 1)]
)
def test_the_final_test_is_on_the_part_that_is_named_or_else_on_test(folder, own, base, count):
    section = options(folder, phase="val", **({"part": own} if own else {}))
    section["base"] |= {"part": base} if base else {}
    loader = MAAGIQAModel._build_test_loader(SimpleNamespace(opt={"test": section}))
    assert len(loader.dataset) == count
