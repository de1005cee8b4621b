"""Searches ask for the very queries that they asked for when tests/golden was made."""

import json

import golden
import pytest
from conftest import LONG

PARAMETERS = [
    pytest.param(
        name,
        marks=LONG if name in golden.LONG else [pytest.mark.slow] * (name not in golden.QUICK),
    )
    for name in golden.CASES
]


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_queries_are_those_of_the_file(name):
    made = json.loads((golden.FOLDER / f"{name}.json").read_text())
    if made["versions"] != golden.versions() or made["fingerprint"] != golden.fingerprint():
        pytest.skip(
            "other versions or another processor than the file's, which may round otherwise"
        )
    queries = golden.CASES[name]()
    assert set(queries) == set(made["queries"])
    for part, asked in queries.items():
        assert asked == made["queries"][part], part


def test_every_file_belongs_to_a_case():
    assert {path.stem for path in golden.FOLDER.glob("*.json")} == set(golden.CASES)
