"""Files of PyTorch are read as data: nothing in them is run."""

import os
import pickle

import numpy as np
import pytest

from weaknas_jax import TableError
from weaknas_jax.storage import torch_file
from weaknas_jax.tables.importers import official201

torch = pytest.importorskip("torch", reason="the extra 'official' (PyTorch) is not installed")


class Hostile:
    def __init__(self, call, *args):
        self.call, self.args = call, args

    def __reduce__(self):
        return self.call, self.args


@pytest.mark.parametrize("protocol", range(1, 6))
@pytest.mark.parametrize("how", ["pickle", "zip", "legacy", "inside", "eval"])
def test_nothing_in_a_file_is_run(how, protocol, tmp_path):
    marker, path = tmp_path / "ran", tmp_path / "f.pth"
    hostile = Hostile(os.system, f"touch {marker}")
    if how == "eval":
        hostile = Hostile(eval, f"open({str(marker)!r}, 'w')")
    if how == "inside":
        hostile = {"meta_archs": [], "arch2infos": {0: hostile}, "evaluated_indexes": []}
    if how in ("pickle", "eval"):
        path.write_bytes(pickle.dumps(hostile, protocol))
        pickle.loads(path.read_bytes())
    else:
        torch.save(
            hostile, path, pickle_protocol=protocol, _use_new_zipfile_serialization=how != "legacy"
        )
        torch.load(path, weights_only=False)
    assert marker.exists(), "the file is harmless: this tests nothing"
    marker.unlink()
    with pytest.raises(TableError, match=r"f\.pth.*nothing in it was run"):
        official201.read_nasbench201(path, "cifar10")
    assert not marker.exists()


def test_the_call_asked_for_is_named(tmp_path):
    torch.save(Hostile(os.system, "true"), tmp_path / "f.pth")
    with pytest.raises(TableError, match=r"asks for (posix|nt)\.system, which is not data"):
        torch_file.read_plain(tmp_path / "f.pth")


@pytest.mark.parametrize("new", [True, False])
def test_numpy_scalars_are_numbers_and_other_types_are_not(new, tmp_path):
    path = tmp_path / "f.pth"
    values = [np.float64(0.1), np.float32(0.5), np.int64(-7), np.uint8(200), np.bool_(True)]
    torch.save(values, path, _use_new_zipfile_serialization=new)
    back = torch_file.read_plain(path)
    assert back == [0.1, 0.5, -7, 200, True]
    assert [type(x) for x in back] == [float, float, int, int, bool]
    for bad in (np.str_("a"), np.datetime64("2020-01-01"), np.zeros(1, [("a", "O")])[0]):
        torch.save(bad, path, _use_new_zipfile_serialization=new)
        with pytest.raises(TableError, match="plain data"):
            torch_file.read_plain(path)


def test_numbers_of_another_byte_order():
    dtype = torch_file._Dtype("i4", False, True)
    for order in "<>":
        dtype.__setstate__((3, order, None, None, None, -1, -1, 0))
        assert torch_file._scalar(dtype, np.array(258, order + "i4").tobytes()) == 258


def test_old_releases_of_torch_are_not_trusted(tmp_path, monkeypatch):
    torch.save({}, tmp_path / "f.pth")
    version = type(torch.__version__)
    monkeypatch.setattr(torch, "__version__", version("2.9.1+cpu"))
    with pytest.raises(TableError, match=r"PyTorch 2\.9\.1.*2\.10 or newer.*pip install"):
        torch_file.read_plain(tmp_path / "f.pth")
    monkeypatch.setattr(torch, "__version__", version("2.10.0"))
    torch_file.read_plain(tmp_path / "f.pth")


def test_reading_does_not_widen_what_torch_trusts(tmp_path):
    torch.save([np.float64(1)], tmp_path / "f.pth")
    before = set(torch.serialization.get_safe_globals())  # PyTorch lists a set: in any order
    torch_file.read_plain(tmp_path / "f.pth")
    assert set(torch.serialization.get_safe_globals()) == before
