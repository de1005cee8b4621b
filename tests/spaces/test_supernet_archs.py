"""Sub-networks: costs exact to the published numbers, names, JSON, errors that name the block."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from weaknas_jax.spaces.mobilenet import arch as archs
from weaknas_jax.spaces.mobilenet import config, cost

SOURCE = Path(os.environ.get("WEAKNAS_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
WIDE, NARROW = config.mobilenet_v3(1.2), config.mobilenet_v3(1.0)
PUBLISHED = [  # parameters; multiply-adds at 160, 224, 236 pixels; blocks with the fixed one
    (WIDE, "max", 10_701_632, (433_563_888, 843_101_040, 969_456_000), 21),
    (WIDE, "min", 4_602_456, (100_320_888, 193_078_200, 222_143_952), 11),
    (WIDE, "weaknas_800", 8_577_088, (264_046_160, 511_983_056, 593_163_960), 19),
    (WIDE, "weaknas_1000", 8_813_720, (249_525_616, 483_261_424, 560_829_800), 18),
    (NARROW, "max", 7_664_760, (291_318_048, 566_170_656, 652_355_040), 21),
    (NARROW, "min", 3_410_792, (63_240_528, 121_278_672, 140_021_280), 11),
]


@pytest.mark.parametrize(("of", "name", "parameters", "adds", "blocks"), PUBLISHED)
def test_costs_are_the_published_ones(of, name, parameters, adds, blocks):
    arch = archs.named(of, name)
    assert cost.parameters(of, arch) == parameters
    assert tuple(cost.multiply_adds(of, arch, np.array([160, 224, 236]))) == adds
    assert archs.active(of, arch).sum() + 1 == blocks


def test_a_population_costs_what_its_members_cost():
    many = archs.random(WIDE, np.random.default_rng(0), 2000)
    adds = cost.multiply_adds(WIDE, many)
    assert adds.shape == (2000,)
    for i in (0, 7):
        one = archs.Arch(*(part[i] for part in many))
        assert cost.multiply_adds(WIDE, one) == adds[i]
        assert cost.parameters(WIDE, one) == cost.parameters(WIDE, many)[i]
    # Of random ones at 236 pixels: 485 M on average, deviation 69 M, 12.3 % in the paper's window.
    millions = adds / 1e6
    assert abs(millions.mean() - 485) < 4 * 69 / 2000**0.5
    window = np.mean((millions >= 550) & (millions < 601))
    assert abs(window - 0.123) < 4 * (0.123 * 0.877 / 2000) ** 0.5
    assert archs.encode(many).shape == (2000, 45)


@pytest.mark.parametrize("of", [WIDE, NARROW, config.small()])
def test_net_config_goes_both_ways(of):
    many = archs.random(of, np.random.default_rng(1), 50)
    for i in range(50):
        arch = archs.Arch(*(part[i] for part in many))
        content = json.loads(json.dumps(archs.to_net_config(of, arch)))
        found = archs.from_net_config(of, content)
        used = archs.active(of, arch)
        np.testing.assert_array_equal(found.depths, arch.depths)
        for ours, theirs in zip(found[:2], arch[:2], strict=True):
            np.testing.assert_array_equal(ours[used], theirs[used])
        assert cost.multiply_adds(of, found) == cost.multiply_adds(of, arch)


def test_files_are_read(tmp_path):
    arch = archs.named(WIDE, "weaknas_800")
    for name, text in (
        ("lists", archs.to_json(arch)),
        ("net", json.dumps(archs.to_net_config(WIDE, arch))),
    ):
        path = tmp_path / f"{name}.json"
        path.write_text(text)
        assert cost.parameters(WIDE, archs.read(WIDE, path)) == 8_577_088
    assert cost.parameters(WIDE, archs.read(WIDE, "weaknas_1000")) == 8_813_720


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ks": [4] + [3] * 19}, r"block 1 \(stage 1, place 1\): kernel size 4; the supernet has"),
        ({"e": [3] * 7 + [5] + [3] * 12}, r"block 8 \(stage 2, place 4\): expansion 5"),
        ({"d": [2, 2, 9, 2, 2]}, "stage 3: depth 9"),
        ({"ks": [3] * 19}, "kernels: 19 numbers, and the supernet has 20"),
        ({"ks": "x"}, "bad.json: "),
    ],
)
def test_what_the_supernet_has_not_is_named(tmp_path, change, message):
    lists = {"ks": [3] * 20, "e": [3] * 20, "d": [2] * 5}
    (tmp_path / "bad.json").write_text(json.dumps(lists | change))
    with pytest.raises(archs.ArchError, match=message):
        archs.read(WIDE, tmp_path / "bad.json")


def test_files_that_are_none_are_named(tmp_path):
    (tmp_path / "empty.json").write_text("{}")
    (tmp_path / "broken.json").write_text("{")
    for name, message in (
        ("absent.json", "no such file, and no name"),
        ("empty.json", "neither the lists"),
        ("broken.json", "cannot be read as JSON"),
    ):
        with pytest.raises(archs.ArchError, match=message):
            archs.read(WIDE, tmp_path / name)
    of_other = archs.to_net_config(NARROW, archs.named(NARROW, "max"))
    with pytest.raises(archs.ArchError, match="block 1 of the file"):
        archs.from_net_config(WIDE, of_other)
    with pytest.raises(archs.ArchError, match="no such sub-network"):
        archs.named(WIDE, "weaknas_9")


def test_a_config_that_cannot_be_built_is_refused():
    for change, message in (
        ({"kernels": (3, 4)}, "only odd sizes"),
        ({"depths": (2, 2)}, "ascending whole numbers"),
        ({"strides": (1, 2)}, "one for each"),
    ):
        with pytest.raises(ValueError, match=message):
            config.SupernetConfig(**change)


def test_the_shared_list_of_architectures_is_ours():
    if not (SOURCE / "ofa").exists():
        pytest.skip(f"{SOURCE}/ofa is not here")
    theirs = json.loads((SOURCE / "ofa" / "archs.json").read_text())
    assert set(theirs) == set(archs.NAMES)
    for name, lists in theirs.items():
        assert json.loads(archs.to_json(archs.named(WIDE, name))) == lists
