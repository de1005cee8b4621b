"""Packages import only what stands below them."""

from pathlib import Path

import imports
import pytest


def test_no_import_leads_up():
    assert imports.upward() == []


def test_what_supernets_share_knows_none_of_them():
    kinds = {path.parent.name for path in (imports.ROOT / "weaknas_jax/supernets").glob("*/*.py")}
    kinds -= {"data"}
    assert "mobilenet" in kinds
    shared = ("weaknas_jax.supernets.", "weaknas_jax.jobs", "weaknas_jax.report")
    for module, uses in imports.graph().items():
        parts = module.split(".")
        if not module.startswith(shared) or (parts[1] == "supernets" and parts[2] in kinds):
            continue
        for other in uses:
            assert not kinds & set(other.split(".")), f"{module} imports {other}"


def test_every_package_has_a_level():
    folders = {path.parent.name for path in (imports.ROOT / "weaknas_jax").glob("*/__init__.py")}
    assert folders == set(imports.LEVEL)


@pytest.mark.parametrize(
    "line",
    ["from weaknas_jax.runs import task", "import weaknas_jax.jobs.api", "import weaknas_jax"],
)
def test_an_import_that_leads_up_is_told(tmp_path, line):
    for name, text in (
        ("runs/task", ""),
        ("jobs/api", ""),
        ("tables/table", f"def f():\n    {line}"),
    ):
        path = Path(tmp_path / "weaknas_jax" / name).with_suffix(".py")
        path.parent.mkdir(parents=True)
        path.write_text(text)
    (tmp_path / "weaknas_jax" / "__init__.py").write_text("")
    (told,) = imports.upward(tmp_path)
    assert told.startswith("weaknas_jax.tables.table imports weaknas_jax")


def test_no_circle_of_modules():
    graph, done = imports.graph(), set()

    def visit(module, path):
        assert module not in path, " -> ".join([*path, module])
        if module in done or module not in graph:
            return
        for other in graph[module] - {"weaknas_jax"}:
            visit(other, [*path, module])
        done.add(module)

    for module in graph:
        visit(module, [])
