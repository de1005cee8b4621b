"""What every record of a space must do, and what is made from all records."""

from pathlib import Path

import numpy as np
import pytest

from weaknas_jax.predictors.presets import PRESETS
from weaknas_jax.report import catalogue, drawing
from weaknas_jax.spaces import registry
from weaknas_jax.spaces.graphs import Graph, layers
from weaknas_jax.spaces.registry import SPACES

PAGE = Path(__file__).parents[2] / "docs" / "catalogue.md"
NAMES = {
    "nasbench201": [
        "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
        "|avg_pool_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
        "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
    ],
    "nasbench101": ["008000/31p..", "108400/p....", "108400/3...."],
    "mobilenet_v3": [
        f"k{'3' * 20}-e{'3' * 20}-d{'2' * 5}",
        f"k{'5' * 20}-e{'6' * 20}-d{'4' * 5}",
    ],
}


@pytest.fixture(params=SPACES)
def space(request):
    return request.param


def test_every_space_has_names_here():
    assert set(NAMES) == set(SPACES)


def test_a_record_gives_what_it_says(space):
    record, names = SPACES[space], np.array(NAMES[space])
    encoding = record.encoding(names)
    assert encoding.dtype == np.float32
    assert len(encoding) == len(names)
    blocks, preset = registry.features(space, names, encoding)
    assert tuple(blocks) == record.blocks
    assert all(block.dtype == np.float32 and len(block) == len(names) for block in blocks.values())
    assert {block.feature for block in PRESETS[preset]} <= set(blocks)
    near = registry.neighbours(space, names, encoding)
    assert near.dtype.kind == "i"
    assert near.max(initial=-1) < len(names)
    assert all(i not in row for i, row in enumerate(near.tolist()))
    assert registry.prefixes(space, names, encoding).shape[1] == len(names)


def test_its_graph_leads_from_input_to_output(space, tmp_path):
    for name in NAMES[space]:
        graph = SPACES[space].graph(name).check()
        assert (graph.nodes[0], graph.nodes[-1]) == ("input", "output")
        figure = drawing.draw(graph, tmp_path / "a.png", title=space, overwrite=True)
        texts = {text.get_text() for text in figure.axes[0].texts}
        assert set(graph.nodes) | {label for *_, label in graph.edges} <= texts
        arrows = [text for text in figure.axes[0].texts if getattr(text, "arrow_patch", None)]
        assert len(arrows) == len(graph.edges)


def test_graphs_of_known_cells():
    cell = SPACES["nasbench201"].graph(NAMES["nasbench201"][0])
    assert cell.edges == ((0, 1, "nor_conv_3x3"), (0, 3, "skip_connect"))
    cell = SPACES["nasbench101"].graph("108400/p....")
    assert cell.nodes == ("input", "maxpool3x3", "output")
    assert layers(cell)[-1] == 2
    assert len(SPACES["mobilenet_v3"].graph(NAMES["mobilenet_v3"][0]).nodes) == 2 + 5 * 2


def test_edges_lead_forward():
    with pytest.raises(ValueError, match="edge 1 -> 0: nodes are 0"):
        Graph(("a", "b"), ((1, 0, ""),)).check()


def test_without_a_record_or_names_columns_describe():
    encoding = np.eye(4, dtype=np.float32)
    for of in (("other", np.array(list("abcd"))), ("nasbench201", None)):
        blocks, preset = registry.features(*of, encoding)
        assert preset == "table"
        assert set(blocks) == {"slots", "effects", "categories", "places", "trends"}


def test_the_page_of_all_records_is_up_to_date():
    command = "python -m weaknas_jax.report.catalogue > docs/catalogue.md"
    assert PAGE.read_text() == catalogue.markdown(), command
