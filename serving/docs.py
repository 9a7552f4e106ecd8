"""The page at /docs: the routes with their fields and an example each, made from the OpenAPI schema.

Litestar's own pages load their scripts, styles or icon from the Internet. This one is plain HTML and works without.
"""

from html import escape
from typing import Any, Final

import msgspec
from litestar import Request
from litestar.openapi.plugins import OpenAPIRenderPlugin

STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h2 { margin-top: 3rem; border-top: 1px solid #ccc; padding-top: 1rem; }
pre { background: #f4f4f4; padding: .8rem; overflow-x: auto; } code { font-size: .9em; }
td, th { text-align: left; vertical-align: top; padding: .2rem 1rem .2rem 0; }
@media (prefers-color-scheme: dark) { body { background: #1b1b1b; color: #ddd; } pre { background: #2a2a2a; } }
"""
"""The only style that browsers take from the page: serving.security_headers names it by its hash."""

Json = dict[str, Any]


class DocsPage(OpenAPIRenderPlugin):
    """Renders the schema of the app."""

    def __init__(self) -> None:
        super().__init__(path="/")

    def render(self, request: Request[Any, Any, Any], openapi_schema: Json) -> bytes:
        title = escape(openapi_schema["info"]["title"])
        base = str(request.base_url).rstrip("/")
        routes = [
            _route(method, path, operation, base)
            for path, methods in openapi_schema["paths"].items()
            for method, operation in methods.items()
        ]
        types = [_fields(name, schema) for name, schema in openapi_schema["components"]["schemas"].items()]
        page = f"""<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
<style>{STYLE}</style></head>
<body><h1>{title}</h1><p>The same for machines: <a href="/openapi.json">/openapi.json</a></p>
{"".join(routes)}<h2>Types</h2>{"".join(types)}</body></html>"""
        return page.encode()


def _route(method: str, path: str, operation: Json, base: str) -> str:
    parts = [f"<h2>{method.upper()} {escape(path)}</h2><p>{escape(operation['description'])}</p>"]
    key = ""
    for requirement in operation.get("security", [])[:1]:
        ((scope,),) = requirement.values()
        parts.append(f"<p>Needs a key with the scope <code>{escape(scope)}</code>.</p>")
        key = ' -H "Authorization: Bearer $RECSYS_KEY"'
    if body := operation.get("requestBody"):
        (content,) = body["content"].values()
        parts.append(f"<p>Body: {_type(content['schema'])}</p>")
        for example in content["schema"]["examples"]:
            command = f"curl -X POST {base}{path}{key} -d '{msgspec.json.encode(example).decode()}'"
            parts.append(f"<pre><code>{escape(command)}</code></pre>")
    for status, answer in operation["responses"].items():
        for content in answer["content"].values():
            parts.append(f"<p><b>{escape(status)}</b> {escape(answer['description'])}: {_type(content['schema'])}</p>")
            for example in content.get("examples", {}).values():
                text = msgspec.json.format(msgspec.json.encode(example["value"])).decode()
                parts.append(f"<pre><code>{escape(text)}</code></pre>")
    return "".join(parts)


def _fields(name: str, schema: Json) -> str:
    """The table of an object's fields."""
    rows = []
    for field, about in schema["properties"].items():
        presence = "" if field in schema["required"] else ", optional"
        cells = (f"<code>{escape(field)}</code>", _type(about) + presence, escape(_meaning(about)))
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return f'<h3 id="{escape(name)}">{escape(name)}</h3><table>{"".join(rows)}</table>'


def _meaning(schema: Json) -> str:
    """What is said of a field, or of what it is where it is not null."""
    of_choices = [choice.get("description", "") for choice in schema.get("anyOf", ())]
    return str(schema.get("description") or "".join(of_choices))


def _type(schema: Json) -> str:
    """The type in words; an object's name leads to its table."""
    if reference := schema.get("$ref"):
        name = escape(reference.rsplit("/", 1)[-1])
        return f'<a href="#{name}">{name}</a>'
    if choices := schema.get("oneOf") or schema.get("anyOf") or schema.get("allOf"):
        return " or ".join(_type(choice) for choice in choices)
    if "items" in schema:
        return f"array of {_type(schema['items'])}"
    return escape(" | ".join(schema["enum"]) if "enum" in schema else str(schema.get("type", "anything")))
