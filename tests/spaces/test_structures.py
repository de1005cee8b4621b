"""Cells and chains that a space says it is: their blocks by hand and by walking, and errors."""

import collections
import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weaknas_jax import Cell, Chain, Choices, categorical, integer, jobs, ordinal
from weaknas_jax.predictors import presets
from weaknas_jax.predictors.mixture import members
from weaknas_jax.search import methods
from weaknas_jax.spaces import choices_file, nasbench201, structure_blocks, structures_file
from weaknas_jax.spaces.choice import SpaceError

OPS = ("a", "zero", "b", "same")
EDGES = {"e01": (0, 1), "e02": (0, 2), "e12": (1, 2), "e03": (0, 3), "e13": (1, 3), "e23": (2, 3)}
CELL = Cell(EDGES, none="zero", skip="same")
CHOICES = {"width": ordinal(8, 16, 32)} | {name: categorical(*OPS) for name in EDGES}
SPACE = Choices(CHOICES, structure=CELL)
LAYERS = Choices(
    {f"layer{i}": categorical("conv", "pool", "identity") for i in range(4)}
    | {"lr": integer(1, 3)},
    structure=Chain(tuple(f"layer{i}" for i in range(4)), skip="identity"),
)


def squares(choices, *archs):
    """The counts in the blocks of architectures."""
    codes = np.stack([choices.codes(arch) for arch in archs])
    features = choices.space(codes).features
    return {name: np.rint(np.asarray(block) ** 2).astype(int) for name, block in features.items()}


def by_walking(ops, edges, none, skip):
    """Sequences of a cell's paths and its live edges, by trying every set of edges."""
    output, sequences, live = max(end for _, end in edges), [], set()
    stack = [(0, ())]
    while stack:
        node, path = stack.pop()
        if node == output:
            live |= set(path)
            sequences.append(tuple(ops[e] for e in path if ops[e] not in skip))
        for at, (start, end) in enumerate(edges):
            if start == node and ops[at] not in none:
                stack.append((end, (*path, at)))
    return sequences, live


def test_a_cell_by_hand():
    # Paths: 0-3 by b; 0-1-3 by a, same; 0-1-2-3 by a, b, a. The edge 0-2 is cut.
    arch = {"e01": "a", "e02": "zero", "e12": "b", "e03": "b", "e13": "same", "e23": "a"}
    blocks = squares(SPACE, arch | {"width": 16})
    # Sequences in order: (), a, b, aa, ab, ba, bb, aaa, aab, aba, ...
    assert np.flatnonzero(blocks["paths"][0]).tolist() == [1, 2, 9]
    assert blocks["paths"].shape == (1, 1 + 2 + 4 + 8)
    assert blocks["grams"].tolist() == [[3, 2, 0, 1, 1, 0]]  # a, b, aa, ab, ba, bb
    assert blocks["counts"].tolist() == [[2, 2, 1]]  # a, b, same


def test_a_chain_by_hand():
    arch = {"layer0": "pool", "layer1": "identity", "layer2": "conv", "layer3": "conv", "lr": 2}
    blocks = squares(LAYERS, arch)
    assert blocks["paths"].tolist() == [[0, 1, 1, 0, 1, 0, 0, 0]]  # pool, conv, conv and nothing
    assert blocks["grams"].tolist() == [[2, 1, 1, 0, 1, 0]]  # conv, pool, cc, cp, pc, pp
    assert blocks["counts"].tolist() == [[2, 1, 1]]


def test_chains_of_one_sequence_have_the_same_paths():
    words = ["conv", "pool", "identity"]
    archs = [
        dict(zip(LAYERS.names, (*ops, 1), strict=True))
        for ops in itertools.product(words, repeat=4)
    ]
    codes = np.stack([LAYERS.codes(arch) for arch in archs])
    paths = np.asarray(LAYERS.space(codes).features["paths"])
    left = [tuple(v for v in arch.values() if v in words[:2]) for arch in archs]
    alike = np.array([[a == b for a in left] for b in left])
    assert ((paths[:, None] == paths[None]).all(axis=2) == alike).all()


def test_the_blocks_of_nasbench201_are_its_own_in_any_order():
    ops = nasbench201.decode(np.arange(nasbench201.SIZE))
    edges, options = [4, 0, 5, 2, 1, 3], [3, 1, 4, 0, 2]  # orders of edges and of options
    cell = Cell(
        {f"e{edge}": nasbench201.EDGES[edge] for edge in edges}, none="none", skip="skip_connect"
    )
    words = [nasbench201.OPS[option] for option in options]
    space = Choices({f"e{edge}": categorical(*words) for edge in range(6)}, structure=cell)
    blocks = space.space(np.argsort(options)[ops]).features
    for name, block in nasbench201.features(ops).items():
        assert blocks[name].shape == block.shape
        own, other = (x[:, np.lexsort(x)] for x in (block, np.asarray(blocks[name])))
        np.testing.assert_array_equal(own, other, err_msg=name)


def test_all_cells_of_nasbench201_by_walking():
    ops = nasbench201.decode(np.arange(nasbench201.SIZE))
    blocks = {k: np.rint(v**2).astype(int) for k, v in nasbench201.features(ops).items()}
    columns = {
        s: at
        for at, s in enumerate(s for n in range(4) for s in itertools.product((2, 3, 4), repeat=n))
    }
    pairs = list(itertools.product((2, 3, 4), repeat=2))
    for row in range(0, len(ops), 5):
        sequences, live = by_walking(ops[row].tolist(), nasbench201.EDGES, [0], [1])
        expected = np.zeros(40, int)
        for sequence in sequences:
            expected[columns[sequence]] += 1
        singles = collections.Counter(itertools.chain.from_iterable(sequences))
        often = collections.Counter(pair for s in sequences for pair in itertools.pairwise(s))
        assert blocks["paths"][row].tolist() == expected.tolist()
        assert blocks["grams"][row].tolist() == [
            *(singles[op] for op in (2, 3, 4)),
            *map(often.get, pairs, [0] * 9),
        ]
        assert blocks["counts"][row].tolist() == [
            sum(ops[row, e] == op for e in live) for op in (1, 2, 3, 4)
        ]


@st.composite
def graphs(draw):
    nodes = draw(st.integers(2, 6))
    pairs = list(itertools.combinations(range(nodes), 2))
    spine = [(node, node + 1) for node in range(nodes - 1)]
    edges = spine + draw(st.lists(st.sampled_from(pairs), max_size=9))
    return draw(st.permutations(edges))


@settings(deadline=None)
@given(graphs(), st.data())
def test_any_cell_by_walking(edges, data):
    levels = data.draw(st.integers(3, 9))
    ops = data.draw(st.lists(st.integers(-1, levels - 1), min_size=len(edges), max_size=len(edges)))
    blocks = structure_blocks.cell(np.array([ops, [2] * len(edges)]), edges, levels, [0], [1])
    sequences, live = by_walking(ops, edges, [-1, 0], [1])
    paths = np.rint(blocks["paths"][0] ** 2)
    assert paths.sum() == len(sequences)
    assert (paths > 0).sum() <= len(set(sequences))  # equal, but for sequences of the same hash
    assert paths.max() >= max(collections.Counter(sequences).values(), default=0)
    assert blocks["paths"].shape[1] <= structure_blocks.WIDEST
    often = collections.Counter(itertools.chain.from_iterable(sequences))
    grams = np.rint(blocks["grams"][0] ** 2)
    assert grams[: levels - 2].tolist() == [often[op] for op in range(2, levels)]
    assert grams[levels - 2 :].sum() == sum(max(len(s) - 1, 0) for s in sequences)
    counts = np.rint(blocks["counts"][0] ** 2).tolist()
    assert counts == [sum(ops[e] == op for e in live) for op in range(1, levels)]


def test_long_sequences_share_a_fixed_number_of_columns_and_no_row_depends_on_others():
    rng = np.random.default_rng(0)
    edges = list(itertools.combinations(range(6), 2))
    ops = rng.integers(0, 8, (300, len(edges)))
    whole = structure_blocks.cell(ops, edges, 8, [0], [1])
    assert whole["paths"].shape == (300, structure_blocks.WIDEST)
    for row in (0, 7, 299):
        alone = structure_blocks.cell(ops[row : row + 1], edges, 8, [0], [1])
        for name, block in alone.items():
            np.testing.assert_array_equal(block[0], whole[name][row])
    sequences = [set(by_walking(row, edges, [0], [1])[0]) for row in ops.tolist()]
    different = sum(len(s) for s in sequences)
    assert (whole["paths"] > 0).sum() > 0.97 * different  # few of one cell share a column
    deep = structure_blocks.chain(rng.integers(0, 60, (50, 200)), 60, [3])
    assert deep["paths"].shape == (50, structure_blocks.WIDEST)
    assert deep["grams"].shape == (50, 59 + structure_blocks.WIDEST)
    assert np.rint(deep["grams"][:, 59:] ** 2).sum() > 50 * 190


def test_an_inactive_choice_cuts_its_edge_and_leaves_its_layer_out():
    choices = {"more": categorical(True, False), "a": categorical("x", "y")}
    choices["b"] = categorical("x", "y", when={"more": True})
    one = {"more": False, "a": "y"}
    chain = Choices(choices, structure=Chain(("a", "b")))
    assert squares(chain, one)["counts"].tolist() == [[0, 1]]
    assert squares(chain, one)["paths"].tolist() == [[0, 1, 0, 0]]
    cell = Choices(choices, structure=Cell({"a": (0, 1), "b": (0, 1)}))
    assert squares(cell, one)["counts"].tolist() == [[0, 1]]
    assert squares(cell, {"more": True, "a": "y", "b": "y"})["counts"].tolist() == [[0, 2]]


def test_a_process_has_the_kernel_of_cells_and_a_mixture_also_that_of_columns():
    codes = SPACE.complete(np.full((20, 7), -1, SPACE.dtype), np.random.default_rng(0))
    space, plain = SPACE.space(codes), SPACE.replace(structure=None).space(codes)
    assert presets.blocks_of(space) == presets.CELL_AND_OTHERS
    width = codes[:, 0]
    apart = ((space.features["others"][:, None] - space.features["others"][None]) ** 2).sum(axis=2)
    assert ((apart == 0) == (width[:, None] == width[None])).all()
    alone = Choices({name: CHOICES[name] for name in EDGES}, structure=CELL).space(codes[:, 1:])
    assert presets.blocks_of(alone) == presets.CELL
    np.testing.assert_array_equal(alone.features["paths"], space.features["paths"])
    assert [m.name for m in members(space)] == ["sum", "sum", "own", "table"]
    assert [m.name for m in members(plain)] == ["sum", "sum", "categories", "ordered"]
    np.testing.assert_array_equal(space.encoding, plain.encoding)
    np.testing.assert_array_equal(space.features["slots"], plain.features["slots"])
    numbers = SPACE.replace(encoding=lambda arch: [arch["width"]]).space(codes)
    np.testing.assert_array_equal(numbers.features["grams"], space.features["grams"])


def test_jobs_are_searched_by_the_structure(tmp_path):
    def score(arch):
        return sum(a == "conv" and b == "pool" for a, b in itertools.pairwise(arch.values()))

    method = methods.make("gp", budget=12, init=4, per_round=4)
    journal = tmp_path / "j"
    result = jobs.search(method, score, LAYERS, workers=1, journal=journal)
    assert result.best.score == 2
    other = LAYERS.replace(structure=Chain(LAYERS.structure.layers))
    with pytest.raises(
        ValueError, match=r"space.structure.chain.skip was \[\"identity\"\], is noth"
    ):
        jobs.search(method, score, other, workers=1, journal=journal)


@pytest.mark.parametrize("space", [SPACE, LAYERS])
def test_a_space_file_keeps_the_structure(space):
    again = choices_file.from_json(json.dumps(space.describe()))
    assert again.structure == space.structure
    assert again.describe() == space.describe()


@pytest.mark.parametrize(
    "structure",
    [
        CELL,
        Cell([(0, 1), (1, 2)]),
        Cell({3: (0, 1), 0: (1, 2)}, none=0, skip=[1, 2], options=range(5)),
        Chain(),
        Chain((2, 0), skip=1),
        Chain(["a", "b"], skip=("x", "y"), options=("x", "y", "z")),
    ],
)
def test_json_and_back(structure):
    assert structures_file.from_text(json.dumps(structure.describe())) == structure


def test_options_of_a_list_may_be_missing_where_all_are_named():
    listed = [{"a": "x", "b": "y"}, {"a": "z", "b": "x"}]
    with pytest.raises(
        SpaceError, match=r"structure: choice 'b' has the options 'y', 'x', and not"
    ):
        Choices.from_list(listed, structure=Chain())
    space = Choices.from_list(listed, structure=Chain(options=("x", "y", "z")))
    assert squares(space, *listed)["counts"].tolist() == [[1, 1, 0], [1, 0, 1]]


BAD = {
    "no graph": (lambda: Cell({}), "give pairs of nodes by the names"),
    "no pairs": (lambda: Cell({"a": 3}), "edge 3: give its nodes as"),
    "texts": (lambda: Cell({"a": ("in", "out")}), "give its nodes as"),
    "a circle": (lambda: Cell({"a": (0, 1), "b": (1, 0)}), r"edge \(1, 0\) goes backwards or in a"),
    "a loop": (lambda: Cell({"a": (0, 0)}), "in a circle"),
    "a gap": (lambda: Cell({"a": (0, 2)}), "no edge has node 1"),
    "no input": (lambda: Cell({"a": (1, 2)}), "no edge has node 0"),
    "a dead end": (
        lambda: Cell({"a": (0, 1), "b": (0, 2)}),
        r"edge \(0, 1\) lies on no path from node 0 to node 2",
    ),
    "too many paths": (
        lambda: Cell(list(itertools.combinations(range(11), 2))),
        "the edges make 512 paths from node 0 to node 10; at most 256",
    ),
    "twice": (lambda: Chain(("a", "a")), "'a' is there twice"),
    "no name": (lambda: Chain((1.5,)), "1.5 is no name"),
    "unknown": (
        lambda: Choices(CHOICES, structure=Cell({"e9": (0, 1)})),
        "structure: no choice 'e9'; there are width, e01",
    ),
    "unequal": (
        lambda: Choices(CHOICES, structure=Chain(("e01", "width"))),
        "choice 'width' has the options 8, 16, 32, and not 'a', 'zero', 'b', 'same'",
    ),
    "all": (
        lambda: Choices({n: CHOICES[n] for n in EDGES}, structure=Cell([(0, 1), (1, 2)])),
        "the cell has 2 edges, and there are 6 choices .*: name that of each edge",
    ),
    "no option": (
        lambda: Choices(CHOICES, structure=Cell(EDGES, none="none")),
        "structure: none: no option 'none'; there are 'a', 'zero', 'b', 'same'",
    ),
    "no operation": (
        lambda: Choices(CHOICES, structure=Cell(EDGES, none=("a", "b"), skip=("zero", "same"))),
        "at least one must be an operation",
    ),
    "too many options": (
        lambda: Choices({"a": integer(1, 10**9)}, structure=Chain()),
        "choice 'a' has 1,000,000,000 options; at most 128",
    ),
    "no structure": (lambda: Choices(CHOICES, structure={"cell": 1}), "give a Cell or a Chain"),
    "a field": (
        lambda: structures_file.from_text('{"cell": {"edge": {}}}'),
        "not a cell; give .*edges",
    ),
    "stray": (lambda: structures_file.from_text('{"chain": {"x": 1}}'), "unknown field 'x'"),
    "a kind": (lambda: structures_file.from_text('{"tree": {}}'), "not a structure; give"),
    "a list": (lambda: structures_file.from_text("[]"), "not a structure"),
    "no JSON": (lambda: structures_file.from_text("{"), "not JSON"),
    "a name twice": (
        lambda: structures_file.from_text('{"cell": {"edges": {"a": [0, 1], "a": [1, 2]}}}'),
        "'a' is there twice",
    ),
    "a slot twice": (
        lambda: structures_file.from_text('{"cell": {"edges": [[0, 0, 1], [0, 1, 2]]}}'),
        "0 is there twice",
    ),
    "in a space file": (
        lambda: choices_file.from_json('{"choices": {"a": {"ordinal": [1]}}, "structure": [1]}'),
        "field 'structure': give as",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_errors_say_what_is_wrong(case):
    make, match = BAD[case]
    with pytest.raises(SpaceError, match=match):
        make()
