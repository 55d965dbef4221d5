"""The packaged visual extractor keeps the protocol, and one bad image does not spoil its neighbours."""

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torchvision.transforms.functional import to_tensor

from maagiqa_pyiqa.images.decoding import UnreadableImageError
from maagiqa_pyiqa.images.tensors import INTERPOLATIONS, squash, squash_image
from maagiqa_pyiqa.semantics import visual
from maagiqa_pyiqa.semantics.extractor import create_extractor, feature_dim_of, parse_spec
from maagiqa_pyiqa.semantics.protocol import SemanticExtractor, fingerprint_of
from maagiqa_pyiqa.weights import packaged_weights


@pytest.fixture(scope="module")
def extractor():
    return create_extractor("visual")


@pytest.fixture(scope="module")
def extracted(extractor, image_paths):
    return extractor.extract(image_paths)


def test_visual_extractor_keeps_the_protocol(extractor, extracted):
    assert isinstance(extractor, SemanticExtractor)
    assert extracted.shape == (4, len(extractor.prompts), extractor.feature_dim) == (4, 2, 1280)
    assert extracted.dtype == torch.float32
    assert extracted.device.type == "cpu"
    assert extracted.isfinite().all()
    assert not extracted.requires_grad


@pytest.mark.parametrize("size", [(97, 61), (512, 512), (260, 260), (261, 1000), (1, 3), (1500, 1100)])
def test_an_image_is_prepared_channel_by_channel_to_the_same_bits(extractor, size):
    image = Image.effect_noise(size, 120).convert("RGB").effect_spread(9)
    image = Image.merge("RGB", [*image.split()[:2], image.getchannel(2).transpose(Image.Transpose.ROTATE_180)])
    for interpolation in INTERPOLATIONS:
        whole = squash(to_tensor(image)[None], 260, interpolation)[0]
        assert torch.equal(squash_image(image, 260, interpolation), whole)
    assert torch.equal(extractor._prepare(image), whole)  # the last of INTERPOLATIONS is the extractor's


def test_features_tell_images_and_prompts_apart(extracted):
    assert torch.pdist(extracted.flatten(1)).min() > 1
    assert (extracted[:, 0] - extracted[:, 1]).abs().mean() > 0.01
    assert (extracted[:, 1] >= 0).all()  # a deviation


def test_features_can_be_trained_on(extractor, image_paths):
    rows = torch.stack([row for _, row in extractor.stream(image_paths[:1])])
    for features in (extractor.extract(image_paths[:1]), rows, next(extractor.stream(image_paths[:1]))[1]):
        torch.nn.Linear(1280, 1)(features).sum().backward()  # inference tensors would refuse


def test_features_do_not_depend_on_the_batch(extractor, extracted, image_paths):
    torch.testing.assert_close(extractor.extract(image_paths[2:3]), extracted[2:3], rtol=0, atol=1e-5)
    ragged = create_extractor("visual", batch_size=3)
    torch.testing.assert_close(ragged.extract(image_paths), extracted, rtol=0, atol=1e-5)


def test_order_is_kept(extractor, extracted, image_paths):
    reverse = extractor.extract(image_paths[::-1])
    torch.testing.assert_close(reverse.flip(0), extracted, rtol=0, atol=1e-5)


def test_paths_images_and_tensors_agree(extractor, extracted, image_paths):
    pictures = [Image.open(path) for path in image_paths]
    tensor = torch.stack([to_tensor(picture.convert("RGB")) for picture in pictures])
    for images in ([str(path) for path in image_paths], pictures, tensor, iter(image_paths)):
        torch.testing.assert_close(extractor.extract(images), extracted, rtol=0, atol=1e-5)


def test_images_of_different_sizes_and_modes_go_into_one_batch(extractor, image_paths):
    picture = Image.open(image_paths[0])
    others = [picture.resize((90, 40)), picture.convert("L"), picture.convert("RGBA"), picture.convert("P")]
    assert extractor.extract([picture, *others]).shape == (5, 2, 1280)


def test_no_images_give_no_features(extractor):
    assert extractor.extract([]).shape == (0, 2, 1280)
    assert list(extractor.stream([])) == []


@pytest.fixture
def with_a_bad_one(image_paths, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_text("no image at all")
    return [image_paths[0], bad, image_paths[1]]


def test_stream_reports_a_bad_image_in_its_place_and_goes_on(extractor, extracted, with_a_bad_one):
    (first, good), (second, error), (third, other) = extractor.stream(with_a_bad_one)
    assert (first, second, third) == (0, 1, 2)
    assert isinstance(error, Exception)
    torch.testing.assert_close(torch.stack([good, other]), extracted[:2], rtol=0, atol=1e-5)


def test_extract_raises_on_a_bad_image_and_names_it(extractor, with_a_bad_one):
    with pytest.raises((OSError, ValueError), match=r"bad\.jpg"):
        extractor.extract(with_a_bad_one)


def test_stream_reports_a_missing_image_too(extractor, image_paths, tmp_path):
    (_, error), (_, good) = extractor.stream([tmp_path / "absent.jpg", image_paths[0]])
    assert isinstance(error, UnreadableImageError)
    assert "no such file" in str(error)
    assert torch.is_tensor(good)


@pytest.mark.parametrize("bad", [torch.rand(8, 8), torch.full((3, 8, 8), torch.nan)], ids=["no channels", "NaN"])
def test_stream_reports_a_bad_tensor_in_its_place(extractor, bad):
    (_, good), (_, error) = extractor.stream([torch.rand(3, 8, 8), bad])
    assert torch.is_tensor(good)
    assert isinstance(error, Exception)


def test_grayscale_tensors_are_taken_as_the_network_takes_them(extractor):
    gray = torch.rand(1, 1, 40, 40, generator=torch.Generator().manual_seed(0))
    assert torch.equal(extractor.extract(gray), extractor.extract(gray.expand(1, 3, 40, 40)))


def test_stream_holds_three_batches_at_most(image_paths):
    taken = []
    stream = create_extractor("visual", batch_size=1).stream(taken.append(path) or path for path in image_paths * 2)
    for index, _ in stream:
        assert len(taken) - index <= 3
    assert len(taken) == 8


def test_features_do_not_depend_on_the_callers_autocast(extractor, extracted, image_paths):
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(extractor.extract(image_paths), extracted, rtol=0, atol=1e-5)


def test_folded_batch_norms_compute_the_same(extractor, extracted, image_paths):
    plain = visual.VisualEncoder().eval()
    weights = load_file(packaged_weights("visual_encoder"))
    plain.backbone.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    x = torch.cat([squash(to_tensor(Image.open(p).convert("RGB"))[None], 260, "cubic-antialias") for p in image_paths])
    with torch.no_grad():
        expected = plain(x)
    assert any(isinstance(module, torch.nn.BatchNorm2d) for module in plain.modules())
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in extractor._encoder.modules())
    assert (extracted - expected).norm() / expected.norm() < 1e-3


def test_half_precision_is_close(extracted, image_paths):
    rough = create_extractor("visual", dtype="bf16").extract(image_paths)
    assert rough.dtype == torch.float32
    assert torch.cosine_similarity(rough.flatten(1), extracted.flatten(1)).min() > 0.98


def test_fingerprint_is_stable_and_changes_with_the_dtype(extractor):
    assert extractor.fingerprint == create_extractor("visual").fingerprint
    assert extractor.fingerprint == create_extractor("visual", dtype="fp32").fingerprint
    prints = {create_extractor("visual", dtype=dtype).fingerprint for dtype in ("fp32", "bf16", "fp16")}
    assert len(prints) == 3


def test_fingerprint_depends_on_every_part_and_on_no_order():
    assert fingerprint_of({"a": 1, "b": 2}) == fingerprint_of({"b": 2, "a": 1})
    assert fingerprint_of({"a": 1}) != fingerprint_of({"a": 2}) != fingerprint_of({"b": 2})


@pytest.mark.parametrize("make", [create_extractor, parse_spec, feature_dim_of])
@pytest.mark.parametrize("name", ["visaul", "mplug-owl2x", ""])
def test_unknown_extractor_is_refused_with_what_there_is(make, name):
    known = "Known: mplug-owl2, mplug-owl2:DIR_OR_HUB_ID, transformers:DIR_OR_HUB_ID, .*visual"
    with pytest.raises(ValueError, match=f"there is no semantic extractor '{name}'.*{known}"):
        make(name)


@pytest.mark.parametrize("spec", ["visual:DIR", "transformers", "transformers:"])
def test_extractor_without_its_source_or_with_one_too_many_is_refused(spec):
    with pytest.raises(ValueError, match=f"semantic extractor '{spec}' is not one of: mplug-owl2, "):
        create_extractor(spec)


@pytest.mark.parametrize(("spec", "meant"), [("visaul", "visual"), ("mplug-owl", "mplug-owl2")])
def test_misspelt_extractor_names_the_nearest(spec, meant):
    with pytest.raises(ValueError, match=f"Did you mean '{meant}'"):
        create_extractor(spec)


def test_width_of_visual_features_is_known_without_weights(extractor):
    assert feature_dim_of("visual") == extractor.feature_dim


def test_misspelt_dtype_names_the_nearest():
    with pytest.raises(ValueError, match=r"dtype must be one of .* got 'bf61'\. Did you mean 'bf16'"):
        create_extractor("visual", dtype="bf61")
