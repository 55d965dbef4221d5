"""Tiny random image-text models of several families, as transformers saves published ones."""

import importlib.util

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

DIM = 32  # of the text models; that of the vision models is another
SEQUENCE = "<|begin_of_text|>"
TEXT = {
    "hidden_size": DIM,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
    "attention_dropout": 0.1,  # which is for training alone
}
VISION = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
TEMPLATE = (
    "BEGIN{% for m in messages %}{{ m.role.upper() }}: {% for c in m.content %}"
    "{% if c.type == 'image' %}IMAGE\n{% else %}{{ c.text }}{% endif %}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %} ASSISTANT:{% endif %}"
)


def chat_template(image, begin=""):
    return TEMPLATE.replace("BEGIN", begin).replace("IMAGE", image)


def byte_tokenizer(special, begin=None, **named):
    """One token a byte, and the special ones of a family; with ``begin`` it puts that before every text."""
    inner = Tokenizer(
        models.BPE(vocab={c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, merges=[])
    )
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens(["</s>", *special, *([begin] if begin else [])])
    if begin:
        pair = (begin, inner.token_to_id(begin))
        inner.post_processor = processors.TemplateProcessing(single=f"{begin} $A", special_tokens=[pair])
    names = {"bos_token": begin, "eos_token": "</s>", "model_input_names": ["input_ids", "attention_mask"]}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=inner, extra_special_tokens=named, **names)


def llava():
    """As many positions for every image; the tokenizer begins a text, the template does not; no padding token."""
    tokenizer = byte_tokenizer(["<image>"], begin="<s>")
    config = transformers.LlavaConfig(
        vision_config=transformers.CLIPVisionConfig(**VISION, image_size=32, patch_size=8),
        text_config=transformers.LlamaConfig(vocab_size=len(tokenizer), **TEXT),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    pixels = transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    layout = {"patch_size": 8, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1}
    processor = transformers.LlavaProcessor(pixels, tokenizer, **layout, chat_template=chat_template("<image>"))
    return transformers.LlavaForConditionalGeneration(config), processor


def qwen():
    """The larger the image, the more positions; positions in three dimensions."""
    marks = ["<|vision_start|>", "<|image_pad|>", "<|vision_end|>"]
    tokenizer = byte_tokenizer([*marks, "<|video_pad|>"])
    start, image, end, video = tokenizer.convert_tokens_to_ids([*marks, "<|video_pad|>"])
    vision = {"depth": 2, "hidden_size": 16, "intermediate_size": 24, "num_heads": 2, "patch_size": 4}
    rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1]}
    config = transformers.Qwen2_5_VLConfig(
        vision_config={**vision, "window_size": 16, "out_hidden_size": DIM, "fullatt_block_indexes": [1]},
        text_config={**TEXT, "vocab_size": len(tokenizer), "rope_parameters": rope},
        image_token_id=image,
        video_token_id=video,
        vision_start_token_id=start,
        vision_end_token_id=end,
    )
    pixels = transformers.Qwen2VLImageProcessor(patch_size=4, size={"shortest_edge": 16**2, "longest_edge": 64**2})
    videos = transformers.Qwen2VLVideoProcessor(patch_size=4)
    template = chat_template("".join(marks))
    processor = transformers.Qwen2_5_VLProcessor(pixels, tokenizer, videos, chat_template=template)
    return transformers.Qwen2_5_VLForConditionalGeneration(config), processor


def idefics(family="Idefics3", *videos):
    """Tiles, as many as an image has room for; both the tokenizer and the template begin a text."""
    tiles = [f"<row_{row}_col_{col}>" for row in range(1, 7) for col in range(1, 7)]
    marks = ["<image>", "<fake_token_around_image>", "<end_of_utterance>", "<global-img>"]
    tokenizer = byte_tokenizer([*marks, *tiles], begin=SEQUENCE)
    config = getattr(transformers, f"{family}Config")(
        vision_config={**VISION, "image_size": 16, "patch_size": 4},
        text_config=transformers.LlamaConfig(vocab_size=len(tokenizer), **TEXT),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
    )
    sizes = {"size": {"longest_edge": 32}, "max_image_size": {"longest_edge": 16}}
    pixels = getattr(transformers, f"{family}ImageProcessor")(**sizes)
    layout = {"image_seq_len": 4, "chat_template": chat_template("<image>", begin=SEQUENCE)}
    processor = getattr(transformers, f"{family}Processor")(pixels, tokenizer, *videos, **layout)
    return getattr(transformers, f"{family}ForConditionalGeneration")(config), processor


def smolvlm():
    return idefics("SmolVLM", transformers.SmolVLMVideoProcessor())


def internvl():
    """Tiles; the processor by itself would pad on the left."""
    names = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>"}
    tokenizer = byte_tokenizer([*names.values(), "<video>"], **names, video_token="<video>")
    config = transformers.InternVLConfig(
        vision_config={**VISION, "image_size": [16, 16], "patch_size": [4, 4]},
        text_config=transformers.Qwen2Config(vocab_size=len(tokenizer), **TEXT),
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
    )
    pixels = transformers.GotOcr2ImageProcessor(size={"height": 16, "width": 16}, max_patches=6, crop_to_patches=True)
    layout = {"image_seq_length": 4, "chat_template": chat_template("<IMG_CONTEXT>")}
    processor = transformers.InternVLProcessor(pixels, tokenizer, transformers.InternVLVideoProcessor(), **layout)
    return transformers.InternVLForConditionalGeneration(config), processor


def llama4():
    """Tiles, attention in chunks of positions, and no base model inside the model."""
    marks = [
        "<|image|>",
        "<|image_start|>",
        "<|image_end|>",
        "<|patch|>",
        "<|tile_x_separator|>",
        "<|tile_y_separator|>",
    ]
    tokenizer = byte_tokenizer(marks, begin=SEQUENCE)
    widths = {"vision_output_dim": 32, "projector_input_dim": 32, "projector_output_dim": 32, "intermediate_size": 64}
    layers = {"head_dim": 8, "intermediate_size_mlp": 48, "num_local_experts": 2, "no_rope_layers": [1, 0]}
    config = transformers.Llama4Config(
        vision_config={**VISION, **widths, "image_size": 16, "patch_size": 4},
        text_config={**TEXT, **layers, "vocab_size": len(tokenizer), "attention_chunk_size": 32},
        image_token_index=tokenizer.convert_tokens_to_ids("<|patch|>"),
    )
    pixels = transformers.Llama4ImageProcessor(size={"height": 16, "width": 16}, max_patches=4)
    template = chat_template("<|image|>", begin=SEQUENCE)
    processor = transformers.Llama4Processor(pixels, tokenizer, patch_size=4, chat_template=template)
    return transformers.Llama4ForConditionalGeneration(config), processor


FAMILIES = {build.__name__: build for build in (llava, qwen, idefics, internvl, llama4)}
if importlib.util.find_spec("num2words"):  # which its processor needs; the model is that of Idefics 3
    FAMILIES["smolvlm"] = smolvlm


def save(family, folder):
    """Save the model of a family with its processor."""
    torch.manual_seed(0)
    model, processor = FAMILIES[family]()
    for weights in model.parameters():
        if weights.ndim > 1:
            weights.data.normal_(std=0.2)  # enough for positions to see each other
    model.generation_config.do_sample = True  # as many published models
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
