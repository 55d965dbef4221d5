"""A model of sentence-transformers as text encoder, on a tiny random one in its published form."""

import json

import pytest
import torch
import transformers

pytest.importorskip("sentence_transformers", reason="it comes with the extra [text]")

from sentence_transformers import SentenceTransformer

from maagiqa_pyiqa.semantics.extractor import create_extractor, feature_dim_of
from tests.helpers.answer_folders import WORDS, fit, text_of, write_answers
from tests.helpers.fake_extractor import write_pictures

DIM = 16
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]


@pytest.fixture
def model(tmp_path):
    """Folder of a model."""
    transformer = tmp_path / "transformer"
    torch.manual_seed(0)
    sizes = {"hidden_size": DIM, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    config = transformers.BertConfig(vocab_size=len(VOCABULARY), **sizes, max_position_embeddings=64)
    transformers.BertModel(config).save_pretrained(transformer)
    (tmp_path / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    transformers.BertTokenizer(str(tmp_path / "vocab.txt")).save_pretrained(transformer)
    SentenceTransformer(str(transformer), device="cpu").save(str(tmp_path / "model"))  # with mean pooling
    return tmp_path / "model"


@pytest.fixture
def images(tmp_path):
    return write_pictures(tmp_path / "images", 4)


@pytest.fixture
def folder(tmp_path, images, model):
    folder = write_answers(tmp_path / "answers", images)
    fit(folder, images, f"sentence-transformers:{model}")
    return folder


def test_vectors_are_those_of_the_library_brought_to_the_length_of_a_vector_of_ones(folder, images, model):
    features = create_extractor(f"answers:{folder}").extract(images)
    assert features.shape == (4, 2, DIM + 2)
    assert feature_dim_of(f"answers:{folder}") == DIM + 2
    texts = [text_of(number, "coherence") for number in range(4)]
    vectors = torch.from_numpy(SentenceTransformer(str(model), device="cpu").encode(texts, normalize_embeddings=True))
    torch.testing.assert_close(features[:, 1, :-2], vectors * DIM**0.5)


def test_the_fingerprint_is_of_the_weights_wherever_they_are(folder, images, model, tmp_path):
    before = create_extractor(f"answers:{folder}").fingerprint
    moved = model.rename(tmp_path / "elsewhere")
    fit(folder, images, f"sentence-transformers:{moved}", replace=True)
    assert create_extractor(f"answers:{folder}").fingerprint == before


def test_other_weights_in_the_same_place_are_refused(folder, images, model):
    network = transformers.BertModel.from_pretrained(model)
    network.embeddings.word_embeddings.weight.data += 1
    network.save_pretrained(model)
    with pytest.raises(ValueError, match=r"has other weights than when it was chosen.*maagiqa answers fit --replace"):
        create_extractor(f"answers:{folder}").extract(images)


def test_halves_of_surrogate_pairs_are_encoded(folder):
    encoder = create_extractor(f"answers:{folder}").encoding.encoder
    assert encoder.encode(["sharp \ud83d sky", "\x00", ""]).isfinite().all()


def test_what_is_no_model_is_named(folder, images, model):
    (model / "modules.json").write_text(json.dumps([{"idx": 0, "name": "0", "path": "", "type": "nothing.Known"}]))
    with pytest.raises(ValueError, match=r"sentence-transformers cannot load '.*model'"):
        fit(folder, images, f"sentence-transformers:{model}", replace=True)
