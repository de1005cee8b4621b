"""Networks of what was found: as many parameters as the benchmarks count, wired as they are."""

import json
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from helpers import calls
from hypothesis import given
from hypothesis import strategies as st
from mobilenet_calls import TINY

from weaknas_jax import load_nasbench101, load_nasbench201, networks
from weaknas_jax.measures.answers import FORMAT
from weaknas_jax.networks import (
    KINDS,
    AnswerError,
    build,
    count,
    description,
    graph,
    initial,
    nasbench101,
    nasbench201,
    plan,
)
from weaknas_jax.spaces import nasbench201 as cells201
from weaknas_jax.spaces.mobilenet import arch as archs
from weaknas_jax.spaces.mobilenet import config
from weaknas_jax.spaces.nasbench101 import cells as cells101
from weaknas_jax.spaces.own_form import own_form
from weaknas_jax.spaces.registry import SPACES
from weaknas_jax.supernets.mobilenet import subnet

ROOT = Path(__file__).parents[2]
SOURCE = Path(os.environ.get("WEAKNAS_SHARED_DATA", ROOT.parent / "shared" / "data"))
NONE, SKIP, CONV1, CONV3, POOL = range(5)
SKIPS = "|skip_connect~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|"
IMAGES = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)


def best(space, architecture, dataset="cifar10", **more):
    about = {"format": FORMAT, "space": space, "dataset": dataset}
    return {**about, "architecture": architecture, **more}


def of_row(table, row):
    return best(table.space, own_form(table.space, str(table.names[row])), table.dataset)


def table201(dataset="cifar10"):
    table = load_nasbench201(dataset)
    ops = np.array([cells201.parse(name) for name in table.names])
    return table, (ops == CONV1).sum(axis=1), (ops == CONV3).sum(axis=1)


# --- parameters


def by_hand(classes, ones=0, threes=0):
    """Stem, reductions, last norm and layer, and 5 cells a stage with these convolutions."""
    stem = 27 * 16 + 2 * 16
    halve = [9 * c * 2 * c + 4 * c + 9 * 4 * c * c + 4 * c + c * 2 * c for c in (16, 32)]
    cells = [5 * (ones * (c * c + 2 * c) + threes * (9 * c * c + 2 * c)) for c in (16, 32, 64)]
    return stem + sum(halve) + sum(cells) + 2 * 64 + 65 * classes


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100", "imagenet16"])
def test_the_count_by_hand_is_that_of_the_rows(dataset):
    """Of all but 150, where the published figure is that of another cell of the same function."""
    table, ones, threes = table201(dataset)
    classes = networks.KINDS["nasbench201"].classes[dataset]
    counts, published = by_hand(classes, ones, threes), table.extra["params"]
    others = np.flatnonzero(counts != published)
    assert len(others) == 150
    same = {}
    for row, name in enumerate(table.names):
        same.setdefault(cells201.canonical(cells201.parse(name)), set()).add(int(counts[row]))
    for row in others:
        assert published[row] in same[cells201.canonical(cells201.parse(table.names[row]))]


@pytest.mark.parametrize(
    ("dataset", "row"),
    [
        ("cifar10", 6111),
        pytest.param("cifar100", 9930, marks=pytest.mark.slow),
        ("imagenet16", 1651),
    ],
)
def test_a_nasbench201_network_has_the_parameters_of_its_row(dataset, row):
    table = load_nasbench201(dataset)
    assert count(of_row(table, row)) == table.extra["params"][row]


@pytest.mark.long
@pytest.mark.slow  # the quick one above has three of them
def test_nasbench201_networks_of_every_kind_have_the_parameters_of_their_rows():
    table, ones, threes = table201()
    _, rows = np.unique(10 * ones + threes, return_index=True)
    assert len(rows) == 28
    assert (by_hand(10, ones, threes)[rows] == table.extra["params"][rows]).all()
    for row in rows:
        assert count(of_row(table, row)) == table.extra["params"][row]


def uneven(table):
    """A row whose output divides 128 channels among three or more nodes."""
    cells = cells101.read_names(table.names[:2000])
    share = cells.matrix[:, 1:-1, -1].sum(axis=1)
    return int(np.flatnonzero((share > 2) & (share != 4))[0])


def test_a_nasbench101_network_has_the_parameters_of_its_row():
    table = load_nasbench101()
    row = uneven(table)
    assert count(of_row(table, row)) == table.extra["params"][row]


@pytest.mark.long
@pytest.mark.slow  # the quick one above has one of them
def test_many_nasbench101_networks_have_the_parameters_of_their_rows():
    table = load_nasbench101()
    for row in (362_002, *np.random.default_rng(1).integers(len(table), size=40)):
        assert count(of_row(table, row)) == table.extra["params"][row]


def test_the_smallest_nasbench101_network_by_hand():
    cell = {"matrix": [[0, 1], [0, 0]], "ops": ["input", "output"]}
    stem, dense = 27 * 128 + 2 * 128, 513 * 10
    ends = [(128, 128), (128, 256), (256, 512)]
    cells = sum(a * b + 2 * b + 2 * (b * b + 2 * b) for a, b in ends)
    assert count(best("nasbench101", cell)) == stem + cells + dense
    assert count(best("nasbench101", cell), classes=100) == stem + cells + 513 * 100


@pytest.mark.slow  # rows of our own count are above
def test_networks_have_the_trainable_parameters_that_nasbench101_published():
    file = SOURCE / "nb101" / "nasbench101_test.npz"
    if not file.exists():
        pytest.skip(f"{file} is not here")
    with np.load(file, allow_pickle=False) as raw:
        size, matrix, ops = (raw[name] for name in ("num_vertices", "adjacency", "ops"))
        published = raw["trainable_parameters"]
    names = dict(enumerate(cells101.OPS)) | {-1: "input", -2: "output"}
    for row in np.random.default_rng(2).integers(len(size), size=3):
        n = int(size[row])
        form = {"matrix": matrix[row, :n, :n].tolist(), "ops": [names[op] for op in ops[row, :n]]}
        assert count(best("nasbench101", form)) == published[row]


def test_sub_networks_have_the_published_parameters_and_tell_their_width():
    for name, wide, narrow in (("max", 10_701_632, 7_664_760), ("min", 4_602_456, 3_410_792)):
        lists = json.loads(archs.to_json(archs.named(config.mobilenet_v3(), name)))
        assert count(lists) == wide
        known = best("mobilenet_v3", lists, "oracle224", costs={"params": narrow})
        assert count(known) == narrow
        assert count(known, width=1.2) == wide


# --- what is computed


@pytest.mark.slow  # one learns below, its cells are above it
def test_a_nasbench201_network_maps_images_to_finite_logits():
    network = build(best("nasbench201", SKIPS.replace("none~0|none", "nor_conv_1x1~0|none")))
    logits = network(IMAGES)
    assert logits.shape == (2, 10)
    assert np.isfinite(logits).all()
    network.eval()
    assert not np.allclose(network(IMAGES), logits)  # running statistics are others


@pytest.mark.parametrize(
    ("ops", "times"),
    [
        ((NONE,) * 6, 0),
        ((NONE, NONE, NONE, SKIP, NONE, NONE), 1),
        ((SKIP, NONE, NONE, SKIP, SKIP, NONE), 2),
        ((SKIP, SKIP, SKIP, SKIP, SKIP, SKIP), 4),
        ((CONV3, NONE, NONE, SKIP, NONE, NONE), 1),  # leads nowhere
    ],
)
def test_nodes_of_a_nasbench201_cell_are_sums(ops, times):
    cell = nasbench201.Cell(ops, 3, nnx.Rngs(0))
    np.testing.assert_allclose(cell(IMAGES), times * IMAGES, atol=1e-6)


def test_operations_of_nasbench201():
    pool = nasbench201.Cell((NONE, NONE, NONE, POOL, NONE, NONE), 3, nnx.Rngs(0))(IMAGES)
    np.testing.assert_allclose(pool[:, 0, 0], IMAGES[:, :2, :2].mean(axis=(1, 2)), atol=1e-5)
    np.testing.assert_allclose(pool[:, 3, 4], IMAGES[:, 2:5, 3:6].mean(axis=(1, 2)), atol=1e-5)
    cell = nasbench201.Cell((NONE, NONE, NONE, CONV1, NONE, NONE), 3, nnx.Rngs(0))
    cell.eval()
    kernel = cell.edges["from_0_to_3"].conv.kernel[...][0, 0]
    expected = np.maximum(IMAGES, 0) @ kernel / np.sqrt(1 + 1e-5)
    np.testing.assert_allclose(cell(IMAGES), expected, atol=1e-5)
    smaller = nasbench201.Reduction(3, 6, nnx.Rngs(0))(IMAGES)
    assert smaller.shape == (2, 4, 4, 6)


def test_a_nasbench101_cell_is_wired_as_its_graph():
    """1 and 3 lead to the output, 1 is wider than 3 by one channel; 2 leads to 3, and the input."""
    matrix = np.zeros((5, 5), int)
    for source, target in ((0, 1), (0, 2), (1, 3), (2, 3), (1, 4), (3, 4), (0, 4)):
        matrix[source, target] = 1
    ops = ["input", "conv1x1-bn-relu", "maxpool3x3", "conv3x3-bn-relu", "output"]
    cell = nasbench101.Cell(cells101.parse(matrix, ops), 3, 7, nnx.Rngs(0))
    assert [cell.widths[node] for node in (1, 2, 3, 6)] == [4, 3, 3, 7]
    into, apply = cell.projections, cell.convolutions
    one = apply["node_1"](into["node_1"](IMAGES))
    two = nnx.max_pool(into["node_2"](IMAGES), (3, 3), padding="SAME")
    three = apply["node_3"](one[..., :3] + two)
    expected = jnp.concatenate([one, three], axis=-1) + into["node_6"](IMAGES)
    np.testing.assert_allclose(cell(IMAGES), expected, atol=1e-5)
    assert sorted(apply) == ["node_1", "node_3"]


@pytest.mark.slow  # a cell of it is wired and run above
def test_a_nasbench101_network_maps_images_to_finite_logits():
    cell = {"matrix": [[0, 1, 1], [0, 0, 1], [0, 0, 0]], "ops": ["input", "maxpool3x3", "output"]}
    network = build(best("nasbench101", cell), classes=3)
    logits = network(IMAGES[:, :5, :7])  # any size
    assert logits.shape == (2, 3)
    assert np.isfinite(logits).all()


def test_a_sub_network_is_the_static_one_and_keeps_its_own_statistics():
    geometry = TINY
    arch, images = archs.smallest(geometry), np.repeat(np.repeat(IMAGES, 4, 1), 4, 2)
    network = networks.registry.mobilenet.Network(geometry, arch, nnx.Rngs(0))
    network.eval()
    same = subnet.Static(geometry, arch, nnx.Rngs(0))
    np.testing.assert_allclose(network(images), same(images), atol=1e-6)
    norm = network.static.ends.stem_norm
    before = np.array(norm.mean[...])
    network.train()
    _, statistics = subnet.forward(same, images, fresh=True)
    network(images)
    expected = 0.9 * before + 0.1 * jax.tree.leaves(statistics)[0]
    np.testing.assert_allclose(norm.mean[...], expected, atol=1e-6)


def test_a_network_learns():
    network = build(best("nasbench201", SKIPS), classes=2)
    labels = jnp.array([0, 1])

    @nnx.jit
    def step(network):
        def loss(network):
            logits = network(IMAGES)
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

        value, gradient = nnx.value_and_grad(loss)(network)
        params = nnx.state(network, nnx.Param)
        nnx.update(network, jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient))
        return value

    losses = [float(step(network)) for _ in range(5)]
    assert losses[-1] < 0.5 * losses[0]
    assert not np.allclose(network.stem_norm.mean[...], 0)


@pytest.mark.parametrize("draw", ["uniform", "normal"])
def test_weights_begin_with_their_variance(draw):
    weights = getattr(initial, draw)(jax.random.key(0), (3, 3, 50, 60))
    variance = {"uniform": 1 / 3, "normal": 1.0}[draw] / 450
    assert weights.shape == (3, 3, 50, 60)
    assert float(weights.var()) == pytest.approx(variance, rel=0.03)


# --- what it is read from


def folder_of(tmp_path, *rows, space="nasbench201"):
    names = load_nasbench201("cifar10").names
    runs = [
        {"run": 4 + i, "row": row, "name": None if row is None else str(names[row])}
        for i, row in enumerate(rows)
    ]
    content = {"space": space, "dataset": "cifar10", "answers": {"runs": runs}}
    (tmp_path / "summary.json").write_text(json.dumps(content))
    return tmp_path


def test_a_run_of_a_folder_is_read(tmp_path):
    folder = folder_of(tmp_path, 6111, 9930, None)
    names = load_nasbench201("cifar10").names
    assert networks.read(folder, run=5).architecture == names[9930]
    assert networks.read(str(folder), run=4).name == names[6111]
    for run, message in (
        (None, f"{tmp_path}: holds 3 runs; name one, 4 to 6, with --run=I"),
        (7, r"--run=7: .* holds the runs 4, 5, 6"),
        (6, "run 6 has no answer"),
    ):
        with pytest.raises(AnswerError, match=message):
            networks.read(folder, run)
    assert networks.read(folder_of(tmp_path, 6111)).architecture == names[6111]


def test_a_folder_of_sub_networks_is_read(tmp_path):
    lists = json.loads(archs.to_json(archs.named(config.mobilenet_v3(), "min")))
    found = {"best": [{"arch": lists, "parameters": 3_410_792}]}
    (tmp_path / "summary.json").write_text(json.dumps(found))
    assert networks.plan(tmp_path).width == 1.0
    (tmp_path / "best.json").write_text(json.dumps(best("mobilenet_v3", lists)))
    arch = archs.read(config.mobilenet_v3(), tmp_path / "best.json")  # as --arch=best.json
    assert json.loads(archs.to_json(arch)) == lists


WRONG = {
    "{": "cannot be read as JSON",
    "[]": "holds list, but an answer is an object",
    "{}": "has no field 'format'",
    '{"depth": 3}': "can only be built by your own code",
    json.dumps({"format": "weaknas-table-1"}): "field 'format': is 'weaknas-table-1', not",
    json.dumps(best(3, "x")): "field 'space': is 3, not a text",
    json.dumps(best("table", "x")): "field 'space': is 'table'; networks can be built for nasb",
    json.dumps(best("nasbench201", "x", None)): "field 'dataset': is None",
    json.dumps(best("nasbench201", None)): "field 'architecture': is None; expected a string",
    json.dumps(best("nasbench201", "|a~0|")): "field 'architecture': '|a~0|': a NAS-Bench-201",
    json.dumps(best("nasbench101", {"ops": []})): "expected an object of 'matrix' and 'ops'",
    json.dumps(best("nasbench101", {"matrix": [[0, 1]], "ops": []})): "a cell's matrix is square",
    json.dumps(best("mobilenet_v3", {"ks": 3})): "expected the lists 'ks', 'e' and 'd'",
    json.dumps({"ks": [4] * 20, "e": [3] * 20, "d": [2] * 5}): "kernel size 4",
}


@pytest.mark.parametrize("content", WRONG)
def test_a_bad_file_is_named_with_its_field(content, tmp_path):
    path = tmp_path / "best.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"best\.json: ") as raised:
        count(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert WRONG[content] in str(raised.value)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["matrix", "ops", "ks", "e", "d", "blocks"]), inner)
    ),
    max_leaves=8,
)


@given(st.sampled_from([*networks.KINDS, "other"]), VALUES, VALUES)
def test_whatever_is_in_a_file_is_no_traceback(space, architecture, costs):
    with pytest.raises(AnswerError, match="field"):
        networks.outline(best(space, architecture, costs=costs))


def test_what_cannot_be_is_told(tmp_path):
    found = best("nasbench201", SKIPS)
    for choices, message in (
        ({"classes": 0}, "classes=0: give 1 or more"),
        ({"width": 1.0}, "an architecture of nasbench201 has none"),
        ({"run": 1}, "is a file with one answer"),
    ):
        (tmp_path / "best.json").write_text(json.dumps(found))
        with pytest.raises(ValueError, match=message):
            networks.plan(tmp_path / "best.json", **choices)
    with pytest.raises(ValueError, match=r"image size 30 x 30: .* multiples of 4"):
        description.describe(networks.plan(found), image_size=30)
    with pytest.raises(AnswerError, match=r"no such file; name the best\.json"):
        networks.read(tmp_path / "none.json")
    (tmp_path / "dataset=a").mkdir()
    (tmp_path / "dataset=a" / "summary.json").write_text("{}")
    with pytest.raises(AnswerError, match=r"name one of the searches inside, such as .*dataset=a"):
        networks.read(tmp_path)
    with pytest.raises(AnswerError, match="has no field 'answers'"):
        networks.read(tmp_path / "dataset=a")


# --- what is said


def test_a_description_has_all_shapes_and_what_the_table_says():
    found = best("nasbench201", SKIPS, name=SKIPS, costs={"params": 73_306})
    described = description.describe(networks.plan(found))
    assert described["parameters"] == described["table_parameters"] == 73_306
    assert described["shapes"]["stem.kernel"] == [3, 3, 3, 16]
    assert sum(np.prod(shape) for shape in described["shapes"].values()) == 73_306
    assert described["logits_shape"] == [10]
    json.dumps(described, allow_nan=False)
    printed = description.text(described, "best.json")
    assert "73,306, as in the table" in printed
    assert "network = build('best.json', classes=10, rngs=nnx.Rngs(0))" in printed
    other = description.describe(networks.plan(found, classes=7), image_size=64)
    assert other["table_parameters"] is None  # of other classes
    assert other["image_shape"] == [64, 64, 3]


def test_the_command_prints_it_and_writes_it(tmp_path):
    (tmp_path / "best.json").write_text(json.dumps(best("nasbench201", SKIPS)))
    (tmp_path / "mine.json").write_text("{}")
    line = ["best.json", "--classes=7", "--out=network.json", "--picture=cell.png"]
    done, refused = calls("build", line, ["best.json", "--out=mine.json"], cwd=tmp_path)
    assert done.status == 0, done.err
    assert "parameters    73,111\n" in done.out
    assert json.loads((tmp_path / "network.json").read_text())["classes"] == 7
    assert (tmp_path / "cell.png").read_bytes().startswith(b"\x89PNG")
    assert (refused.status, refused.out) == (2, "")
    assert "mine.json: was not written by" in refused.err


@pytest.mark.parametrize("space", KINDS)
def test_what_is_built_is_what_is_drawn(space):
    """The graph of the architecture in its own form is that of its name in tables."""
    name = {
        "nasbench201": "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
        "nasbench101": "108400/p....",
        "mobilenet_v3": "k35733333333333333333-e34633333333333333333-d32222",
    }[space]
    answer = best(space, own_form(space, name))
    assert graph(plan(answer)) == SPACES[space].graph(name)
