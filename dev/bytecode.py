"""Compile an image's Python once for all: `python -m dev.bytecode SOURCES… [--into FOLDER]`.

Nothing in an image changes, so its bytecode says that it need not be checked (PEP 552). Other
people's docstrings are left out (those of chat/ are what `flask --help` shows), and so, with
`-X no_debug_ranges`, are the columns of tracebacks: both only take memory and time at each start.
Unlike with `-OO`, asserts stay.
"""

from __future__ import annotations

import argparse
import ast
import marshal
from importlib.util import MAGIC_NUMBER, cache_from_source, source_hash
from pathlib import Path

UNCHECKED = (1).to_bytes(4, "little")
OURS = Path("/app")
# Of the standard library, what no server imports; and what is elsewhere compiled, or not at all.
SKIPPED = {
    *["ensurepip", "idlelib", "lib2to3", "pydoc_data", "test", "tests", "tkinter", "turtledemo"],
    *["dist-packages", "site-packages", "unittest"],
}

DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def compile_all(sources: Path, into: Path) -> None:
    """Compile a file, or all of a folder's, to beside them, as seen from `into`."""
    files = [sources] if sources.is_file() else sorted(sources.rglob("*.py"))
    for source in files:
        if SKIPPED.isdisjoint(source.relative_to(sources).parts):
            target = into / Path(cache_from_source(str(source))).relative_to("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(bytecode(source))


def bytecode(source: Path) -> bytes:
    """What a `.pyc` file holds: magic number, flags, the source's hash, the code."""
    text = source.read_bytes()
    tree = ast.parse(text, str(source))
    if not source.is_relative_to(OURS):
        shorten_docstrings(tree)
    code = compile(tree, str(source), "exec", dont_inherit=True, optimize=0)
    return MAGIC_NUMBER + UNCHECKED + source_hash(text) + marshal.dumps(code)


def shorten_docstrings(tree: ast.Module) -> None:
    """Leave one that says nothing: some code asserts that it has one."""
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False):
            node.body[0] = ast.copy_location(ast.Expr(ast.Constant("…")), node.body[0])
            ast.fix_missing_locations(node.body[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", nargs="+", type=Path)
    parser.add_argument("--into", type=Path, default=Path("/"))
    given = parser.parse_args()
    for sources in given.sources:
        compile_all(sources.absolute(), given.into)


if __name__ == "__main__":
    main()
