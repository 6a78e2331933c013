"""docs/openapi.yaml and the route table name the same routes, methods and roles; and the page hangs together: every $ref has
its target, every path argument its parameter, every operation an answer."""

import pathlib
import re
import sys

import yaml

PAGE = pathlib.Path("docs/openapi.yaml")
TABLE = pathlib.Path("src/http/route_table.c")
ROW = re.compile(r'\{\s*"([A-Z]+)"\s*,\s*"(/[^"]*)"\s*,\s*ROLE_(\w+)')
METHODS = {"get", "put", "post", "patch", "delete", "head"}
ARGUMENT = re.compile(r"\{(\w+)\}")


def routes_of_table(text):
    return {(method, path): role.lower() for method, path, role in ROW.findall(text)}


def operations(page):
    for path, item in page["paths"].items():
        for method, operation in item.items():
            if method in METHODS:
                yield method.upper(), path, item, operation


def routes_of_page(page):
    """HEAD is GET's, and has no row of its own."""
    return {(method, path): operation.get("x-role") for method, path, _, operation in operations(page) if method != "HEAD"}


def compare(table, page):
    for method, path in sorted(table.keys() - page.keys()):
        yield f"{method} {path}: a route that docs/openapi.yaml does not describe"
    for method, path in sorted(page.keys() - table.keys()):
        yield f"{method} {path}: described, and there is no such route"
    for key in sorted(table.keys() & page.keys()):
        if table[key] != page[key]:
            yield f"{' '.join(key)}: x-role is {page[key]}, the route's is {table[key]}"


def resolve(page, ref):
    node = page
    for step in ref.removeprefix("#/").split("/"):
        if not isinstance(node, dict) or step not in node:
            return None
        node = node[step]
    return node


def references(node):
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def dangling(page):
    used = set(references(page))
    for ref in sorted(used):
        if resolve(page, ref) is None:
            yield f"{ref}: points to nothing"
    for kind in ("schemas", "parameters", "responses", "headers"):
        for name in page["components"].get(kind, {}):
            if f"#/components/{kind}/{name}" not in used:
                yield f"components/{kind}/{name}: used by nothing"


def incomplete(page):
    seen = set()
    for method, path, item, operation in operations(page):
        where = f"{method} {path}"
        named = set()
        for parameter in item.get("parameters", []) + operation.get("parameters", []):
            if "$ref" in parameter:
                parameter = resolve(page, parameter["$ref"]) or {}
            if parameter.get("in") == "path":
                named.add(parameter["name"])
        if named != set(ARGUMENT.findall(path)):
            yield f"{where}: path arguments {sorted(named)} are described"
        if not operation.get("summary") or not operation.get("responses"):
            yield f"{where}: no summary or no answers"
        name = operation.get("operationId")
        if not name or name in seen:
            yield f"{where}: operationId {name} is missing or taken"
        seen.add(name)


def main():
    page = yaml.safe_load(PAGE.read_text(encoding="utf-8"))
    table = routes_of_table(TABLE.read_text(encoding="utf-8"))
    described = routes_of_page(page)
    wrong = [*compare(table, described), *dangling(page), *incomplete(page)]
    for sentence in wrong:
        print(sentence)
    print(f"openapi: {len(table)} routes, {len(described)} described, {len(wrong)} wrong")
    return bool(wrong) or not table


if __name__ == "__main__":
    sys.exit(main())
