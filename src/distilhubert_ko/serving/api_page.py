"""The page at /docs: the OpenAPI document as plain HTML without scripts."""

from html import escape
from typing import Any

DESCRIPTION = """\
Korean speech recognition: OpenAI's audio transcription API, live captions over a WebSocket, and a page.

Live captions: connect to `/v1/audio/stream` (subprotocol `captions`), send 16 kHz mono PCM16, little-endian, as binary
messages of any length, and `{"type": "stop"}` at the end. Messages come back as JSON: `partial` (text; replaces the
partial before), `final` (text, words; never changes, a partial follows), `done` (text, duration), `error` (error).
Only speech is captioned, unless the address has `?vad_filter=false`. `hotwords` names words to expect, with commas
between them.

`/v1/realtime?intent=transcription` speaks the transcription sessions of OpenAI's Realtime API."""

TEXT = {"type": ["string", "null"]}
REFUSED: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "An error in the shape of the OpenAI API's errors.",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["error"],
                    "properties": {
                        "error": {
                            "type": "object",
                            "required": ["message", "type", "param", "code"],
                            "properties": {
                                "message": {"type": "string"},
                                "type": {"type": "string"},
                                "param": TEXT,
                                "code": TEXT,
                            },
                        }
                    },
                }
            }
        },
    }
}
"""OpenAPI responses of every operation other than success."""


def api_page_html(document: dict[str, Any]) -> str:
    """Return an OpenAPI document as HTML."""
    schemas = document.get("components", {}).get("schemas", {})
    operations = [
        _operation(method.upper(), path, operation, schemas)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    title = escape(f"{document['info']['title']} {document['info']['version']}")
    paragraphs = "".join(f"<p>{escape(text)}</p>" for text in document["info"]["description"].split("\n\n"))
    return (
        f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width"><link rel="icon" href="/static/icon.svg">'
        '<link rel="stylesheet" href="/static/style.css">'
        f'<body><main><h1>{title}</h1>{paragraphs}<p>For programs: <a href="/openapi.json">openapi.json</a></p>'
        f"{''.join(operations)}</main></body></html>"
    )


def _operation(method: str, path: str, operation: dict[str, Any], schemas: dict[str, Any]) -> str:
    rows = [_row(each["name"], each["schema"], each.get("required", False)) for each in operation.get("parameters", [])]
    for content in operation.get("requestBody", {}).get("content", {}).values():
        schema = schemas[content["schema"]["$ref"].rpartition("/")[2]]
        required = schema.get("required", [])
        rows += [_row(name, each, name in required) for name, each in schema["properties"].items()]
    table = f"<table>{''.join(rows)}</table>" if rows else ""
    text = escape(operation.get("description", ""))
    return f"<h2><code>{method} {escape(path)}</code></h2><p>{text}</p>{table}"


def _row(name: str, schema: dict[str, Any], required: bool) -> str:
    text = schema.get("description", "")
    return f"<tr><td><code>{escape(name)}</code><td>{'required' if required else 'optional'}<td>{escape(text)}"
