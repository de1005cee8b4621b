"""The package's own tables are verified, and damage to them is found."""

from pathlib import Path

from weaknas_jax.storage.npz import read_npz, write_npz
from weaknas_jax.tables import nasbench201, registry
from weaknas_jax.tables.__main__ import main


def test_verify_the_package(capsys):
    status, (out, err) = main(["verify"]), capsys.readouterr()
    assert (status, err) == (0, "")
    assert "nasbench201: ok, sha256 " + registry.checksum("nasbench201") in out


def test_verify_finds_a_damaged_package(capsys, tmp_path, monkeypatch):
    file = tmp_path / "nasbench201.npz"
    monkeypatch.setattr(nasbench201, "FILE", file)
    monkeypatch.setitem(
        registry.SHIPPED, "nasbench201", registry.SHIPPED["nasbench201"]._replace(file=file)
    )
    good = read_npz(Path(nasbench201.__file__).parent / "packed" / "nasbench201.npz")

    def verify(**changes):
        write_npz(file, good | changes)
        nasbench201.read_packed.cache_clear()
        return main(["verify"]), *capsys.readouterr()

    try:
        valid, ops = good["valid"].copy(), good["ops"].copy()
        valid[0, 77] = valid[0].max()
        ops[5] = ops[4]
        status, out, err = verify(valid=valid)
        assert (status, out.count("\n")) == (2, 1)  # of the other benchmark
        assert "cifar10: best valid is 91.607 in rows [77, 6111], expected" in err
        status, out, err = verify(ops=ops)
        assert (status, out.count("\n")) == (2, 1)
        assert err.count("has 15,624 different architectures, not 15,625") == 3
        assert verify()[0] == 0
        file.write_bytes(file.read_bytes()[:-50])
        nasbench201.read_packed.cache_clear()
        status, out, err = main(["verify"]), *capsys.readouterr()
        assert (status, out.count("\n")) == (2, 1)
        assert "truncated or corrupted" in err
    finally:
        nasbench201.read_packed.cache_clear()
