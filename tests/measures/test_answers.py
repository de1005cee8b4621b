"""The answer of a search: which one it is, what is said of it, and where it is kept."""

import dataclasses
import json

import numpy as np
import pytest
from by_hand import RUNS, TABLE, trace
from conftest import planted_table
from helpers import call

from weaknas_jax import HONEST, load_nasbench101, load_nasbench201
from weaknas_jax.cli import search
from weaknas_jax.measures import answers, metrics
from weaknas_jax.measures.repeats import Repeats
from weaknas_jax.report import answer_rows, run_folder, text
from weaknas_jax.spaces.own_form import in_words, own_form
from weaknas_jax.storage.text import to_json

NAMED = dataclasses.replace(
    TABLE,
    names=np.array(["a", "b", "c", "d", "e"]),
    extra={
        "row": np.arange(5) + 100,
        "params": np.array([5, 4, 3, 2, 1]),
        "gpu_latency_ms": np.array([1.5, np.nan, 3.5, 4.5, 5.5]),
        "full_train_test": np.ones(5),
        "runtime_notes": np.array(list("vwxyz")),
    },
)


def repeated(answer, **more) -> Repeats:
    size = len(answer)
    fields = dict.fromkeys(Repeats._fields, np.ones(size)) | {"count": np.ones(size, int), **more}
    return Repeats(**fields | {"answer": np.array(answer)})


def test_the_answer_is_the_best_by_label_and_its_test_that_of_the_summary():
    found = answers.of_runs(RUNS, TABLE)
    assert found.place.tolist() == [4, 3, 4]
    assert found.query.tolist() == [3, 3, 1]
    assert found.label.tolist() == [40, 50, 40]
    curve = metrics.curves(RUNS, TABLE, HONEST).best_valid_test[:, -1]
    assert TABLE.test_mean[found.place].tolist() == curve.tolist()


@pytest.mark.parametrize("minimize", [False, True])
def test_on_any_labels_it_agrees_with_the_curve(minimize):
    rng = np.random.default_rng(3)
    table = dataclasses.replace(
        TABLE, valid=rng.integers(1, 4, (5, 1)) * 1.0, test=rng.random((5, 1)), minimize=minimize
    )
    for _ in range(50):
        runs = trace([rng.permutation(5)[:4] for _ in range(3)], [[0, 0]] * 3)
        scores = table.valid[runs.queried, 0] + rng.integers(0, 2, (3, 4)).astype(np.float32)
        scores[rng.random((3, 4)) < 0.3] = np.nan
        runs = runs._replace(scores=scores)
        place = answers.of_runs(runs, table).place
        curve = metrics.curves(runs, table, HONEST).best_valid_test[:, -1]
        test = np.where(place >= 0, table.test_mean[place], np.nan)
        np.testing.assert_array_equal(test, curve)


def test_a_run_without_a_label_has_no_answer():
    failed = trace([[0, 4, 3, 2], [-1, -1, -1, -1]], [[4, 3], [0, 0]])
    failed.scores[0] = np.nan
    said = answers.summary(answers.of_runs(failed, NAMED), NAMED)
    assert said["without"] == 2
    assert said["counts"] == []
    nothing = {"row": None, "name": None, "valid": None, "test": None, "costs": {}}
    assert said["runs"][0] == {"run": 0, **nothing, "query": None, "label": None, "by": None}
    summary = {"answers": said, "space": "hand"}
    ((_, line),) = answer_rows.rows(summary)
    assert line == "none: no query of any run returned a label"


def test_what_is_said_of_an_answer():
    said = answers.summary(answers.of_runs(RUNS, NAMED), NAMED, more_costs={"2*x": np.arange(5.0)})
    assert said["runs"][1] == {
        "run": 1,
        "query": 3,
        "label": 50.0,
        "by": "label",
        "row": 103,
        "name": "d",
        "valid": 50.0,
        "test": 48.0,
        "costs": {"params": 2, "gpu_latency_ms": 4.5, "2*x": 3.0},
    }
    assert [(one["name"], one["runs"]) for one in said["counts"]] == [("e", 2), ("d", 1)]
    json.dumps(said, allow_nan=False)
    lucky = trace([[1, 0, 0, 0]], [[1, 0]])  # the cost of b is unknown
    (one,) = answers.summary(answers.of_runs(lucky, NAMED), NAMED)["runs"]
    assert one["costs"] == {"params": 4}


def test_equally_frequent_answers_are_ordered_by_their_validation():
    runs = trace([[0, -1, -1, -1], [3, -1, -1, -1], [2, -1, -1, -1]], [[0, 0]] * 3)
    said = answers.summary(answers.of_runs(runs, NAMED), NAMED)
    assert [one["name"] for one in said["counts"]] == ["d", "c", "a"]


def test_after_repeats_the_answer_is_theirs():
    again = repeated([2, 3, 4], mean=np.array([29.0, 49.0, np.nan]), count=np.array([2, 1, 0]))
    found = answers.of_runs(RUNS, NAMED, again)
    assert found.place.tolist() == [2, 3, 4]
    assert found.query.tolist() == [4, 3, 1]
    said = answers.summary(found, NAMED, again)["runs"]
    assert said[0]["label"] == 30
    assert said[0]["repeats"] == {"mean": 29.0, "standard_error": 1.0, "count": 2}
    assert said[2]["repeats"]["mean"] is None
    none = answers.of_runs(RUNS, NAMED, repeated([-1, 3, 4]))
    assert none.place.tolist() == [-1, 3, 4]


def test_test_labels_are_not_called_valid():
    table = dataclasses.replace(TABLE, signal="test")
    (one, *_) = answers.summary(answers.of_runs(RUNS, table), table)["runs"]
    assert (one["valid"], one["test"]) == (None, 49.0)


def test_what_has_no_name_is_described_by_its_columns():
    columns = {"depth": np.arange(5), "op": np.array(list("vwxyz")), "ratio": np.full(5, np.nan)}
    table = dataclasses.replace(TABLE, columns=columns)
    summary = text.summarize(trace([[1, 3, 0, 2]], [[1, 1]]), table, HONEST)
    best = answers.best(summary)
    assert best["architecture"] == {"depth": 3, "op": "y", "ratio": None}
    (first, *_) = answer_rows.rows(summary)
    assert first == ("the answer", "depth=3, op=y, ratio=None (row 3)")


def test_long_names_are_cut_in_print_and_kept_in_full_elsewhere():
    name = "a" * 100 + "b" * 100
    table = dataclasses.replace(NAMED, names=np.array([*"abcd", name]))
    summary = text.summarize(trace([[4, 3, 0, 2]], [[1, 1]]), table, HONEST)
    summary |= {"space": "hand"}
    assert answers.summary(answers.of_runs(RUNS, table), table)["runs"][0]["name"] == name
    printed = answer_rows.name({"name": name, "row": 4})
    assert printed == "a" * 58 + " ... " + "b" * 58 + " (row 4)"


def test_noisy_labels_are_shown_beside_the_mean():
    answer = {"valid": 90.0, "test": None, "label": 90.7, "costs": {"params": 1073466}}
    said = "valid 90.000, label in the search 90.700, params 1,073,466"
    assert answer_rows.values(answer, True) == said
    assert answer_rows.values(answer | {"label": 90.0000009}, True).count("label") == 0


def test_a_run_folder_of_one_run_has_its_answer(tmp_path, table_file, capsys):
    out = tmp_path / "out"
    flags = ["--space=table", f"--table={table_file}", f"--out={out}", "--budget=14", "--init=5"]
    assert call(search, *flags, "--seeds=1", "--method=random") == 0
    printed = capsys.readouterr().out
    best = json.loads((out / "best.json").read_text())
    (answer,) = json.loads((out / "summary.json").read_text())["answers"]["runs"]
    table = planted_table(noise=0.3, runs=3)
    assert best["format"] == "weaknas.best/2"
    assert table.names[best["row"]] == best["name"] == answer["name"]
    assert best["valid"] == table.valid_mean[best["row"]]
    assert f"{best['name']} (row {best['row']})" in printed
    assert f"{out}/best.json" in printed


def test_a_best_json_of_the_user_is_refused(tmp_path, table_file, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "best.json").write_text('{"mine": 1}')
    assert call(search, "--space=table", f"--table={table_file}", f"--out={out}", "--seeds=1") == 2
    assert f"{out}/best.json: was not written by" in capsys.readouterr().err
    assert (out / "best.json").read_text() == '{"mine": 1}'


def test_summaries_of_before_are_printed_without_an_answer():
    summary = text.summarize(RUNS, TABLE, HONEST, method="m", predictor=None, device="cpu")
    summary |= {"timing": {"run_s": 0.0, "compile_s": 0.0}, "acquisition": None}
    assert "answers" in text.text(summary, [])
    del summary["answers"]
    assert "answers" not in text.text(summary, [])


def test_best_json_is_replaced_by_its_own_and_removed_where_it_would_be_old(tmp_path):
    for runs, there in ((trace([[1, 3, 0, 2]], [[1, 1]]), True), (RUNS, False)):
        summary = text.summarize(runs, TABLE, HONEST, method="m", predictor=None)
        for _ in range(2):
            paths = run_folder.save(tmp_path, runs, summary)
        assert (str(tmp_path / "best.json") in paths) == there
    assert (tmp_path / "summary.json").exists()


def test_forms_of_the_benchmarks_are_their_own():
    table = load_nasbench201("cifar10")
    assert own_form("nasbench201", str(table.names[6111])) == table.names[6111]
    name = str(load_nasbench101().names[362_002])
    form = own_form("nasbench101", name)
    assert form["ops"][0] == "input"
    assert form["ops"][-1] == "output"
    assert len(form["matrix"]) == len(form["ops"]) == 7
    assert in_words("nasbench101", name) == (
        "1 = conv1x1(input), 2 = conv3x3(input), 3 = maxpool3x3(2), 4 = conv3x3(3), "
        "5 = conv3x3(input + 1 + 4), output = 5 + input"
    )
    assert own_form("mobilenet_v3", "k3557-e3464-d24") == {
        "ks": [3, 5, 5, 7],
        "e": [3, 4, 6, 4],
        "d": [2, 4],
    }
    for space, wrong in (
        ("nasbench201", "m17"),
        ("nasbench101", "m17"),
        ("nasbench101", "108400/q...."),
        ("mobilenet_v3", "k3x"),
        ("table", "a"),
        ("nasbench201", None),
    ):
        assert own_form(space, wrong) is None


def test_json_has_a_matrix_in_lines_and_texts_as_they_are():
    content = {"m": [[0, 1], [0, 0]], "name": "[1,   2]", "ops": ["a"]}
    printed = to_json(content)
    assert "[0, 1]" in printed
    assert json.loads(printed) == content
