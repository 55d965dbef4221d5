"""Any image-text model of transformers as semantic extractor, on tiny random models of several families."""

import functools
import json
import shutil

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file
from torchvision.transforms.functional import to_tensor

from maagiqa_pyiqa.archs.maagiqa_arch import MAAGIQA
from maagiqa_pyiqa.semantics.extractor import create_extractor, feature_dim_of
from maagiqa_pyiqa.semantics.prompts import QUESTIONS
from maagiqa_pyiqa.semantics.protocol import SemanticExtractor
from maagiqa_pyiqa.semantics.transformers_lmm import TransformersExtractor
from maagiqa_pyiqa.support import reachability
from tests.helpers.tiny_lmms import DIM, FAMILIES, TEXT, byte_tokenizer, chat_template, save


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """Save the model of a family with its processor, once, and return the folder."""
    return functools.cache(lambda family: save(family, tmp_path_factory.mktemp(family)))


# 5.24.0 asks its own output for a field that it lacks
BROKEN = pytest.mark.skipif(transformers.__version__ == "5.24.0", reason="transformers 5.24.0 cannot run Llama 4")
PARAMETERS = [pytest.param(name, marks=BROKEN if name == "llama4" else ()) for name in FAMILIES]


@pytest.fixture(scope="session", params=PARAMETERS)
def family(request):
    return request.param


@pytest.fixture(scope="session")
def folder(saved, family):
    return saved(family)


@pytest.fixture
def copy(saved, tmp_path):
    """Copy the folder of a family, to be changed."""
    return lambda family="llava": shutil.copytree(saved(family), tmp_path / "copy")


@pytest.fixture(scope="session")
def load():
    """Make an extractor of a folder, once for the same arguments."""
    return functools.cache(lambda folder, **options: create_extractor(f"transformers:{folder}", **options))


@pytest.fixture(scope="session")
def extractor(load, folder):
    return load(folder)


@pytest.fixture(scope="session")
def pictures():
    """Five images of noise, wide, high and square."""
    noise = np.random.default_rng(0)
    sizes = [(60, 40), (40, 90), (64, 64), (120, 30), (33, 57)]
    return [Image.fromarray(noise.integers(0, 256, (h, w, 3), dtype=np.uint8)) for w, h in sizes]


class Oracle:
    """transformers as its documentation has it: one conversation at a time, put together by the processor itself."""

    def __init__(self, folder):
        self.processor = transformers.AutoProcessor.from_pretrained(folder)
        self.model = transformers.AutoModelForImageTextToText.from_pretrained(folder).eval()

    def inputs(self, picture, question):
        content = [{"type": "image", "image": picture}, {"type": "text", "text": question}]
        options = {"add_generation_prompt": True, "tokenize": True, "return_dict": True, "return_tensors": "pt"}
        messages = [{"role": "user", "content": content}]
        return self.processor.apply_chat_template(messages, **options).to(torch.float32)

    @torch.no_grad()
    def feature(self, picture, question):
        seen = []
        with self.model.get_output_embeddings().register_forward_pre_hook(lambda _, args: seen.append(args[0])):
            out = self.model(**self.inputs(picture, question), output_hidden_states=True)
        if type(self.model) is not transformers.Llama4ForConditionalGeneration:  # which returns it before its norm
            assert torch.equal(out.hidden_states[-1], seen[0])
        return seen[0].mean(1)[0]

    def features(self, pictures):
        return torch.stack([torch.stack([self.feature(x, q) for q in QUESTIONS.values()]) for x in pictures])


@pytest.fixture(scope="session")
def oracle(folder):
    return Oracle(folder)


@pytest.fixture(scope="session")
def expected(oracle, pictures):
    return oracle.features(pictures)


def assert_same(features, expected):
    torch.testing.assert_close(features, expected, rtol=0, atol=1e-5)


# ---------------------------------------------------------------------------------------------------------- features


def test_protocol_is_kept(extractor, pictures):
    features = extractor.extract(pictures)
    assert isinstance(extractor, SemanticExtractor)
    assert features.shape == (5, len(extractor.prompts), extractor.feature_dim) == (5, 2, DIM)
    assert tuple(extractor.prompts) == tuple(QUESTIONS)
    assert features.dtype == torch.float32
    assert features.device.type == "cpu"
    assert not features.requires_grad
    torch.nn.Linear(DIM, 1)(features).sum().backward()  # inference tensors would refuse


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5])
def test_features_are_the_mean_last_state_of_each_image_alone_whatever_the_batch(
    extractor, pictures, expected, batch_size, monkeypatch
):
    monkeypatch.setattr(extractor, "batch_size", batch_size)
    assert_same(extractor.extract(pictures), expected)


def test_images_of_one_batch_take_differently_many_positions(oracle, family, pictures):
    """So that the tests of batches are tests of padding."""
    lengths = {oracle.inputs(picture, "?")["input_ids"].shape[1] for picture in pictures[:3]}
    assert len(lengths) == 1 if family == "llava" else len(lengths) > 1


def test_padding_stands_last(extractor, pictures):
    """Where a position counts from the first, as in rotary embeddings of half precision, padding must not shift it."""
    for _, text, _ in extractor.fingerprint_parts["prompts"]:
        mask = extractor._inputs(text, pictures)["attention_mask"]
        assert (mask.diff(dim=1) <= 0).all()


def test_features_tell_images_and_prompts_apart(expected):
    assert torch.pdist(expected.flatten(1)).min() > 0.1
    assert (expected[:, 0] - expected[:, 1]).norm(dim=-1).min() > 0.1


def test_order_is_kept(extractor, pictures, expected):
    assert_same(extractor.extract(pictures[::-1]).flip(0), expected)
    assert [index for index, _ in extractor.stream(pictures)] == [0, 1, 2, 3, 4]


def test_paths_images_and_tensors_agree(extractor, pictures, expected, tmp_path):
    for index, picture in enumerate(pictures):
        picture.save(tmp_path / f"{index}.png")
    paths = sorted(tmp_path.iterdir())
    for images in (paths, [str(path) for path in paths], iter(pictures), [to_tensor(p) for p in pictures]):
        assert_same(extractor.extract(images), expected)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_images_of_other_modes_are_taken_as_rgb(extractor, pictures, mode):
    others = [picture.convert(mode) for picture in pictures[:2]]
    assert_same(extractor.extract(others), extractor.extract([picture.convert("RGB") for picture in others]))


def test_images_of_one_pixel_work(extractor, pictures):
    assert extractor.extract([Image.new("RGB", (1, 1)), pictures[0], Image.new("L", (3, 3))]).isfinite().all()


def test_no_images_give_no_features(extractor):
    assert extractor.extract([]).shape == (0, 2, DIM)


def test_a_stream_may_be_left_early(extractor, pictures, expected):
    assert_same(next(extractor.stream(pictures))[1], expected[0])


def test_features_do_not_depend_on_the_callers_autocast(extractor, pictures, expected):
    with torch.autocast("cpu", torch.bfloat16):
        assert_same(extractor.extract(pictures), expected)


def test_half_precision_is_close(load, folder, pictures, expected):
    rough = load(folder, dtype="bf16").extract(pictures)
    assert rough.dtype == torch.float32
    assert (rough - expected).abs().max() > 1e-4  # it is half precision
    assert torch.cosine_similarity(rough, expected, dim=-1).min() > 0.995


def test_network_takes_its_width_from_the_model_and_scores_a_bare_image(extractor, folder, tiny_options):
    options = {name: value for name, value in tiny_options.items() if name != "feature_dim"}
    net = MAAGIQA(semantics=f"transformers:{folder}", **options).eval()
    x = torch.rand(2, 3, 50, 70, generator=torch.Generator().manual_seed(0))
    assert net.options.feature_dim == feature_dim_of(f"transformers:{folder}") == DIM
    with torch.no_grad():
        torch.testing.assert_close(net(x), net(x, extractor.extract(x)))
        assert net(x).shape == (2, 1)


def test_no_cache_is_filled_for_words_that_nobody_asked_for(extractor, pictures):
    """Which for a large model takes gigabytes."""
    caches = []
    with extractor.model.base_model.register_forward_hook(lambda *args: caches.append(args[-1].past_key_values)):
        extractor.extract(pictures[:1])
    assert caches == [None, None]


def test_width_is_known_where_the_config_does_not_say_it(copy):
    """As in LLaVA-1.5: whatever is as in Llama by default is left out."""
    folder = copy()
    with_json("config.json", text_config={"model_type": "llama"})(folder)
    assert feature_dim_of(f"transformers:{folder}") == transformers.LlamaConfig().hidden_size


@pytest.mark.parametrize("batch_size", [0, -1])
def test_batches_of_nothing_are_refused(saved, batch_size):
    with pytest.raises(ValueError, match=r"batch_size .* must be at least 1"):
        TransformersExtractor(saved("llava"), batch_size=batch_size)


# ------------------------------------------------------------------------------------------------------------ errors


def test_stream_reports_a_bad_image_in_its_place_and_goes_on(extractor, pictures, expected, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_text("no image at all")
    (first, good), (second, error), (third, other) = extractor.stream([pictures[0], bad, pictures[1]])
    assert (first, second, third) == (0, 1, 2)
    assert_same(torch.stack([good, other]), expected[:2])
    assert isinstance(error, Exception)
    with pytest.raises(ValueError, match=r"bad\.png"):
        raise error


def test_image_that_the_processor_refuses_does_not_spoil_its_batch(load, saved, pictures):
    extractor = load(saved("qwen"), batch_size=3)
    long = Image.new("RGB", (300, 1))
    (_, good), (index, error), (_, other) = extractor.stream([pictures[0], long, pictures[1]])
    assert_same(torch.stack([good, other]), extractor.extract(pictures[:2]))
    assert index == 1
    with pytest.raises(ValueError, match="aspect ratio must be smaller than 200"):
        extractor.extract([long])
    assert isinstance(error, ValueError)


def without(*names):
    return lambda folder: [(folder / name).unlink() for name in names]


def with_json(name, **values):
    def change(folder):
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**content, **values}))

    return change


def with_template(text):
    return lambda folder: (folder / "chat_template.jinja").write_text(text)


def with_embedding(change):
    def rewrite(folder):
        weights = load_file(folder / "model.safetensors")
        change(weights, next(name for name in weights if name.endswith("embed_tokens.weight")))
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    return rewrite


def cut_short(folder):
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[:5000])


NOT_LOADED = "transformers cannot load '.*copy' as an image-text model: "
NO_IMAGE = "the chat template in '.*copy' takes no image: "
BROKEN = {
    "no chat template": (without("chat_template.jinja"), "'.*copy' has no chat template; choose an instruction-tuned"),
    "template of text alone": (
        with_template("{{ messages[0].content[1].text }}"),
        NO_IMAGE + ".*Found total 0 <image>",
    ),
    "template of plain strings": (with_template("{{ 'USER' + messages[0].content }}"), NO_IMAGE + "can only concat"),
    "template that refuses": (with_template("{{ raise_exception('be gone') }}"), NO_IMAGE + "be gone"),
    "no config": (without("config.json"), NOT_LOADED + "Unrecognized model"),
    "unknown model": (with_json("config.json", model_type="nonsense"), NOT_LOADED + ".*nonsense"),
    "config of nonsense": (with_json("config.json", vision_feature_layer="x"), NOT_LOADED + ".*vision_feature_layer"),
    "no processor": (without("processor_config.json"), NOT_LOADED + "Can't load image processor"),
    "no tokenizer": (without("tokenizer.json", "tokenizer_config.json"), NOT_LOADED + ".*tokenizer"),
    "no weights": (without("model.safetensors"), NOT_LOADED + ".*no file named model.safetensors"),
    "weights cut short": (cut_short, NOT_LOADED + "Error while deserializing header"),
    "a weight missing": (with_embedding(dict.pop), r"lacks 1 weights .*embed_tokens\.weight"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_directory_is_refused_with_the_reason(copy, name):
    change, message = BROKEN[name]
    folder = copy()
    change(folder)
    with pytest.raises(ValueError, match=message):
        create_extractor(f"transformers:{folder}")


def test_model_without_eyes_is_refused(tmp_path):
    tokenizer = byte_tokenizer([])
    transformers.LlamaForCausalLM(transformers.LlamaConfig(vocab_size=len(tokenizer), **TEXT)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"as an image-text model: Unrecognized configuration class .*LlamaConfig"):
        create_extractor(f"transformers:{tmp_path}")


@pytest.mark.parametrize("source", ["/nowhere/at/all", "./nowhere", "nowhere", "~/nowhere/at/all"])
def test_absent_directory_is_named(source):
    with pytest.raises(FileNotFoundError, match=f"transformers.*: directory '{source}' does not exist"):
        create_extractor(f"transformers:{source}")


def test_unreachable_hub_is_reported_with_what_to_do(monkeypatch):
    monkeypatch.setattr(reachability, "is_reachable", lambda *args: False)
    with pytest.raises(ConnectionError, match="cannot be reached from here") as caught:
        create_extractor("transformers:nobody/no-such-model")
    assert "hf download nobody/no-such-model --local-dir DIR" in str(caught.value)
    assert "takes a directory wherever it takes a hub id" in str(caught.value)


SPY = """
from pathlib import Path
Path({marker!r}).write_text("I ran")
from transformers import *
Config, Model, Processor, Tokenizer = LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor, LlamaTokenizer
def generate(model, *args, **kwargs):
    return kwargs["input_ids"]
"""
AUTO_MAP = {
    "AutoConfig": "spy.Config",
    "AutoModelForImageTextToText": "spy.Model",
    "AutoProcessor": "spy.Processor",
    "AutoTokenizer": ["spy.Tokenizer", "spy.Tokenizer"],
}


@pytest.fixture
def spied(copy, tmp_path):
    """A folder with code in all places that transformers looks for some, and the file that the code would write."""
    folder, marker = copy(), tmp_path / "marker"
    (folder / "custom_generate").mkdir()
    for name in ("spy.py", "custom_generate/generate.py"):
        (folder / name).write_text(SPY.format(marker=str(marker)))
    for name in ("config.json", "processor_config.json", "tokenizer_config.json"):
        with_json(name, auto_map=AUTO_MAP)(folder)
    return folder, marker


def test_code_beside_a_known_model_is_not_run(spied, pictures):
    folder, marker = spied
    extractor = create_extractor(f"transformers:{folder}")
    extractor.extract(pictures[:1])
    list(extractor.describe(pictures[0], "coherence", limit=2))
    assert not marker.exists()


def test_model_that_is_nothing_but_its_code_is_refused(spied):
    folder, marker = spied
    with_json("config.json", model_type="spy")(folder)
    with pytest.raises(ValueError, match=NOT_LOADED):
        create_extractor(f"transformers:{folder}")
    assert not marker.exists()


# -------------------------------------------------------------------------------------------------- what is asked


def test_question_is_asked_in_the_template_of_the_model(load, saved):
    asked = load(saved("llava")).fingerprint_parts["prompts"]
    expected = [[name, f"USER: <image>\n{question} ASSISTANT:"] for name, question in QUESTIONS.items()]
    assert [[name, text] for name, text, _ in asked] == expected


def test_another_template_gives_other_features(copy, load, saved, pictures):
    folder = copy()
    with_template("<image> PLEASE {{ messages[0].content[1].text }}")(folder)
    features = create_extractor(f"transformers:{folder}").extract(pictures[:1])
    assert_same(features, Oracle(folder).features(pictures[:1]))
    assert (features - load(saved("llava")).extract(pictures[:1])).abs().max() > 0.01


def test_template_may_be_the_tokenizers(copy, load, saved):
    folder = copy()
    with_json("tokenizer_config.json", chat_template=(folder / "chat_template.jinja").read_text())(folder)
    without("chat_template.jinja")(folder)
    assert create_extractor(f"transformers:{folder}").fingerprint == load(saved("llava")).fingerprint


def test_other_questions_may_be_asked(saved, pictures):
    questions = {"sharpness": "Is it sharp?", "coherence": QUESTIONS["coherence"], "noise": "Is it noisy?"}
    extractor = create_extractor(f"transformers:{saved('llava')}", questions=questions)
    features = extractor.extract(pictures[:2])
    assert tuple(extractor.prompts) == ("sharpness", "coherence", "noise")
    assert features.shape == (2, 3, DIM)
    assert_same(features[:, 1], Oracle(saved("llava")).features(pictures[:2])[:, 1])


# ------------------------------------------------------------------------------------------------------- fingerprint


def test_fingerprint_is_of_the_content_and_of_nothing_else(extractor, copy, family):
    again = create_extractor(f"transformers:{copy(family)}", dtype="fp32", batch_size=7)
    assert again.fingerprint_parts == extractor.fingerprint_parts
    assert again.fingerprint == extractor.fingerprint


def test_fingerprint_does_not_change_with_the_version_of_transformers(load, saved, copy, monkeypatch):
    before = load(saved("llava")).fingerprint
    monkeypatch.setattr(transformers.configuration_utils, "__version__", "5.99.0")
    assert create_extractor(f"transformers:{copy()}").fingerprint == before


def with_pixels(**values):
    def change(folder):
        content = json.loads((folder / "processor_config.json").read_text())
        content["image_processor"].update(values)
        (folder / "processor_config.json").write_text(json.dumps(content))

    return change


def with_tokens_swapped(folder):
    content = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = content["model"]["vocab"]
    vocabulary["a"], vocabulary["e"] = vocabulary["e"], vocabulary["a"]
    (folder / "tokenizer.json").write_text(json.dumps(content))


CHANGES = {
    "weights": with_embedding(lambda weights, name: weights[name].mul_(1.01)),
    "setting": with_json("config.json", vision_feature_layer=-1),
    "template": with_template(chat_template("<image>") + " "),
    "pixels": with_pixels(image_mean=[0.5, 0.5, 0.5]),
    "tokens": with_tokens_swapped,
}


@pytest.mark.parametrize("name", CHANGES)
def test_fingerprint_changes_with_all_that_the_numbers_depend_on(load, saved, copy, pictures, name):
    folder, before = copy(), load(saved("llava"))
    CHANGES[name](folder)
    after = create_extractor(f"transformers:{folder}")
    assert not torch.equal(after.extract(pictures), before.extract(pictures))
    assert after.fingerprint != before.fingerprint


def test_fingerprint_changes_with_dtype_and_questions(load, saved):
    folder = saved("llava")
    prints = {load(folder, dtype=dtype).fingerprint for dtype in ("fp32", "bf16", "fp16")}
    assert len(prints) == 3
    assert load(folder).fingerprint == load(folder, dtype="fp32").fingerprint  # on a CPU
    other = {**QUESTIONS, "coherence": "Is it coherent?"}
    assert create_extractor(f"transformers:{folder}", questions=other).fingerprint not in prints


# ---------------------------------------------------------------------------------------------------------- describe


@pytest.mark.parametrize("prompt", QUESTIONS)
def test_description_is_the_likeliest_answer_of_the_model(extractor, oracle, pictures, prompt):
    answer = "".join(extractor.describe(pictures[0], prompt, limit=12))
    inputs = oracle.inputs(pictures[0], QUESTIONS[prompt])
    ids = oracle.model.generate(**inputs, max_new_tokens=12, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    assert answer == oracle.processor.tokenizer.decode(ids, skip_special_tokens=True)
    assert answer
    assert answer == "".join(extractor.describe(to_tensor(pictures[0]), prompt, limit=12))


def test_description_is_no_longer_than_asked_for(extractor, pictures):
    short, long = ("".join(extractor.describe(pictures[1], "coherence", limit=limit)) for limit in (2, 20))
    assert len(short) <= 2 < len(long)


def test_describing_leaves_features_as_they_are(extractor, pictures, expected):
    list(extractor.describe(pictures[3], "coherence", limit=3))
    assert_same(extractor.extract(pictures[:2]), expected[:2])


def test_describing_no_image_is_refused(extractor, tmp_path):
    with pytest.raises(ValueError, match=r"absent\.png"):
        list(extractor.describe(tmp_path / "absent.png", "coherence"))
