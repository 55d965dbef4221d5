"""Model directories: every published layout gives the same network, what is wrong is named, memory is spared."""

import os
import subprocess
import sys
import time
import types

import huggingface_hub
import psutil
import pytest
import torch

from benchmarks.random_mplug_owl2 import Sizes, empty_net
from maagiqa_pyiqa.semantics.model_files import read_config, resolve_model
from maagiqa_pyiqa.semantics.mplug_owl2 import loading
from maagiqa_pyiqa.semantics.mplug_owl2.extractor import MplugOwl2Extractor
from maagiqa_pyiqa.semantics.mplug_owl2.loading import load_mplug_owl2, stored_tensors
from tests.helpers.mplug_owl2_models import (
    LAYOUTS,
    edit_json,
    save_weights,
    tensors_of,
    weight_files,
    write_model,
)
from tests.helpers.places import ROOT

CPU = torch.device("cpu")
TENSORS = tensors_of(Sizes())
LAYOUTS_OF_ONE = ("bin", "safetensors")  # file
ONE_FILE = pytest.mark.parametrize("layout", LAYOUTS_OF_ONE)


@pytest.fixture
def folder(tmp_path):
    """A model directory to be spoilt."""
    return write_model(tmp_path / "model")


@pytest.fixture(scope="module")
def fingerprint(checkpoint):
    return MplugOwl2Extractor(checkpoint).fingerprint


def load(folder, dtype=torch.float32, **options):
    return load_mplug_owl2(folder, CPU, dtype, **options)


def weights(net):
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def assert_same_weights(ours, expected):
    assert ours.keys() == expected.keys()
    assert [name for name in ours if not torch.equal(ours[name], expected[name])] == []


# the same network, however its weights lie


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_features_and_fingerprint(folder, checkpoint, fingerprint, pictures, layout):
    files = save_weights(folder, TENSORS, layout)
    assert all(file.is_file() for file in files)
    extractor = MplugOwl2Extractor(folder)
    assert extractor.fingerprint == fingerprint
    assert torch.equal(extractor.extract(pictures[:3]), MplugOwl2Extractor(checkpoint).extract(pictures[:3]))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_weights_arrive_whatever_the_size_of_a_group(folder, monkeypatch, layout):
    save_weights(folder, TENSORS, layout)
    expected = weights(load(folder, lm_head=True))
    assert_same_weights(expected, TENSORS)
    monkeypatch.setattr(loading, "GROUP_BYTES", 20_000)  # some tensors are larger
    assert_same_weights(weights(load(folder, lm_head=True)), expected)


def test_safetensors_are_preferred_where_both_are_there(folder, fingerprint):
    torch.save({"left": torch.zeros(1)}, folder / "pytorch_model.bin")
    assert MplugOwl2Extractor(folder).fingerprint == fingerprint


@pytest.mark.parametrize("layout", ["bin shards with index", "safetensors shards with index"])
def test_files_that_the_index_does_not_name_are_not_read(folder, fingerprint, layout):
    save_weights(folder, TENSORS, layout)
    (folder / "training_args.bin").write_bytes(b"no checkpoint")
    (folder / "z.safetensors").write_bytes(b"no checkpoint")
    assert MplugOwl2Extractor(folder).fingerprint == fingerprint


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_weights_are_kept_in_the_dtype_asked_for_and_frozen(checkpoint, dtype):
    parameters = dict(load(checkpoint, dtype).named_parameters())
    assert {tensor.dtype for tensor in parameters.values()} == {dtype}
    assert {tensor.device.type for tensor in parameters.values()} == {"cpu"}
    assert not any(tensor.requires_grad for tensor in parameters.values())
    assert all(torch.equal(tensor, TENSORS[name].to(dtype)) for name, tensor in parameters.items())


@ONE_FILE
def test_weights_are_copied_and_outlive_their_files(folder, layout):
    (file,) = save_weights(folder, TENSORS, layout)
    net = load(folder, lm_head=True)
    with file.open("r+b") as opened:  # in place: a mapping of the file would see it
        opened.write(bytes(file.stat().st_size))
    file.unlink()
    assert_same_weights(weights(net), TENSORS)


def test_lm_head_is_read_only_where_it_is_asked_for(folder):
    name = "lm_head.weight"
    assert torch.equal(load(folder, lm_head=True).lm_head.weight, TENSORS[name])
    assert load(folder).lm_head is None
    save_weights(folder, {**TENSORS, name: torch.zeros(3)})
    assert load(folder).lm_head is None
    with pytest.raises(ValueError, match=r"1 of another shape: lm_head\.weight \(3,\) instead of \(400, 64\)"):
        load(folder, lm_head=True)


def test_rotary_frequencies_of_a_checkpoint_are_not_read(folder, fingerprint):
    rotary = "model.layers.0.self_attn.rotary_emb.inv_freq"
    assert rotary in stored_tensors(folder)
    save_weights(folder, {**TENSORS, rotary: torch.full((5,), torch.nan)})
    assert MplugOwl2Extractor(folder).fingerprint == fingerprint


# directories that are not whole


def without(tensors, *names):
    return {name: tensor for name, tensor in tensors.items() if name not in names}


NORM, EMBEDDING = "model.norm.weight", "model.embed_tokens.weight"
MISFITS = {
    "missing": (without(TENSORS, NORM, EMBEDDING), rf"2 missing: {EMBEDDING}, {NORM}\.$"),
    "unknown": ({**TENSORS, "model.extra": torch.zeros(1)}, r"1 unknown: model\.extra\.$"),
    "of another shape": ({**TENSORS, NORM: torch.zeros(65)}, rf"1 of another shape: {NORM} \(65,\) instead of \(64,\)"),
    "two wrongs": ({**without(TENSORS, NORM), "x": torch.zeros(1)}, rf"1 missing: {NORM}; 1 unknown: x\."),
    "too many to name": ({}, r"missing: .*, .*, .*, .*, [^,]* and \d+ more"),
}


@pytest.mark.parametrize(("tensors", "message"), MISFITS.values(), ids=MISFITS)
def test_tensors_that_do_not_fit_are_named(folder, tensors, message):
    save_weights(folder, tensors or {"x": torch.zeros(1)})
    with pytest.raises(ValueError, match=f"do not fit its config.json.*{message}"):
        load(folder)


@pytest.mark.parametrize("layout", ["bin shards with index", "safetensors shards with index"])
def test_a_missing_shard_is_named(folder, layout):
    gone = save_weights(folder, TENSORS, layout)[1]
    gone.unlink()
    with pytest.raises(FileNotFoundError, match=f"not a whole model directory: {gone.name} is not there"):
        load(folder)


def test_a_directory_without_weights_is_named(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"\*\.safetensors or \*\.bin is not there"):
        load(folder)


@ONE_FILE
@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.999])
def test_a_file_cut_short_is_named(folder, layout, kept):
    (file,) = save_weights(folder, TENSORS, layout)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(ValueError, match=f"{file.name}' .* cannot be read as a checkpoint of tensors.*cut short"):
        load(folder)


class Mischief:
    """Pickled, it makes a directory when it is read carelessly."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_code_in_a_checkpoint_is_refused_and_not_run(folder, tmp_path):
    made = tmp_path / "made by the checkpoint"
    (file,) = save_weights(folder, {**TENSORS, "model.extra": Mischief(made)}, "bin")
    with pytest.raises(ValueError, match=r"pytorch_model\.bin' .* cannot be read as a checkpoint of tensors"):
        load(folder)
    assert not made.exists()
    torch.load(file, weights_only=False)
    assert made.exists()  # it would have


def remove(name):
    return lambda folder: (folder / name).unlink()


def edit(name, **changes):
    return lambda folder: edit_json(folder / name, **changes)


SPOILT = {
    "no config": (remove("config.json"), FileNotFoundError, r"not a model directory: it holds no config\.json"),
    "config of another model": (
        edit("config.json", model_type="llava"),
        ValueError,
        "describes a 'llava' model; expected 'mplug_owl2'",
    ),
    "config that is no JSON": (
        lambda folder: (folder / "config.json").write_text("{"),
        ValueError,
        r"config\.json' is not JSON",
    ),
    "another activation": (edit("config.json", hidden_act="gelu"), ValueError, "hidden_act 'gelu' is not supported"),
    "scaled positions": (edit("config.json", rope_scaling={"factor": 2}), ValueError, "rope_scaling .* not supported"),
    "shared keys": (edit("config.json", num_key_value_heads=2), ValueError, "num_key_value_heads 2 is not supported"),
    "no tokenizer": (
        remove("tokenizer.model"),
        FileNotFoundError,
        r"holds no tokenizer\.model, the sentencepiece file",
    ),
    "no preprocessor": (remove("preprocessor_config.json"), FileNotFoundError, r"holds no preprocessor_config\.json"),
    "bilinear": (
        edit("preprocessor_config.json", resample=2),
        ValueError,
        r"preprocessor_config\.json': expected bicubic \(resample 3\).* got resample 2",
    ),
    "cropped": (edit("preprocessor_config.json", crop_size=48), ValueError, "sizes 56 and 48"),
}


@pytest.mark.parametrize(("spoil", "error", "message"), SPOILT.values(), ids=SPOILT)
def test_what_is_wrong_with_a_directory_is_named(folder, spoil, error, message):
    spoil(folder)
    with pytest.raises(error, match=message):
        MplugOwl2Extractor(folder)


def test_misspelt_options_name_the_nearest(checkpoint):
    with pytest.raises(ValueError, match=r"dtype must be one of .* Did you mean 'bf16'"):
        MplugOwl2Extractor(checkpoint, dtype="bf61")
    with pytest.raises(ValueError, match=r"quantization must be one of .* Did you mean '8bit'"):
        MplugOwl2Extractor(checkpoint, quantization="8bits")


# memory


def test_a_model_too_large_for_the_memory_is_refused_with_the_remedies(checkpoint, monkeypatch):
    values = sum(tensor.numel() for name, tensor in TENSORS.items() if name != "lm_head.weight")
    free = types.SimpleNamespace(available=4 * values - 1)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    with pytest.raises(
        MemoryError, match=r"needs .* GiB in float32 and .* GiB .* free; choose dtype 'bf16', another dev"
    ):
        load(checkpoint)
    load(checkpoint, torch.bfloat16)
    free.available += 1
    load(checkpoint)


# no tensor above 16 MiB
LARGE = Sizes(layers=16, heads=8, head_width=128, intermediate=4096, vision_layers=1, abstractor_layers=1)
GROUP = 32 * 2**20


@pytest.fixture(scope="module")
def large_checkpoints(tmp_path_factory):
    """The same large model in one file of each kind; zeros, because only their number matters."""
    tensors = {name: torch.zeros(tensor.shape) for name, tensor in empty_net(LARGE).state_dict().items()}
    folders = [write_model(tmp_path_factory.mktemp(layout), LARGE, {"x": torch.zeros(1)}) for layout in LAYOUTS_OF_ONE]
    for folder, layout in zip(folders, LAYOUTS_OF_ONE, strict=True):
        save_weights(folder, tensors, layout)
    del tensors
    yield folders
    for folder in folders:
        save_weights(folder, {"x": torch.zeros(1)})


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is measured as Linux reports it")
def test_loading_needs_one_copy_of_the_weights_and_one_group(large_checkpoints):
    files = [next(weight_files(folder)) for folder in large_checkpoints]
    assert min(file.stat().st_size for file in files) > 1.2e9
    command = [sys.executable, ROOT / "tests" / "helpers" / "peak_memory.py", str(GROUP), *map(str, large_checkpoints)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    measured = [tuple(map(int, line.split())) for line in printed.splitlines()]
    assert len(measured) == 4  # each file into fp32 and bf16
    print("rise of memory at its peak / size of the model:", [round(rise / size, 3) for rise, size in measured])
    for rise, size in measured:
        assert 0.9 * size < rise < 1.1 * size + GROUP


# sources


@pytest.fixture
def empty_hub_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "hub"


def in_hub_cache(cache, hub_id):
    """Folder of a model's snapshot, laid out as the hub's client lays it out."""
    model = cache / f"models--{hub_id.replace('/', '--')}"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text("0123abcd")
    (model / "snapshots").mkdir()
    return model / "snapshots" / "0123abcd"


@pytest.fixture
def asked(monkeypatch):
    """Calls of the hub's client."""
    calls, download = [], huggingface_hub.snapshot_download
    spy = lambda *args, **options: calls.append(options) or download(*args, **options)  # noqa: E731
    monkeypatch.setattr(huggingface_hub, "snapshot_download", spy)
    return calls


# one address answers at once that nobody listens, the other (reserved for documentation) never answers
@pytest.mark.usefixtures("empty_hub_cache")
@pytest.mark.parametrize("endpoint", ["https://localhost", "https://192.0.2.1"])
def test_an_unreachable_hub_is_reported_soon_and_once_with_the_remedy(monkeypatch, asked, endpoint):
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", endpoint)
    started = time.monotonic()
    with pytest.raises(ConnectionError, match="cannot be reached") as caught:
        MplugOwl2Extractor("owner/name")
    assert time.monotonic() - started < 10
    assert "hf download owner/name --local-dir DIR" in str(caught.value)
    assert "semantics='mplug-owl2:...' takes a directory" in str(caught.value)
    assert asked == [{"local_files_only": True}]


def test_a_snapshot_in_the_hub_cache_is_used_offline(tmp_path, fingerprint):
    write_model(in_hub_cache(tmp_path, "owner/name"))
    code = (
        "from maagiqa_pyiqa.semantics.extractor import create_extractor\n"
        "print(create_extractor('mplug-owl2:owner/name').fingerprint)"
    )
    offline = {"HF_HUB_CACHE": str(tmp_path), "HF_ENDPOINT": "https://192.0.2.1"}
    environment = {**os.environ, **offline}
    printed = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == fingerprint


def test_a_snapshot_that_is_not_whole_is_fetched_again(empty_hub_cache, monkeypatch):
    folder = write_model(in_hub_cache(empty_hub_cache, "owner/name"))
    save_weights(folder, TENSORS, "bin shards with index")[2].unlink()
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "https://localhost")
    with pytest.raises(ConnectionError, match="localhost cannot be reached"):
        resolve_model("owner/name", "here")


@pytest.mark.parametrize("source", ["./absent", "absent", "/absent/model", "~/absent/model", "a/b/c"])
def test_a_directory_that_does_not_exist_is_named_and_no_hub_is_asked(asked, source):
    with pytest.raises(FileNotFoundError, match=f"here: directory '{source}' does not exist"):
        resolve_model(source, "here")
    assert asked == []


def test_a_directory_is_taken_as_it_is(checkpoint, monkeypatch):
    assert resolve_model(str(checkpoint), "here") == checkpoint
    monkeypatch.setenv("HOME", str(checkpoint.parent))
    assert resolve_model(f"~/{checkpoint.name}", "here") == checkpoint
    assert read_config(checkpoint)["model_type"] == "mplug_owl2"


# fewer bits

QUANTIZATIONS = pytest.mark.parametrize(("quantization", "limit"), [("8bit", 0.05), ("4bit", 0.5)])


@QUANTIZATIONS
def test_quantized_features_are_near_the_full_ones_and_have_a_fingerprint_of_their_own(
    checkpoint, fingerprint, pictures, quantization, limit
):
    bitsandbytes = pytest.importorskip("bitsandbytes", reason="weights in 8 or 4 bits need bitsandbytes")
    full = MplugOwl2Extractor(checkpoint).extract(pictures)
    quantized = MplugOwl2Extractor(checkpoint, quantization=quantization)
    before = quantized.fingerprint
    features = quantized.extract(pictures)
    assert features.isfinite().all()
    assert 0 < ((features - full).norm() / full.norm()).item() < limit
    again = MplugOwl2Extractor(checkpoint, quantization=quantization)
    again.extract(pictures)
    assert fingerprint != before == again.fingerprint  # the first use changes nothing
    model = again.lmm.net.model
    kind = {"8bit": bitsandbytes.nn.Linear8bitLt, "4bit": bitsandbytes.nn.Linear4bit}[quantization]
    layers = [module for module in model.modules() if isinstance(module, kind)]
    assert len(layers) == 3 * 9  # of each decoder layer: q, two k, two v, o and three of the MLP
    assert not any(isinstance(module, kind) for module in model.vision_model.modules())
    if quantization == "4bit":
        assert {layer.weight.quant_type for layer in layers} == {"nf4"}


@QUANTIZATIONS
def test_quantization_without_its_package_says_how_to_get_it(checkpoint, monkeypatch, quantization, limit):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(ImportError, match=f"quantization '{quantization}' needs bitsandbytes: pip install"):
        MplugOwl2Extractor(checkpoint, quantization=quantization)


def test_weights_quantized_group_by_group_are_those_quantized_at_once(checkpoint, monkeypatch):
    pytest.importorskip("bitsandbytes", reason="weights in 8 or 4 bits need bitsandbytes")
    at_once = MplugOwl2Extractor(checkpoint, quantization="4bit").fingerprint
    monkeypatch.setattr(loading, "GROUP_BYTES", 20_000)
    assert MplugOwl2Extractor(checkpoint, quantization="4bit").fingerprint == at_once
