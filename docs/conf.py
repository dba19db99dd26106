"""Configuration of the documentation: `python -m sphinx -W -b html docs docs/_build`."""

import re

import jaxper

project = "jaxper"
author = "The jaxper authors"
release = version = jaxper.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "jupyter_execute"]
html_theme = "furo"
html_title = "jaxper"
# Docstrings mark code with single backticks.
default_role = "code"
# Pages link to files of the repository that are no pages; a test follows all links.
suppress_warnings = ["myst.xref_missing"]
# Only the quickstart is a notebook; a test runs the blocks of the other pages.
nb_execution_mode = "auto"
nb_execution_raise_on_error = True
autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_use_rtype = False
python_use_unqualified_type_names = True


def mark_equations(app, what, name, obj, options, lines: list[str]) -> None:
    """Turns equations, which docstrings set off by four spaces, into literal blocks.

    It also ends a name in backticks before a plural s.
    """
    lines[:] = [re.sub(r"`([^`]+)`(?=\w)", r"`\1`\\ ", line) for line in lines]
    for row in range(len(lines) - 1, 0, -1):
        begins = lines[row].startswith("    ") and not lines[row - 1]
        before = next((line for line in reversed(lines[:row]) if line), "")
        if begins and before and not before.startswith(" "):
            lines[row:row] = ["::", ""]


def setup(app) -> None:
    """Marks equations before the sections of a docstring are read."""
    app.connect("autodoc-process-docstring", mark_equations, priority=400)
