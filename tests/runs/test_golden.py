"""Searches ask for the very queries that they asked for when tests/golden was made."""

import json
import subprocess
import sys

import golden
import pytest
from conftest import LONG, optimized

PLANTED = {name for name in golden.CASES if name.startswith("planted-")} - golden.QUICK
PRINTED = {name for name in PLANTED if name.endswith("_printed")}
PLANTED -= PRINTED
OTHERS = golden.CASES.keys() - golden.QUICK - PLANTED - PRINTED
PARAMETERS = [
    pytest.param(golden.QUICK, id="quick"),
    pytest.param(PLANTED, id="planted", marks=pytest.mark.slow),
    pytest.param(PRINTED, id="printed", marks=LONG),
    *(
        pytest.param({name}, id=name, marks=LONG if name in golden.LONG else pytest.mark.slow)
        for name in sorted(OTHERS)
    ),
]


@pytest.mark.parametrize("names", PARAMETERS)
def test_the_queries_are_those_of_the_file(names, tmp_path):
    """In a process of their own, which compiles as that of a user does: so are numbers rounded."""
    line = [sys.executable, golden.__file__, "--into", str(tmp_path), *sorted(names)]
    done = subprocess.run(line, env=optimized(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    compared = 0
    for name in sorted(names):
        made, now = (
            json.loads((folder / f"{name}.json").read_text())
            for folder in (golden.FOLDER, tmp_path)
        )
        assert set(now["queries"]) == set(made["queries"])
        if any(made[part] != now[part] for part in ("versions", "fingerprint")):
            continue  # other versions or another processor than the file's may round otherwise
        compared += 1
        for part, asked in now["queries"].items():
            assert asked == made["queries"][part], f"{name}, {part}"
    if not compared:
        pytest.skip("other versions or another processor than those of the files")


def test_every_file_belongs_to_a_case():
    assert {path.stem for path in golden.FOLDER.glob("*.json")} == set(golden.CASES)
