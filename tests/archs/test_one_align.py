"""Metric one-align gives what a plain forward of the network with its logits gives, in batches."""

import copy
import os
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import pyiqa
import pytest
import torch
from PIL import Image
from sentencepiece import SentencePieceProcessor
from torchvision.transforms.functional import to_tensor

from benchmarks.reference_pass import full_pass
from maagiqa_pyiqa.archs.one_align_arch import TASKS, OneAlign
from maagiqa_pyiqa.semantics.mplug_owl2.loading import load_mplug_owl2
from maagiqa_pyiqa.semantics.mplug_owl2.pixels import ClipPixels
from maagiqa_pyiqa.semantics.mplug_owl2.tokens import LlamaTokens
from tests.helpers.mplug_owl2_models import GRAY, random_picture, write_saturating
from tests.helpers.places import TINY_MPLUG_OWL2

CPU = torch.device("cpu")
# as pyiqa/archs/q_align/modeling_mplug_owl2.py of pyiqa 0.1.16 writes them, for images
PROMPT = "USER: How would you rate the {} of this image?\n<|image|>\nASSISTANT: The {} of the image is"
WORDS = ("excellent", "good", "fair", "poor", "bad")


@pytest.fixture(scope="module")
def metric(checkpoint):
    return OneAlign(checkpoint)


@pytest.fixture(scope="module")
def batch():
    """Five pictures of one size, (5, 3, 40, 60) in [0, 1]."""
    return torch.stack([to_tensor(random_picture(60, 40, seed)) for seed in range(5)])


@torch.no_grad()
def plain_scores(folder, images, task):
    """Levels 5 to 1 weighted by the softmax over their words' logits after a full pass, image by image."""
    net = load_mplug_owl2(folder, CPU, torch.float32, lm_head=True)
    pixels = ClipPixels.from_folder(folder)
    prompt = LlamaTokens(folder).encode_prompt(PROMPT.format(task, task))
    vocabulary = SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    ids = [vocabulary.encode(word)[-1] for word in WORDS]
    assert len(set(ids)) > 1

    def score(image):
        picture = Image.fromarray((image * 255).round().byte().permute(1, 2, 0).numpy())
        _, logits = full_pass(net, pixels.normalise(pixels.prepare(picture)[None], torch.float32), prompt)
        return logits[-1, 0, ids].softmax(0) @ torch.tensor([5.0, 4.0, 3.0, 2.0, 1.0])

    return torch.stack([score(image) for image in images]).unsqueeze(1)


def assert_same(ours, expected):
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("task", TASKS)
def test_scores_are_those_of_a_plain_forward(metric, checkpoint, batch, task):
    scores = metric(batch, task_=task)
    assert scores.shape == (5, 1)
    assert scores.dtype == torch.float32
    assert not scores.requires_grad
    assert ((scores >= 1) & (scores <= 5)).all()
    assert scores.std() > 1e-3
    assert_same(scores, plain_scores(checkpoint, batch, task))


@pytest.mark.parametrize("task", TASKS)
def test_scores_on_the_recorded_checkpoint_are_those_of_a_plain_forward(batch, task):
    assert_same(OneAlign(TINY_MPLUG_OWL2, task=task)(batch), plain_scores(TINY_MPLUG_OWL2, batch, task))


def test_prompt_and_words_are_those_of_pyiqa():
    source = Path(pyiqa.__file__).parent / "archs" / "q_align" / "modeling_mplug_owl2.py"
    text = source.read_text(encoding="utf-8")
    in_code = PROMPT.replace("image?", "{}?").replace("the image is", "the {} is").replace("\n", r"\n")
    assert f'"{in_code}"' in text
    assert str(list(WORDS)).replace("'", '"').replace(" ", "") in text


def test_scores_do_not_depend_on_the_batch_or_order(metric, batch):
    together = metric(batch)
    assert_same(torch.cat([metric(image[None]) for image in batch]), together)
    assert_same(metric(batch.flip(0)).flip(0), together)


def test_task_of_the_metric_holds_unless_a_call_names_one(checkpoint, metric, batch):
    aesthetic = OneAlign(checkpoint, task="aesthetic")
    assert_same(aesthetic(batch), metric(batch, task_="aesthetic"))
    assert_same(aesthetic(batch, task_="quality"), metric(batch))
    assert not torch.allclose(metric(batch), metric(batch, task_="aesthetic"), atol=1e-3)


def test_scores_do_not_depend_on_the_callers_autocast(metric, batch):
    with torch.autocast("cpu", torch.bfloat16):
        inside = metric(batch)
    assert_same(inside, metric(batch))


# in pyiqa


@pytest.fixture(scope="module")
def created(checkpoint):
    return pyiqa.create_metric("one-align", source=checkpoint, device="cpu")


def test_metric_is_one_of_pyiqas(created, metric, batch):
    assert "one-align" in pyiqa.list_models()
    assert_same(created(batch), metric(batch))
    assert_same(created(batch, task_="aesthetic"), metric(batch, task_="aesthetic"))
    assert created.lower_better is False
    assert created.metric_mode == "NR"
    assert created.score_range == "1, 5"


def test_metric_takes_files(created, metric, pictures):
    tall = pictures[1]
    assert_same(created(str(tall)), metric(to_tensor(Image.open(tall))[None]))


def test_the_large_model_is_no_part_of_the_network_and_is_not_copied(metric, batch):
    metric(batch)
    assert list(metric.parameters()) == []
    assert metric.state_dict() == {}
    assert copy.deepcopy(metric)._scorer is metric._scorer is not None


def test_nothing_large_is_loaded_before_the_first_score(checkpoint):
    assert OneAlign(checkpoint)._scorer is None


# errors


def test_misspelt_tasks_name_the_nearest(checkpoint, metric, batch):
    with pytest.raises(ValueError, match=r"task must be one of .*'qualty'. Did you mean 'quality'"):
        OneAlign(checkpoint, task="qualty")
    with pytest.raises(ValueError, match=r"task_ must be one of .*Did you mean 'aesthetic'"):
        metric(batch, task_="aestetic")


def test_images_of_the_wrong_kind_are_refused(metric, batch):
    with pytest.raises(ValueError, match=r"For one image use x\.unsqueeze\(0\)"):
        metric(batch[0])
    with pytest.raises(ValueError, match=r"RGB in \[0, 1\]"):
        metric(batch * 255)


def test_an_absent_directory_is_named_at_creation():
    with pytest.raises(FileNotFoundError, match=r"metric one-align .* directory './absent' does not exist"):
        OneAlign("./absent")


def test_an_unreachable_hub_is_reported_at_creation_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "https://localhost")
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(
        ConnectionError, match=r"hf download q-future/one-align .* one-align with source=\.\.\. takes a"
    ):
        pyiqa.create_metric("one-align", device="cpu")


# precision


def test_images_that_overflow_half_precision_are_repeated_in_fp32(tmp_path, monkeypatch):
    folder = write_saturating(tmp_path / "model", scale=3e4)
    gray = torch.full((1, 3, 40, 60), GRAY / 255)
    images = torch.cat([gray, to_tensor(random_picture(60, 40))[None], gray])
    half = OneAlign(folder, dtype="fp16")
    half(gray)
    passes, run = [], half._scorer._logits
    record = lambda x, task, dtype: passes.append((dtype, len(x))) or run(x, task, dtype)  # noqa: E731
    monkeypatch.setattr(half._scorer, "_logits", record)
    scores = half(images)
    assert passes == [(torch.float16, 3), (torch.float32, 1)]
    torch.testing.assert_close(scores, OneAlign(folder, dtype="fp32")(images), rtol=0, atol=0.02)
    assert_same(scores[0], scores[2])


def test_quantized_scores_are_near_the_full_ones(checkpoint, metric, batch):
    pytest.importorskip("bitsandbytes", reason="weights in 8 bits need bitsandbytes")
    torch.testing.assert_close(OneAlign(checkpoint, quantization="8bit")(batch), metric(batch), rtol=0, atol=0.2)


# nothing of others is touched

UNTOUCHED = """
import sys
import transformers.models.llama.modeling_llama as llama

def look():
    classes = {name: dict(vars(c)) for name, c in vars(llama).items() if isinstance(c, type)}
    return dict(vars(llama)), classes

before = look()
import pyiqa, torch
import maagiqa_pyiqa.semantics.mplug_owl2.extractor, maagiqa_pyiqa.semantics.transformers_lmm
pyiqa.create_metric("one-align", source=sys.argv[1], device="cpu")(torch.rand(1, 3, 40, 40))
after = look()
assert before == after
assert "LlamaDecoderLayer" in before[1]
print([name for name in sys.modules if "q_align" in name or "qalign" in name])
"""


def test_scoring_leaves_the_classes_of_transformers_alone_and_loads_nothing_of_pyiqas_qalign(checkpoint):
    command = [sys.executable, "-c", UNTOUCHED, str(checkpoint)]
    result = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "[]"
