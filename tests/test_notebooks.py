"""Every notebook runs top to bottom, says where it opens, and keeps no outputs in git."""

import json
from pathlib import Path

import nbclient
import nbclient.exceptions
import nbformat
import pytest

FOLDER = Path(__file__).parents[1] / "colab"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
WATCH = """
import faulthandler
faulthandler.dump_traceback_later(390, repeat=True, file=open("hung.txt", "w"))
"""


def test_there_are_notebooks():
    assert NOTEBOOKS


MINUTES = ("01", "02", "03", "04", "05")
"""Notebooks of more than a minute."""


@pytest.mark.slow  # what it calls has tests of its own
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(p, id=p.stem, marks=[pytest.mark.long] * p.stem.startswith(MINUTES))
        for p in NOTEBOOKS
    ],
)
def test_it_runs_top_to_bottom(path, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(FOLDER.parent))
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(WATCH))
    client = nbclient.NotebookClient(
        notebook, timeout=400, resources={"metadata": {"path": str(tmp_path)}}
    )
    try:
        client.execute()  # an exception in a cell is an exception here
    except nbclient.exceptions.CellTimeoutError:
        pytest.fail("a cell hung; every thread then:\n" + (tmp_path / "hung.txt").read_text())
    text = "".join(o.get("text", "") for c in notebook.cells for o in c.get("outputs", []))
    assert "Traceback" not in text
    assert "error:" not in text


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_badge_and_clean(path):
    cells = json.loads(path.read_text())["cells"]
    assert f"/blob/main/colab/{path.name}" in "".join(cells[0]["source"])
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert "pip install" in "".join(code[0]["source"])
    assert all(not c["outputs"] and c["execution_count"] is None for c in code)
