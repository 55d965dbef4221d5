"""Option files: by name from any folder, harmless to read, and wrong ones are one line."""

import os
import shutil

import pytest
import yaml
from pyiqa.utils.options import ordered_yaml

from maagiqa_pyiqa.support import option_files
from maagiqa_pyiqa.support.option_files import find_option_file, packaged_option_files, read_option_file
from tests.helpers.places import ROOT

FILES = packaged_option_files()


def test_every_option_file_of_the_repository_is_found_by_name():
    assert FILES.keys() == {path.stem for path in (ROOT / "options").glob("*.yml")}
    assert {"maagiqa_3k", "maagiqa_lite_3k", "benchmark_agiqa3k"} <= FILES.keys()


@pytest.mark.parametrize("name", ["maagiqa_3k", "maagiqa_3k.yml"])
def test_option_file_is_found_by_name_from_any_folder(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_option_file(name) == ROOT / "options" / "maagiqa_3k.yml"


def test_file_of_that_name_goes_before_the_packages(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "maagiqa_3k.yml").write_text("a: 1")
    assert read_option_file("maagiqa_3k.yml") == {"a": 1}


def test_installed_package_has_them_in_a_folder_of_its_own(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "options", tmp_path / "maagiqa_pyiqa" / "option_files")
    monkeypatch.setattr(option_files, "PACKAGE", tmp_path / "maagiqa_pyiqa")
    assert find_option_file("maagiqa_3k") == tmp_path / "maagiqa_pyiqa" / "option_files" / "maagiqa_3k.yml"


@pytest.mark.parametrize("name", ["magiqa_3k", "options/magiqa_3k.yml"])
def test_missing_file_names_the_nearest(name):
    with pytest.raises(FileNotFoundError, match=r"does not exist\. Did you mean 'maagiqa_3k'\? By name there are: .*"):
        find_option_file(name)


@pytest.mark.parametrize("path", FILES.values(), ids=FILES)
def test_pyiqas_reader_and_ours_read_the_same(path):
    with path.open() as file:
        theirs = yaml.load(file, Loader=ordered_yaml()[0])
    assert read_option_file(path) == theirs


@pytest.mark.parametrize("path", FILES.values(), ids=FILES)
def test_no_option_file_names_a_folder_of_ours(path):
    assert ".." not in path.read_text()
    assert "shared" not in path.read_text()


WRONG = {
    "empty": ("", "holds no options"),
    "comment alone": ("# nothing", "holds no options"),
    "list": ("- a\n- b", "holds no options"),
    "word": ("maagiqa", "holds no options"),
    "malformed": ("a: [1, 2\nb: 3", "is not YAML: .*line 2"),
    "tab": ("a:\n\tb: 1", "is not YAML"),
    "unknown alias": ("a: *b", "is not YAML: found undefined alias"),
    "number as text": ("train:\n  optim:\n    lr: 1e-3", "train: optim: lr is the text '1e-3'; .* !!float 1e-3"),
    "number as text in a list": ("train: {max_lr: [1e-3, 2.0]}", "train: max_lr is the text '1e-3'"),
    "NaN": ("train: {max_grad_norm: .nan}", "train: max_grad_norm is nan; it has to be a finite number"),
    "infinite": ("a: [1.0, -.inf]", "a is -inf"),
    "integer beyond 64 bits": ("a: 99999999999999999999", "a is an integer beyond 64 bits"),
    "integer of 5,000 digits": (f"a: {'9' * 5000}", "is not YAML"),
    "key twice": ("name: a\ntrain: {}\nname: b", "key 'name' stands twice"),
    "large": ("# " + "x" * 100_000, "has 100,002 bytes; at most 100,000 are read"),
    "zero byte": ("a: \0", "is not YAML: .*special characters are not allowed"),
    "itself": ("a: &a [*a]", "one that holds itself"),
    "deep": ("[" * 5000, "is not YAML"),
    "aliases of aliases": (
        "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        + "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)),
        "over 10,000 values",
    ),
}


@pytest.mark.parametrize(("content", "message"), WRONG.values(), ids=WRONG)
def test_wrong_file_is_one_line(content, message, tmp_path):
    path = tmp_path / "option.yml"
    path.write_text(content)
    with pytest.raises(ValueError, match=message) as error:
        read_option_file(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


def test_file_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "option.yml"
    path.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(ValueError, match="is not YAML"):
        read_option_file(path)


@pytest.mark.parametrize("tag", ["python/object/apply:os.mkdir", "python/object/new:os.mkdir", "python/name:os.mkdir"])
def test_tag_that_would_run_something_is_refused_and_runs_nothing(tag, tmp_path):
    path = tmp_path / "option.yml"
    path.write_text(f'name: !!{tag} ["{tmp_path / "made"}"]')
    with pytest.raises(ValueError, match=r"is not YAML: could not determine a constructor for the tag") as error:
        read_option_file(path)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "made").exists()


def test_folder_pipe_or_device_is_no_option_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.yml")
    for path, kind in [(tmp_path, "a folder"), (tmp_path / "pipe.yml", "a pipe or device"), ("/dev/zero", "device")]:
        with pytest.raises(ValueError, match=kind):
            read_option_file(path)
