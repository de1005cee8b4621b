"""Small tables and quick predictors for the tests."""

import functools
import gc
import json
import os
from importlib import metadata
from pathlib import Path

# Some thirty processes compile the same few programs: they share what they compiled. Set before
# JAX is imported; workers and the mains that tests start inherit it.
_cache = Path(__file__).parents[1] / ".pytest_cache" / "xla"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_cache))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.03")

import jax.numpy as jnp
import jsonschema
import numpy as np
import pytest

from weaknas_jax import Method, Prediction, Predictor, Table, save_table
from weaknas_jax.measures import summary
from weaknas_jax.search.methods import METHODS
from weaknas_jax.spaces import graph_arrays

gc.set_threshold(200_000, 20, 50)  # workers hold gigabytes of programs, slow to look through

QUICKLY = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
QUICKLY += " --xla_cpu_parallel_codegen_split_count=1"  # other threads have other tests
if metadata.version("jaxlib").startswith("0.10."):  # XLA ends a process at a flag it does not know
    QUICKLY += " --xla_cpu_use_fusion_emitters=false"
"""Flags of XLA: programs of this size take longer to optimize than to run."""


def pytest_configure(config):
    """Compiles quickly for quick tests, here and in processes they start; fully for slow ones.

    Before the first array: XLA reads its flags once.
    """
    if config.option.markexpr == "not slow":
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {QUICKLY}".strip()


def optimized(**more: str) -> dict[str, str]:
    """The environment of a process that compiles as that of a user does."""
    flags = os.environ.get("XLA_FLAGS", "").replace(QUICKLY, "").strip()
    return {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags, **more}


_NETWORK = {"hidden": (64, 64), "widths": (48,)}  # one compiled width
_NEURAL = {"width": 32, "hidden": 32, "epochs": 60, "learning_rate": 1e-2}
_GATES = {"layers": 3, "width": 16, "hidden": 16, "epochs": 60, "learning_rate": 5e-3}
SMALL = {
    "mlp": _NETWORK,
    "mlp_pairwise": _NETWORK,
    "mlp_listwise": _NETWORK,
    "ensemble": _NETWORK,
    "warm_ensemble": _NETWORK,
    "gbrt": {"trees": 30},
    "forest": {"trees": 30},
    "brp": {"width": 16, "epochs": 40},
    "brp_printed": {"width": 16, "epochs": 5, "learning_rate": 3e-3},
    "bananas": {"members": 2, "hidden": (16,)},
    "brp_nas": {"width": 8, "epochs": 10},
    "bonas": {"epochs": 60, "width": 16},
    "bonas_printed": {"epochs": 60, "width": 16},
    "neural_predictor": _NEURAL,
    "neural_predictor_two_stage": _NEURAL,
    "neural_predictor_printed": _NEURAL,
    "gates": _GATES,
    "gates_printed": _GATES,
}
"""Sizes of predictors for tests that are not about their quality."""


LONG = (pytest.mark.slow, pytest.mark.long)
"""Marks of tests of minutes, which run once a week."""


WEEKLY = ("neural_predictor", "gates", "brp")


def marks(case, quick) -> tuple:
    """Marks of a test of a method, predictor or both: none of those in ``quick``, else slow.

    Graph networks share the code of `bonas`, and ports of released programs
    (`PredictorRecord.printed`) that of their predictor: they are tested weekly.
    """
    names = [name for name in (case if isinstance(case, tuple) else (case,)) if name]
    if case in quick:
        return ()
    weekly = any(str(name).startswith(WEEKLY) or str(name).endswith("_printed") for name in names)
    return LONG if weekly else (pytest.mark.slow,)


def quick_and_slow(names, quick):
    """Parameters of a test: all ``names``, of which those not in ``quick`` are slow tests."""
    return [pytest.param(name, marks=marks(name, quick)) for name in names]


def planted_table(sizes=(4, 4, 4), runs=1, noise=0.0, seed=0) -> Table:
    """Every combination of a few choices; accuracy is a sum of the choices' effects, plus noise.

    The optimum is known by construction: the best choice everywhere.
    """
    rng = np.random.default_rng(seed)
    choices = np.array(np.meshgrid(*[np.arange(s) for s in sizes], indexing="ij"))
    choices = choices.reshape(len(sizes), -1).T
    effects = [np.linspace(0, 10, s) * (i + 1) for i, s in enumerate(sizes)]
    score = 20 + sum(e[c] for e, c in zip(effects, choices.T, strict=True))
    encoding = np.hstack([np.eye(s)[c] for s, c in zip(sizes, choices.T, strict=True)])
    return Table(
        space="planted",
        dataset="sum",
        encoding=encoding.astype(np.float32),
        valid=score[:, None] + noise * rng.normal(size=(len(score), runs)),
        test=score[:, None] - 1.0,
        names=np.array(["-".join(map(str, c)) for c in choices]),
        graphs=_as_graphs(choices),
    )


def _as_graphs(choices) -> graph_arrays.Graphs:
    """Each choice of an architecture as an edge: of a cell of three, else of a chain."""
    chain = [(at, at + 1) for at in range(choices.shape[1])]
    edges = [(0, 1), (0, 2), (1, 2)] if len(chain) == 3 else chain
    return graph_arrays.of_edges(edges, choices, [f"op{at}" for at in range(choices.max() + 1)])


def ridge(strength: float = 1e-2) -> Predictor:
    """Ridge regression: a predictor that needs milliseconds, for tests of the loop."""

    def fit(key, x, y, mask):
        del key
        x = jnp.where(mask[:, None], jnp.pad(x, ((0, 0), (0, 1)), constant_values=1.0), 0.0)
        gram = x.T @ x + strength * jnp.eye(x.shape[1])
        return jnp.linalg.solve(gram, x.T @ jnp.where(mask, y, 0.0))

    return Predictor(fit, lambda w, x: Prediction(x @ w[:-1] + w[-1]))


def build(name: str, predictor: Predictor | None = None, **settings) -> Method:
    """A registered method of a size that suits `planted_table`; the same again for the same.

    What JAX compiled for a method it keeps by its functions.
    """
    try:
        return _built(name, predictor, tuple(sorted(settings.items())))
    except TypeError:  # arrays
        return _built.__wrapped__(name, predictor, tuple(settings.items()))


@functools.cache
def _built(name: str, predictor: Predictor | None, settings: tuple) -> Method:
    usual = {"init": 5, "per_round": 3, "top": 8, "budget": 17} | SMALL.get(name, {})
    return METHODS[name](predictor=predictor or ridge(), **usual | dict(settings))


@pytest.fixture
def planted():
    return planted_table()


@functools.cache
def _validator(kind: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(summary.schema(kind))


@pytest.fixture(autouse=True, scope="session")
def every_summary_fits_its_schema():
    """Whatever test writes it: a field that no schema has fails there."""
    write = summary.write

    def checked(path, kind, content):
        write(path, kind, content)
        if "versions" in content:  # a test of another thing may write a part of one
            _validator(kind).validate(json.loads(Path(path).read_bytes()))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(summary, "write", checked)
        yield


@pytest.fixture
def table_file(tmp_path):
    """A small canonical table on disk."""
    save_table(tmp_path / "planted.npz", planted_table(noise=0.3, runs=3))
    return tmp_path / "planted.npz"
