"""Holding requests and answers to an OpenAPI 3.0 description: its shapes as JSON Schema, its paths by their templates."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import jsonschema
from jsonschema.protocols import Validator

_METHODS = ("get", "post", "patch", "put", "delete")


class Description:
    """An API description. `answer` and `request` fail the test when what was sent is not as described."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._components = {kind: {name: _schema(one) for name, one in members.items()} for kind, members in document["components"].items()}

    def validator(self, schema: Mapping[str, Any]) -> Validator:
        """A validator of a shape of the description, formats included."""
        whole = {**_schema(schema), "components": self._components}
        return jsonschema.Draft202012Validator(whole, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)

    def operation(self, method: str, path: str) -> tuple[str, Mapping[str, Any]]:
        """The template that a path answers to, and what is said of the method there."""
        for template, item in self._document["paths"].items():
            pattern = re.sub(r"\{[^}]+\}", "[^/]+", template)
            if re.fullmatch(pattern, path) and method.lower() in item:
                assert method.lower() in _METHODS
                return template, item[method.lower()]
        raise AssertionError(f"{method} {path} is not described")

    def answer(self, method: str, path: str, status: int, body: Any) -> None:
        """The body of an answer is of the shape that is described for its status."""
        _, operation = self.operation(method, path)
        assert str(status) in operation["responses"], f"{method} {path} is not described to answer {status}"
        content = operation["responses"][str(status)].get("content")
        if content is not None:
            self.validator(content["application/json"]["schema"]).validate(body)

    def request(self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: Any) -> None:
        """A request names described parameters only, of the right types, and its body is of the described shape."""
        template, operation = self.operation(method, path)
        parameters = [
            self._parameter(one) for one in (*self._document["paths"][template].get("parameters", ()), *operation.get("parameters", ()))
        ]
        known = {one["name"]: one for one in parameters if one["in"] == "query"}
        for name, value in query.items():
            found = known.get("metadata" if name.startswith("metadata[") else name)
            assert found is not None, f"{method} {template} takes no parameter {name}"
            if not name.startswith("metadata["):
                self.validator(found["schema"]).validate(_typed(value, found["schema"].get("type")))
        needed = {one["name"].lower() for one in parameters if one["in"] == "header" and one.get("required")}
        assert needed <= set(headers)
        if "requestBody" in operation:
            self.validator(operation["requestBody"]["content"]["application/json"]["schema"]).validate(body)
        else:
            assert body is None

    def _parameter(self, one: Mapping[str, Any]) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._document["components"]["parameters"][one["$ref"].rpartition("/")[2]] if "$ref" in one else one
        return found


def _typed(value: str, kind: str | None) -> Any:
    if kind == "integer":
        return int(value)
    return {"true": True, "false": False}.get(value, value) if kind == "boolean" else value


def _schema(part: Any) -> Any:
    """A shape of OpenAPI 3.0 as JSON Schema: what is nullable may be null, also where it is told beside a reference."""
    if isinstance(part, list):
        return [_schema(one) for one in part]
    if not isinstance(part, dict):
        return part
    inner = {name: _schema(value) for name, value in part.items() if name not in ("nullable", "example", "deprecated")}
    return {"anyOf": [{"type": "null"}, inner]} if part.get("nullable") is True else inner
