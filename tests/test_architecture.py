"""No two modules import each other while they load; which room may import which is checked by ``make lint``."""

import ast
import graphlib
from pathlib import Path

import maagiqa_pyiqa

PACKAGE = Path(maagiqa_pyiqa.__file__).parent


def name_of(path):
    """``maagiqa_pyiqa.cache.keys`` of its file."""
    return ".".join((PACKAGE.name, *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


MODULES = {name_of(path): path for path in PACKAGE.rglob("*.py")}


def imports_while_loading(statements):
    """Names that statements import at once: not in functions, and not for type checkers alone."""
    for statement in statements:
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            module = statement.module
            yield from (f"{module}.{a.name}" if f"{module}.{a.name}" in MODULES else module for a in statement.names)
        elif isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
            yield from imports_while_loading(statement.orelse)
        elif not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for field in ("body", "orelse", "finalbody"):
                yield from imports_while_loading(getattr(statement, field, ()))


def test_modules_import_each_other_in_no_circle():
    graph = {name: set(imports_while_loading(ast.parse(path.read_text()).body)) for name, path in MODULES.items()}
    order = list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError with the circle
    assert order.index("maagiqa_pyiqa.semantics.protocol") < order.index("maagiqa_pyiqa.semantics.cached")
