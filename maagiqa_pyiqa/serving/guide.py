"""The page ``/docs``: what the OpenAPI document says, for people; it asks for nothing from outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from maagiqa_pyiqa.serving import wire
from maagiqa_pyiqa.support.pages import render_page

FOLDER = Path(__file__).with_name("page")


def guide(document: Mapping[str, Any], metrics: Sequence[str], url: str, token: bool) -> str:
    """Render the page.

    Args:
        document: OpenAPI.
        metrics: that are served.
        url: where the server was asked for this page.
        token: whether requests need one.
    """
    values = {
        "summary": document["info"]["summary"],
        "schema": wire.SCHEMA,
        "metrics": metrics,
        "url": url,
        "token": token,
        "routes": list(_routes(document)),
    }
    return render_page(FOLDER, [], values)


def _routes(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            statuses = {status: response["description"] for status, response in operation["responses"].items()}
            yield {
                "method": method.upper(),
                "path": path,
                "description": operation["description"],
                "fields": _fields(operation),
                "statuses": {**statuses, "200": "as asked"},
            }


def _fields(operation: Mapping[str, Any]) -> dict[str, str]:
    """Of a body in JSON, and what is said of images in a form."""
    content = operation.get("requestBody", {}).get("content")
    if content is None:
        return {}
    properties = content["application/json"]["schema"]["properties"]
    images = content["multipart/form-data"]["schema"]["properties"][wire.IMAGES_FIELD]["description"]
    told = {name: value["description"] for name, value in properties.items() if "description" in value}
    return {**told, wire.IMAGES_FIELD: f"{images}; in JSON each with its bytes in base64 as data, and perhaps a name"}
