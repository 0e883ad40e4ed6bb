"""Write the examples as notebooks: examples/NAME.ipynb for each examples/NAME.py, without outputs.

    python examples/notebooks.py            # needs nbformat; after every change of an example

The scripts stay what is edited. A notebook shows the module's docstring, then each definition with
its first sentence, and in the end the body of main(), a cell for each of its paragraphs; main's
arguments are variables of a cell tagged "parameters". tests/test_notebooks.py runs them all.
"""

from __future__ import annotations

import ast
import re
import textwrap
from pathlib import Path

import nbformat
from nbformat import v4

HERE = Path(__file__).parent
# accuracy is a tool for a command line, with its flags.
NAMES = sorted({path.stem for path in HERE.glob("*.py")} - {"accuracy", "notebooks"})

LENET = "runs/lenet_digits/lenet_iter_500.caffemodel"  # left by `make lenet`
# What a command line has to name: the values of main's arguments that have no default.
GIVEN = {
    "classification": {"model": "models/squeezenet_v1.0"},
    "faces": {"models": "models"},
    "fine_tuning": {"weights": LENET},
    "misread": {"weights": LENET},
    "net_surgery": {"weights": LENET},
    "super_resolution": {"model": "models/vdsr"},
}
TOP = """\
import os

if os.path.basename(os.getcwd()) == "examples":
    os.chdir("..")  # paths begin at the top of the checkout"""
SHOW = """\
import IPython.display

IPython.display.Image(out)"""


def cells_of(name: str) -> list[nbformat.NotebookNode]:
    """The cells of one notebook, in order; their ids are the name and a number."""
    lines = (HERE / f"{name}.py").read_text(encoding="utf-8").splitlines()
    tree = ast.parse("\n".join(lines))
    imports, rest, main = [], [], None
    for paragraph in paragraphs(tree.body[1:], lines):
        first = paragraph[0]
        if isinstance(first, ast.FunctionDef) and first.name == "main":
            main = first
        elif isinstance(first, ast.Import | ast.ImportFrom):
            imports.append(paragraph)
        elif not isinstance(first, ast.If):  # __name__ == "__main__"
            rest.append(paragraph)
    assert main is not None, f"examples/{name}.py has no main()"

    found = [v4.new_markdown_cell(introduction(name, ast.get_docstring(tree)))]
    found.append(v4.new_code_cell(TOP))
    found.append(v4.new_code_cell(joined([source(part, lines)[1] for part in imports])))
    for part in rest:
        found += described(part, lines)
    variables = parameters(name, main)
    if variables:
        text = "\n".join(f"{key} = {value}" for key, value in variables.items())
        found.append(v4.new_code_cell(text, metadata={"tags": ["parameters"]}))
    for part in paragraphs(main.body, lines):
        found += described(part, lines)
    if "out" in variables:
        found.append(v4.new_code_cell(SHOW))
    for i, cell in enumerate(found):
        cell.id = f"{name}-{i:02}"
    return found


def introduction(name: str, docstring: str) -> str:
    """The docstring with its first line as the title and its commands as code."""
    title, _, text = docstring.partition("\n\n")
    text = re.sub(r"^(?=(make|minidl|python) )", "    ", text, flags=re.MULTILINE)
    origin = f"*[{name}.py]({name}.py), cut into cells by [notebooks.py](notebooks.py).*"
    return f"# {' '.join(title.split()).rstrip('.')}\n\n{text}\n\n{origin}"


def paragraphs(statements: list[ast.stmt], lines: list[str]) -> list[list[ast.stmt]]:
    """Statements with no empty line between them belong together; a definition stands alone."""
    found: list[list[ast.stmt]] = []
    for statement in statements:
        alone = isinstance(statement, ast.FunctionDef | ast.ClassDef)
        gap = found and lines[found[-1][-1].end_lineno : first_line(statement) - 1]
        if not found or alone or any(not line.strip() for line in gap):
            found.append([])
        found[-1].append(statement)
    return found


def first_line(statement: ast.stmt) -> int:
    """The number of a statement's first line, decorators included."""
    decorators = getattr(statement, "decorator_list", [])
    return min(node.lineno for node in [statement, *decorators])


def source(paragraph: list[ast.stmt], lines: list[str]) -> tuple[str, str]:
    """The comment right above a paragraph, and its code, neither indented."""
    start = first = first_line(paragraph[0]) - 1
    while lines[first - 1].lstrip().startswith("#"):
        first -= 1
    comment = " ".join(line.strip(" #") for line in lines[first:start])
    code = textwrap.dedent("\n".join(lines[start : paragraph[-1].end_lineno]))
    return comment, code


def described(paragraph: list[ast.stmt], lines: list[str]) -> list[nbformat.NotebookNode]:
    """A code cell, and before it what the comment or the docstring says, where there is one."""
    text, code = source(paragraph, lines)
    first = paragraph[0]
    if isinstance(first, ast.FunctionDef | ast.ClassDef) and not text:
        text = " ".join((ast.get_docstring(first) or "").split("\n\n")[0].split())
        text = re.split(r"(?<=\.) ", text)[0]
        text = text and f"**`{first.name}`**  {text}"
    return [*([v4.new_markdown_cell(text)] if text else []), v4.new_code_cell(code)]


def joined(imports: list[str]) -> str:
    """The imports but for what only a script needs: __future__'s, and sys for its arguments."""
    only_script = r"^(from __future__ import annotations|import sys)\n+"
    return re.sub(only_script, "", "\n\n".join(imports), flags=re.MULTILINE)


def parameters(name: str, main: ast.FunctionDef) -> dict[str, str]:
    """main's arguments and their values, as Python text."""
    names = [argument.arg for argument in main.args.args]
    defaults = [ast.literal_eval(node) for node in main.args.defaults]
    values = {**GIVEN.get(name, {}), **dict(zip(names[::-1], defaults[::-1], strict=False))}
    return {key: repr(values[key]).replace("'", '"') for key in names}


def notebook(name: str) -> str:
    """A notebook as the text of its file: the same for the same script."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    node = v4.new_notebook(
        cells=cells_of(name),
        metadata={"kernelspec": kernel, "language_info": {"name": "python"}},
        nbformat_minor=5,
    )
    nbformat.validate(node)
    return nbformat.writes(node) + "\n"


if __name__ == "__main__":
    for name in NAMES:
        (HERE / f"{name}.ipynb").write_text(notebook(name), encoding="utf-8")
