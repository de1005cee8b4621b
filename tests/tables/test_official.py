"""Official NAS-Bench-201 files, made small with the package's own classes, against its own API."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weaknas_jax import TableError, load_nasbench201
from weaknas_jax.tables.__main__ import main
from weaknas_jax.tables.importers import official201

torch = pytest.importorskip("torch", reason="the extra 'official' (PyTorch) is not installed")
from nas_201_api import NASBench201API  # noqa: E402
from nas_201_api.api_utils import ArchResults, ResultsCount  # noqa: E402

SEEDS = {0: (777, 888, 999), 857: (777, 999), 6111: (777,), 9930: (888,), 10_676: (777, 888, 999)}
SETS = {
    "cifar10-valid": ("x-valid", "ori-test"),
    "cifar10": ("ori-test",),
    "cifar100": ("x-valid", "x-test", "ori-test"),
    "ImageNet16-120": ("x-valid", "x-test", "ori-test"),
}
SHORT = {keys.training: dataset for dataset, keys in official201.KEYS.items()}


def trained(training, seed, arch, epochs, accuracy):
    """One training as the authors' code stores it; NumPy's float64 for the parameters."""
    steps = range(epochs)
    costs = {"params": np.float64(0.073306 + seed * 1e-6), "flop": 7.8, "latency": [0.01, 0.02]}
    result = ResultsCount(
        training, None, {}, {}, costs["params"], costs["flop"], {"arch_str": arch}, seed, epochs,
        costs["latency"] if seed != 999 else None,
    )  # fmt: skip
    result.update_train_info(*[{e: 1.0 * e for e in steps}] * 3, dict.fromkeys(steps, 14.5 + seed))
    curve = {  # the last epoch counts, all others are worse
        f"{part}@{e}": accuracy[part] - (e != epochs - 1) for part in SETS[training] for e in steps
    }
    result.update_eval(curve, dict.fromkeys(curve, 1.0), dict.fromkeys(curve, 0.5))
    return result


def results(index, arch, epochs, trainings=tuple(SETS), seeds=None):
    """Runs around the shipped v1.1 means: their mean is exactly that of the table."""
    found = ArchResults(index, arch)
    seeds = SEEDS[index] if seeds is None else seeds
    for training in trainings:
        table = load_nasbench201(SHORT.get(training, "cifar10"))
        valid, test = table.valid_mean[index], table.test_mean[index]
        if training == "cifar10":
            test = table.extra["full_train_test"][index]
        for offset, seed in zip(np.linspace(-1, 1, len(seeds)) * (len(seeds) > 1), seeds):  # noqa: B905
            accuracy = {"x-valid": valid + offset, "ori-test": test + 2 * offset}
            accuracy["x-test"] = accuracy["ori-test"]
            accuracy = {part: float(value) for part, value in accuracy.items()}
            found.update(training, seed, trained(training, seed, arch, epochs, accuracy))
    return found


def content(indices=tuple(SEEDS), **options):
    archs = [str(name) for name in load_nasbench201().names]
    infos = {
        i: {
            "less": results(i, archs[i], 12, ("cifar10",)).state_dict(),
            "full": results(i, archs[i], 200, **options).state_dict(),
        }
        for i in indices
    }
    return {"meta_archs": archs, "arch2infos": infos, "evaluated_indexes": set(indices)}


@pytest.fixture(scope="module")
def whole():
    return content()


@pytest.fixture(scope="module", params=[True, False], ids=["zip", "legacy"])
def file(request, whole, tmp_path_factory):
    path = tmp_path_factory.mktemp("official") / "NAS-Bench-201-v1_1-small.pth"
    torch.save(whole, path, _use_new_zipfile_serialization=request.param)
    return path


@pytest.mark.parametrize("dataset", list(official201.KEYS))
def test_every_run_is_what_the_package_itself_says(dataset, file, whole):
    table, keys = official201.read_nasbench201(file, dataset), official201.KEYS[dataset]
    api = NASBench201API(whole, verbose=False)
    assert table.extra["official_index"].tolist() == sorted(SEEDS)
    assert table.names.tolist() == [api.arch(i) for i in sorted(SEEDS)]
    assert (table.version, table.space, table.dataset) == ("v1.1", "nasbench201", dataset)
    assert "777, 888, 999" in table.source
    for row, index in enumerate(sorted(SEEDS)):
        for column, seed in enumerate((777, 888, 999)):
            if seed not in SEEDS[index]:
                assert np.isnan(table.valid[row, column])
                assert np.isnan(table.test[row, column])
                continue
            run = api.get_more_info(index, keys.training, hp="200", is_random=seed)
            assert table.valid[row, column] == run["valid-accuracy"]
            assert table.test[row, column] == run["test-accuracy"]
        mean = api.get_more_info(index, keys.training, hp="200", is_random=False)
        cost = api.get_cost_info(index, keys.training, hp="200")
        assert table.valid_mean[row] == pytest.approx(mean["valid-accuracy"])
        assert table.extra["train_time_s"][row] == pytest.approx(mean["train-all-time"])
        assert table.extra["latency_s"][row] == pytest.approx(cost["latency"])
        assert table.extra["params"][row] == round(cost["params"] * 1e6)
        if dataset == "cifar10":
            full = api.get_more_info(index, "cifar10", hp="200", is_random=False)
            assert table.extra["full_train_test"][row] == pytest.approx(full["test-accuracy"])
    assert ("full_train_test" in table.extra) == (dataset == "cifar10")
    same = load_nasbench201(dataset).encoding[sorted(SEEDS)]
    np.testing.assert_array_equal(table.encoding, same)


def test_the_command_compares_with_the_shipped_means(file, tmp_path, capsys):
    out = tmp_path / "o.npz"
    assert main(["import", str(file), f"--out={out}", "--dataset=cifar100"]) == 0
    said = capsys.readouterr().out
    assert "the file has 5 of the 15,625 architectures" in said
    assert "shipped v1.1: valid 5 and test 5 of 5" in said
    assert "single_run" in said
    table = official201.read_nasbench201(file, "cifar100")
    table.valid[0] += 0.6 * 100 / 30_000  # half a count of 6 x 5,000 images is the limit
    table.test[1] += 0.4 * 100 / 30_000
    found = {a.version: a for a in official201.agreement(table)}
    assert (found["v1.1"].valid, found["v1.1"].test, found["v1.1"].rows) == (4, 5, 5)


def test_what_a_file_lacks_is_left_out(tmp_path):
    small = content((0, 857), trainings=("cifar100",))
    runs = small["arch2infos"][0]["full"]["all_results"]
    for index in (0, 857):
        for run in small["arch2infos"][index]["full"]["all_results"].values():
            run.update(latency=None, train_times=None)
    runs["cifar100", 888]["eval_names"] = ["x-test"]
    torch.save(small, tmp_path / "f.pth")
    table = official201.read_nasbench201(tmp_path / "f.pth", "cifar100")
    assert set(table.extra) == {"params", "official_index"}
    assert np.isnan(table.valid).tolist() == [[False, True, False], [False, True, False]]
    assert np.isnan(table.test).tolist() == [[False, False, False], [False, True, False]]
    assert table.version == ""
    with pytest.raises(TableError, match=r"no results on 'ImageNet16-120'.*it has 'cifar100'"):
        official201.read_nasbench201(tmp_path / "f.pth", "imagenet16")


def change(path, value):
    def apply(small):
        *parents, last = path
        for key in parents:
            small = small[key]
        if value is None:
            del small[last]
        else:
            small[last] = value

    return apply


FULL = ("arch2infos", 0, "full")
RUN = (*FULL, "all_results", ("cifar100", 777))
BAD = {
    "no archs": (change(["meta_archs"], None), "field 'meta_archs' is missing"),
    "no results": (change(["arch2infos"], {}), "'arch2infos' holds no architectures"),
    "no list": (change(["evaluated_indexes"], None), "field 'evaluated_indexes' is missing"),
    "bad string": (change(["meta_archs", 3], "conv"), "'meta_archs', entry 3"),
    "no string": (change(["meta_archs", 3], 7), "'meta_archs', entry 3"),
    "bad index": (change(["arch2infos", 99_999], {}), "has the key 99999"),
    "no full": (change(FULL, None), "architecture 0 .*KeyError: 'full'"),
    "a path": (change(FULL, "other.pth"), "architecture 0 .*'full' is a str, not a dict"),
    "other arch": (change((*FULL, "arch_str"), "x"), "architecture 0 .*in 'meta_archs'"),
    "short": (change((*RUN, "epochs"), 12), "architecture 0 .*same number of training epochs"),
    "text": (change((*RUN, "eval_acc1es"), {"x-valid@199": "a"}), "architecture 0 .*float"),
    "lost run": (change(RUN, None), "architecture 0 .*KeyError"),
    "nobody": (change((*FULL, "dataset_seed"), {"cifar100": ["a"]}), "architecture 0 "),
    "percent": (
        change((*RUN, "eval_acc1es"), dict.fromkeys(["x-valid@199", "x-test@199"], 1e4)),
        "'valid' ranges",
    ),
}


@pytest.fixture(scope="module")
def small_bytes(tmp_path_factory):
    """A small file in both encodings."""
    folder, found = tmp_path_factory.mktemp("small"), []
    for new in (True, False):
        small = content((0,), trainings=("cifar100",), seeds=(777, 888))
        torch.save(small, folder / "f.pth", _use_new_zipfile_serialization=new)
        found.append((folder / "f.pth").read_bytes())
    return found


@pytest.mark.parametrize("case", BAD)
def test_other_content_is_named(case, tmp_path, small_bytes):
    (tmp_path / "f.pth").write_bytes(small_bytes[0])
    small = torch.load(tmp_path / "f.pth", weights_only=False)
    apply, message = BAD[case]
    apply(small)
    torch.save(small, tmp_path / "f.pth")
    with pytest.raises(TableError, match=message) as error:
        official201.read_nasbench201(tmp_path / "f.pth", "cifar100")
    assert "f.pth" in str(error.value)


def test_twelve_epochs_are_not_taken_for_two_hundred(tmp_path):
    small = content((0,))
    small["arch2infos"][0]["full"] = small["arch2infos"][0]["less"]
    torch.save(small, tmp_path / "f.pth")
    with pytest.raises(TableError, match="no results on 'cifar100'"):
        official201.read_nasbench201(tmp_path / "f.pth", "cifar100")
    short = results(0, small["meta_archs"][0], 12).state_dict()
    small["arch2infos"][0]["full"] = short
    torch.save(small, tmp_path / "f.pth")
    with pytest.raises(TableError, match="trained for 12 epochs, not 200"):
        official201.read_nasbench201(tmp_path / "f.pth", "cifar100")


def test_the_name_of_an_official_file_holds_its_checksum(tmp_path, small_bytes):
    path = tmp_path / "NAS-Bench-201-v1_1-096897.pth"
    path.write_bytes(small_bytes[1])
    with pytest.raises(TableError, match=r"MD5 ends in .* its name says 096897"):
        official201.read_nasbench201(path, "cifar100")


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_damage_is_an_error_or_a_table(tmp_path, small_bytes, data):
    """Any bytes: a TableError, or a table that passed every check (legacy files have no sums)."""
    raw = bytearray(data.draw(st.sampled_from(small_bytes)))
    kind = data.draw(st.sampled_from(["flip", "cut", "noise", "noisy pickle"]))
    if kind == "flip":
        for _ in range(data.draw(st.integers(1, 3))):
            raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    elif kind == "cut":
        raw = raw[: data.draw(st.integers(0, len(raw) - 1))]
    else:
        raw = data.draw(st.binary(max_size=200))
        raw = b"\x80\x02" + raw + b"." if kind == "noisy pickle" else raw
    (tmp_path / "f.pth").write_bytes(bytes(raw))
    try:
        table = official201.read_nasbench201(tmp_path / "f.pth", "cifar100")
    except TableError:
        return
    assert table.valid.shape == table.test.shape
    assert len(table) == len(table.names) == 1
