"""Answers as semantic features: through extraction, the cache, metrics; with another encoder an error."""

import shutil

import pyiqa
import pytest
import torch
from PIL import Image
from torchvision.transforms.functional import to_tensor

from maagiqa_pyiqa.cache.reader import CacheReader
from maagiqa_pyiqa.cli.main import main
from maagiqa_pyiqa.semantics.answers.extractor import NotAnsweredError
from maagiqa_pyiqa.semantics.answers.store import TEXT_PROMPT, Asked, writing
from maagiqa_pyiqa.semantics.extractor import create_describer, create_extractor, extractor_fingerprint, feature_dim_of
from maagiqa_pyiqa.semantics.protocol import DescribingExtractor
from tests.helpers.answer_folders import ASKED, fit, text_of, write_answers
from tests.helpers.fake_extractor import write_pictures

D = 4096 + 2


@pytest.fixture
def images(tmp_path):
    return write_pictures(tmp_path / "images", 6)


@pytest.fixture
def folder(tmp_path, images):
    folder = write_answers(tmp_path / "answers", images)
    fit(folder, images[:4])
    return folder


def copy_with(folder, name, **options):
    """The same answers with another encoder."""
    other = shutil.copytree(folder, folder.with_name(name))
    images = options.pop("images", None) or [folder.with_name("images")]
    fit(other, images, replace=True, **options)
    return other


def test_vectors_are_the_words_then_yes_and_no(folder, images):
    extractor = create_extractor(f"answers:{folder}")
    assert isinstance(extractor, DescribingExtractor)
    assert (tuple(extractor.prompts), extractor.feature_dim) == (("semantic_content", "coherence"), D)
    assert feature_dim_of(f"answers:{folder}") == D
    features = extractor.extract(images)
    words = extractor.encoding.encoder.encode([text_of(3, "coherence")])[0]
    assert features.shape == (6, 2, D)
    assert torch.equal(features[3, 1, :-2], words)
    torch.testing.assert_close(features[3, :, -2:], torch.tensor([[0.3, 0.05]] * 2))


def test_images_are_found_by_content_as_files_pictures_and_tensors(folder, images, tmp_path):
    extractor = create_extractor(f"answers:{folder}")
    expected = extractor.extract(images)
    Image.open(images[0]).save(tmp_path / "other.bmp")
    assert torch.equal(extractor.extract([tmp_path / "other.bmp"]), expected[:1])
    pictures = [Image.open(path) for path in images]
    assert torch.equal(extractor.extract(pictures), expected)
    assert torch.equal(extractor.extract(torch.stack([*map(to_tensor, pictures)])), expected)


def test_an_image_that_was_not_asked_about_is_named_with_the_command(folder, images, tmp_path):
    other = write_pictures(tmp_path / "other", 1, first=9)[0]
    extractor = create_extractor(f"answers:{folder}")
    (_, hit), (_, miss) = extractor.stream([images[0], other])
    assert torch.is_tensor(hit)
    assert isinstance(miss, NotAnsweredError)
    with pytest.raises(
        NotAnsweredError, match=rf"no answer about image '{other}' to: semantic_content, coherence; ask"
    ):
        extractor.extract([other])


def test_the_text_prompt_is_a_third_expert_of_its_own_name(folder, images):
    extractor = create_extractor(f"answers:{copy_with(folder, 'aligned', alignment=True)}")
    features = extractor.extract(images)
    assert tuple(extractor.prompts) == ("semantic_content", "coherence", "alignment")
    vectors = extractor.encoding.encoder.encode(
        [text_of(2, question) for question in ("semantic_content", "coherence", "")]
    )
    assert torch.equal(features[2, :, :-2], vectors)
    cosines = torch.cosine_similarity(vectors[2], vectors[:2], dim=1)
    assert 0 < cosines.min() < cosines.max()
    torch.testing.assert_close(features[2, 2, -2:], torch.stack([cosines.mean(), cosines.max()]))


def test_without_its_text_prompt_an_image_has_no_third_expert(images, tmp_path):
    folder = write_answers(tmp_path / "without", images, prompts=False)
    with pytest.raises(ValueError, match=rf"no answer about '{images[0]}' to: {TEXT_PROMPT}"):
        fit(folder, images, alignment=True)


def test_the_fingerprint_covers_model_questions_sampling_and_the_fitted_encoder(folder, images, tmp_path):
    prints = {create_extractor(f"answers:{folder}").fingerprint}
    changes = [{"model": "other"}, {"sampling": {"temperature": 1}}, {"questions": {"coherence": "?", "other": "!"}}]
    for number, change in enumerate(changes):
        other = write_answers(tmp_path / f"asked{number}", images, Asked(**{**ASKED.__dict__, **change}))
        fit(other, images[:4])
        prints.add(create_extractor(f"answers:{other}").fingerprint)
    prints.add(create_extractor(f"answers:{copy_with(folder, 'more', images=images[:5])}").fingerprint)
    prints.add(
        create_extractor(f"answers:{copy_with(folder, 'aligned', images=images[:4], alignment=True)}").fingerprint
    )
    assert len(prints) == 6


def test_answers_about_further_images_change_no_fingerprint_but_kept_scores_are_told_apart(folder, images, tmp_path):
    before, source_before = (
        create_extractor(f"answers:{folder}").fingerprint,
        extractor_fingerprint(f"answers:{folder}"),
    )
    write_answers(folder, write_pictures(tmp_path / "more", 1, first=20))
    assert create_extractor(f"answers:{folder}").fingerprint == before
    assert extractor_fingerprint(f"answers:{folder}") != source_before


def test_extracted_twice_features_are_the_same_to_the_bit(folder, images, tmp_path):
    command = ["extract", *map(str, images), "--semantics", f"answers:{folder}", "--cache-dtype", "float32", "--cache"]
    for name in ("a", "b"):
        assert main([*command, str(tmp_path / name)]) == 0
    one, other = (CacheReader.open(tmp_path / name) for name in ("a", "b"))
    assert one.manifest == other.manifest
    assert torch.equal(one.get(range(6)), other.get(range(6)))
    assert torch.equal(create_extractor(f"cache:{tmp_path / 'a'}").extract(images), one.get(range(6)))


def test_a_metric_scores_by_answers(folder, images):
    options = {"preset": "lite-2026a", "pretrained": None, "semantics": f"answers:{folder}"}
    metric = pyiqa.create_metric("maagiqa", device="cpu", **options)
    assert metric.net.options.feature_dim == D
    assert metric(str(images[0])).shape == (1, 1)


def test_describe_shows_the_answers(folder, images, capsys):
    assert main(["describe", str(images[1]), "--semantics", f"answers:{folder}"]) == 0
    assert text_of(1, "coherence") in capsys.readouterr().out
    aligned = create_describer(f"answers:{copy_with(folder, 'aligned', alignment=True)}")
    assert [*aligned.describe(images[1], "alignment")] == [text_of(1, "")]


def test_describe_names_an_image_that_was_not_asked_about(folder, tmp_path, capsys):
    other = write_pictures(tmp_path / "other", 1, first=9)[0]
    assert main(["describe", str(other), "--semantics", f"answers:{folder}"]) == 2
    assert f"has no answer about image '{other}' to: semantic_content, coherence; ask" in capsys.readouterr().err


# --------------------------------------------------------------------------------------------------------- text encoder


def test_a_folder_without_text_encoder_says_how_to_fit_one(images, tmp_path):
    folder = write_answers(tmp_path / "answers", images)
    with pytest.raises(FileNotFoundError, match=rf"has no text encoder .*: maagiqa answers fit {folder} IMAGES"):
        create_extractor(f"answers:{folder}")


def test_an_encoder_is_replaced_only_on_demand(folder, images):
    before = (folder / "encoder.json").read_bytes()
    with pytest.raises(ValueError, match="has a text encoder, and what was trained with it needs it; --replace"):
        fit(folder, images)
    assert (folder / "encoder.json").read_bytes() == before


@pytest.mark.parametrize("spec", ["hashd", "hashed:DIR", "sentence-transformers", ""])
def test_an_unknown_text_encoder_is_refused(folder, images, spec):
    with pytest.raises(
        ValueError, match=f"text encoder '{spec}' is not one of: hashed, sentence-transformers:DIR_OR_HUB"
    ):
        fit(folder, images, spec, replace=True)


@pytest.mark.parametrize("content", ["", "[]", '{"format": 1}', '{"format": 1, "encoder": "hashed", "idf": [1]}'])
def test_a_damaged_text_encoder_is_named(folder, content):
    (folder / "encoder.json").write_text(content)
    with pytest.raises(ValueError, match=r"encoder\.json' is no text encoder"):
        create_extractor(f"answers:{folder}")


def test_fitting_needs_answers(images, tmp_path):
    with writing(tmp_path / "empty", ASKED):
        pass
    with pytest.raises(ValueError, match="no answers to fit the text encoder on"):
        fit(tmp_path / "empty", [])
    with pytest.raises(ValueError, match=rf"no answer about '{images[0]}' to: semantic_content; ask first"):
        fit(tmp_path / "empty", images)
