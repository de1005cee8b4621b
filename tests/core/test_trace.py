"""Traces of version 0.1, whose field `nan_round` was called ``broken``."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from weaknas_jax.core import trace as traces
from weaknas_jax.core.trace import Trace
from weaknas_jax.report import run_folder
from weaknas_jax.storage import ownership

OLD = Path(__file__).parents[1] / "golden" / "version_0_1" / "trace.npz"


def test_a_trace_of_version_0_1_is_read_and_is_ours(tmp_path):
    shutil.copy(OLD, tmp_path)
    with np.load(OLD, allow_pickle=False) as arrays:
        assert "broken" in arrays
        assert "nan_round" not in arrays
        nan_round = arrays["broken"]
    trace = run_folder.load_trace(tmp_path)
    np.testing.assert_array_equal(trace.nan_round, nan_round)
    assert ownership.ours(tmp_path / "trace.npz")
    np.savez(tmp_path / "trace.npz", **trace._asdict())
    assert ownership.ours(tmp_path / "trace.npz")
    for one, other in zip(run_folder.load_trace(tmp_path), trace, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_missing_field_is_named():
    arrays = dict.fromkeys(set(Trace._fields) - {"round"}, np.zeros(1))
    with pytest.raises(KeyError, match="round"):
        traces.from_arrays(arrays)
