"""Every JSON file of results says its format, fits its schema, and is read or refused by it."""

import json
import shutil
from pathlib import Path

import jsonschema
import pytest
from by_hand import RUNS, TABLE

from weaknas_jax import HONEST, integer, jobs
from weaknas_jax.jobs import report as jobs_report
from weaknas_jax.jobs.types import Evaluation, compared
from weaknas_jax.measures import schemas, summary
from weaknas_jax.report import compare, run_folder, text
from weaknas_jax.spaces.choices import Choices
from weaknas_jax.storage import ownership

SPACE = Choices({"depth": integer(1, 6), "width": integer(1, 6)}, cost="depth")
OLD = Path(__file__).parents[1] / "golden" / "version_0_1"
ROOT = Path(__file__).parents[2]


def test_the_page_of_formats_is_what_the_code_says():
    assert (ROOT / "docs" / "formats.md").read_text() == summary.page()


@pytest.mark.parametrize("kind", summary.KINDS)
def test_schemas_are_schemas_and_markers_are_fields(kind):
    schema = summary.schema(kind)
    jsonschema.Draft202012Validator.check_schema(schema)
    marks = ownership.FIELDS.get(summary.KINDS[kind].file, {}).get(kind, set())
    assert marks <= set(schema["required"])  # what is ours by version 0.1 is ours now


@pytest.fixture
def old(tmp_path):
    shutil.copytree(OLD, tmp_path / "old")
    return tmp_path / "old"


def test_a_folder_of_version_0_1_is_read(old):
    found = run_folder.load_summary(old)
    before = json.loads((OLD / "summary.json").read_text())
    assert (found["num_runs"], found["table_size"]) == (before["seeds"], before["of"]) == (3, 64)
    assert "seeds" not in found
    assert "of" not in found
    jsonschema.validate(found, summary.schema("search"))
    jsonschema.validate(run_folder.stored_config(old), summary.schema("config"))
    assert "3 runs of 14 queries" in text.text(found, [])
    assert compare.row({}, found)["runs"] == 3
    assert ownership.kind_of(old / "summary.json") == "search"
    ownership.claim(old, ["summary.json"], "search")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"format": "weaknas.search/3"},
            "its format is 'weaknas.search/3', not 'weaknas.search/2'",
        ),
        ({"format": "weaknas.jobs/2"}, "its format is 'weaknas.jobs/2', not 'weaknas.search/2'"),
        ({"format": 2}, "its format is 2, not"),
        ({"num_runs": "many"}, "field 'num_runs' is no integer"),
        ({"curve": {}}, "field 'queries' of field 'curve' is missing"),
        ({"runs": [0, "b"]}, "field 'runs'[1] is no integer"),
    ],
)
def test_other_formats_and_damage_are_refused_by_name(change, said, old):
    path = old / "summary.json"
    path.write_text(json.dumps(summary.read(path, "search") | change))
    with pytest.raises(summary.SummaryError) as refused:
        run_folder.load_summary(old)
    assert str(refused.value).startswith(f"{path}: not the summary.json of a search on a table: ")
    assert said in str(refused.value)


def test_what_is_written_comes_back_and_is_ours(tmp_path):
    found = summary.read(OLD / "summary.json", "search") | {
        "answers": {"runs": [], "counts": [], "without": 3}
    }
    summary.write(tmp_path / "summary.json", "search", found)
    assert summary.read(tmp_path / "summary.json", "search") == found
    assert ownership.ours(tmp_path / "summary.json")
    with pytest.raises(ownership.NotOurs, match="of the kind search, not jobs"):
        ownership.claim(tmp_path, ["summary.json"], "jobs")


def test_a_summary_of_runs_fits_but_for_what_the_command_adds():
    made = text.summarize(RUNS, TABLE, HONEST)
    schema = summary.schema("search")
    names = list(made)
    part = {name: schema["properties"][name] for name in names}
    jsonschema.validate(made, schema | {"properties": part, "required": names})


def test_a_summary_of_jobs_fits():
    archs = [{"depth": 1, "width": width} for width in (1, 2, 3)]
    done = [Evaluation(archs[0], 0.5), Evaluation(archs[1], None, "failed", 2)]
    done.append(Evaluation(archs[2], 0.7, info={"loss": 1.0}))
    again = compared(done, {json.dumps(archs[2]): Evaluation(archs[2], 0.6)}, json.dumps)
    result = jobs.Result(done[2], done, True, False, 0, 0.5, again)
    more = {"settings": {}, "budget": 3, "versions": {}}
    made = {"format": "weaknas.jobs/2"} | jobs_report.summarize(
        jobs_report.gather(result, SPACE), **more
    )
    assert made["repeats"]["each"][0]["n"] == 2
    jsonschema.validate(made, summary.schema("jobs"))


def test_a_field_that_no_schema_has_is_found():
    content = summary.read(OLD / "summary.json", "search")
    with pytest.raises(jsonschema.ValidationError, match="surprise"):
        jsonschema.validate(content | {"surprise": 1}, summary.schema("search"))
    assert schemas.schema({"a?": "number?"}) == {
        "type": "object",
        "properties": {"a": {"type": ["number", "null"]}},
        "required": [],
        "additionalProperties": False,
    }
