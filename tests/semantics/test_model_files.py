"""A model's directory may come from a stranger: its index names files of its own folder and no others."""

import json

import pytest

from maagiqa_pyiqa.semantics.model_files import absent_files, indexed_files
from maagiqa_pyiqa.semantics.mplug_owl2.loading import stored_tensors


def write_index(folder, weight_map):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text("{}")
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return folder


def test_an_index_of_files_beside_it_is_read(tmp_path):
    folder = write_index(tmp_path / "model", {"b": "two.bin", "a": "one.bin", "c": "two.bin"})
    assert indexed_files(folder) == [folder / "one.bin", folder / "two.bin"]
    assert list(absent_files(folder)) == ["one.bin", "two.bin"]


@pytest.mark.parametrize(
    "name", ["../secret.bin", "/etc/passwd", "a/../../secret.bin", "..", "", "..\\secret.bin", "C:x"]
)
def test_an_index_may_not_name_files_outside_its_folder(tmp_path, name):
    (tmp_path / "secret.bin").touch()
    folder = write_index(tmp_path / "model", {"a": name})
    for read in (stored_tensors, lambda place: list(absent_files(place))):
        with pytest.raises(ValueError, match=r"index\.json' names .*, which is no file of its folder"):
            read(folder)


@pytest.mark.parametrize("text", ["[" * 100_000, "{", "[]", "{}", '{"weight_map": ["a"]}', '{"weight_map": {"a": 1}}'])
def test_a_malformed_index_is_one_clear_error(tmp_path, text):
    folder = write_index(tmp_path / "model", {})
    (folder / "pytorch_model.bin.index.json").write_text(text)
    with pytest.raises(ValueError, match=r"index\.json' is (not JSON that holds an object|no index of weights)"):
        stored_tensors(folder)
