"""What a release is made of agrees with the package."""

import ast
import re
import sys
import tomllib

import pytest
from imports import ROOT, modules

from weaknas_jax import __version__

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
NAMES = {
    "absl-py": "absl",
    "nas-bench-201": "nas_201_api",  # the benchmark's own package, asked for by the project
    "orbax-checkpoint": "orbax",
}
"""Modules that are not called like what installs them."""


def required(names):
    return {re.split(r"[\[<>=; ]", name)[0] for name in names}


def imported():
    """The first names of all that the package imports, wherever in it."""
    out = set()
    for path in modules().values():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                out |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                out.add(node.module.split(".")[0])
    return out - set(sys.stdlib_module_names) - {"weaknas_jax"}


def test_the_version_is_the_same_everywhere():
    citation = (ROOT / "CITATION.cff").read_text()
    assert re.search(r"^version: (\S+)$", citation, re.MULTILINE)[1] == __version__
    changes = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(r"^## \[(.+?)\]", changes, re.MULTILINE)[1] == __version__


def test_what_is_installed_is_what_is_imported():
    project = PROJECT["project"]
    always = {NAMES.get(name, name) for name in required(project["dependencies"])}
    assert always <= imported(), "installed for nothing"
    assert not always & {"pytest", "chex"}
    extras = project["optional-dependencies"]
    runtime = required(name for extra, names in extras.items() if extra != "test" for name in names)
    others = {"sklearn", "PIL", "google_crc32c"}  # of scikit-learn, pillow, google-crc32c
    assert imported() - always <= others | runtime


def test_the_tables_and_the_types_go_along():
    data = PROJECT["tool"]["setuptools"]["package-data"]
    assert data["weaknas_jax"] == ["py.typed"]
    assert (ROOT / "weaknas_jax" / "py.typed").exists()
    assert data["weaknas_jax.tables.packed"] == ["*.npz", "NOTICE"]


@pytest.mark.parametrize("place", [".ci/run", ".github/workflows/release.yml"])
def test_the_wheel_is_checked_wherever_it_is_made(place):
    assert "bash .ci/wheel" in (ROOT / place).read_text()
