"""Bodies of requests and responses, version 1; ``tests/serving/openapi.json`` records them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from maagiqa_pyiqa.serving import wire

Score = Annotated[float, Field(allow_inf_nan=False)]


class Strict(BaseModel):
    """Nothing unknown is taken, and nothing of another type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Options(Strict):
    """What is asked for. In a form it is the field `options`, as JSON; it may be left out."""

    schema_: Annotated[Literal[1], Field(alias="schema", description="version of this schema")] = wire.SCHEMA
    metric: Annotated[
        str | dict[str, Score] | None,
        Field(description="a metric served here, or several with their weights; by default the first"),
    ] = None
    normalize: Annotated[
        Literal["mos", "unit", "zscore"] | None, Field(description="scale of scores, as for `make_reward`")
    ] = None


class EncodedImage(Strict):
    """A PNG, WebP or JPEG file, or a safetensors file that holds one tensor."""

    data: Annotated[str, Field(description=f"its bytes in base64; of a safetensors file {wire.TENSOR_SHAPES}")]
    name: Annotated[str, Field(max_length=200, description="comes back with the scores")] = ""


class ScoreRequest(Options):
    """Images to score, in JSON."""

    images: Annotated[list[EncodedImage], Field(min_length=1)]


class ImageResult(BaseModel):
    """What became of one image."""

    name: Annotated[str, Field(description="as given; of an image in a tensor with its place, such as `images[0][3]`")]
    score: Annotated[Score | None, Field(description="reward, higher for better images; null where there is none")]
    error: Annotated[str | None, Field(description="why there is no score")]
    raw: Annotated[dict[str, Score], Field(description="scores by metric as the metric gives them")]
    gates: Annotated[
        dict[str, list[float]], Field(description="weights of experts by metric that has any, quality last")
    ]
    distances: Annotated[
        dict[str, Score],
        Field(
            description="from the training images, by metric of which that is known; beyond 1 an image is out of their "
            "distribution"
        ),
    ]


class ScoreResponse(BaseModel):
    """Results in the order of the images."""

    schema_: Annotated[Literal[1], Field(alias="schema")] = wire.SCHEMA
    results: list[ImageResult]


class Refusal(BaseModel):
    """Why a request is not answered with scores."""

    error: str


class EngineHealth(BaseModel):
    """A scoring process."""

    device: str
    state: Literal["starting", "ready", "down"]
    restarts: int
    problem: str | None


class Health(BaseModel):
    """Whether images can be scored."""

    schema_: Annotated[Literal[1], Field(alias="schema")] = wire.SCHEMA
    status: Literal["ok", "degraded", "down"]
    version: str
    metrics: list[str]
    engines: list[EngineHealth]
    waiting: Annotated[int, Field(description="images in the queue")]


class Cards(BaseModel):
    """What is known of the metrics."""

    schema_: Annotated[Literal[1], Field(alias="schema")] = wire.SCHEMA
    cards: Annotated[
        dict[str, dict[str, Any] | None],
        Field(
            description="by metric, as `maagiqa_pyiqa.card` tells it; null of one with other than its published weights"
        ),
    ]


def body_of_score() -> dict[str, Any]:
    """The two forms of a request to score, for the OpenAPI document."""
    form = {
        "type": "object",
        "required": [wire.IMAGES_FIELD],
        "properties": {
            wire.IMAGES_FIELD: {
                "type": "array",
                "items": {"type": "string", "format": "binary"},
                "description": f"PNG, WebP or JPEG files, or safetensors files of one tensor, {wire.TENSOR_SHAPES}",
            },
            wire.OPTIONS_FIELD: {"type": "string", "description": "Options as JSON"},
        },
    }
    json_schema = ScoreRequest.model_json_schema(ref_template="#/components/schemas/{model}")
    inner = {name: value for name, value in json_schema.pop("$defs").items() if name == "EncodedImage"}
    json_schema["properties"]["images"]["items"] = inner["EncodedImage"]
    return {
        "requestBody": {
            "required": True,
            "content": {"multipart/form-data": {"schema": form}, "application/json": {"schema": json_schema}},
        }
    }
