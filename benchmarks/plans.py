"""What the memory plan allows up to NAS-Bench-101, for a device of 16 GB; nothing is run.

    python -m benchmarks.plans > benchmarks/results/plans-cpu.txt     # and plans-cpu.png beside it

The peak of a program by the compiler's count (`benchmarks.memory` measures it), against
architectures, queries, and seeds side by side. More seeds than fit side by side run in turn.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags, logging
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from weaknas_jax import Plan, Program, Settings, Space
from weaknas_jax.core import plan
from weaknas_jax.runs import task
from weaknas_jax.search import methods
from weaknas_jax.storage import files
from weaknas_jax.tables import load_nasbench101

_PICTURE = flags.DEFINE_string("picture", "benchmarks/results/plans-cpu.png", "Where it goes.")
PARTS = 15_625, 50_000, 150_000, 423_624
PLANS = {  # (predictor, what grows): (lanes, N, queries) of each
    ("gp", "queries"): [(1, 423_624, q) for q in (100, 200, 500, 1000, 2000)],
    ("gp", "seeds"): [(lanes, 423_624, 200) for lanes in (1, 2, 5, 10, 20)],
    ("gp", "architectures"): [(1, n, 1000) for n in PARTS],
    ("mlp", "seeds"): [(lanes, 423_624, 200) for lanes in (1, 10, 30, 100)],
    ("mlp", "architectures"): [(30, n, 200) for n in PARTS],
}
GIB = 2**30
DEVICE = int(0.9 * 16e9)


def peak(space: Space, predictor: str, lanes: int, budget: int) -> tuple[float, int]:
    """GiB of a device at the worst moment, and the chunk, of the plan for a device of 16 GB."""
    size = space.size
    problem = task.Task(
        space=space,
        scores=jnp.zeros((size, 1)),
        truth=jnp.zeros(size),
        target=jnp.zeros(size, bool),
        noise=jnp.float32(0),
    )

    def build(chunk):
        sizes = {"init": 100, "per_round": 10, "budget": budget}
        return methods.make(predictor, chunk=chunk, **sizes)

    program = Program(build, problem, Settings(measure=False), given=Plan(lanes), bound=DEVICE)
    return program.peak / GIB, program.plan.chunk


def main(_):
    logging.set_verbosity(logging.WARNING)
    print(f"{jax.devices()[0].device_kind} ({plan.cores()} cores), JAX {jax.__version__}")
    print(f"GiB at the worst moment, planned for {DEVICE / GIB:.1f}; chunk = scored at once\n")
    table = load_nasbench101()
    whole = task.features(table)["statistics"]
    peaks = {}
    for (predictor, grows), cases in PLANS.items():
        for lanes, size, budget in cases:
            part = Space(jnp.asarray(table.encoding[:size]), {"statistics": whole[:size]})
            try:
                gib, chunk = peak(part, predictor, lanes, budget)
                said = f"{gib:.2f}, chunk {chunk:,}"
            except plan.PlanError as error:
                gib, said = np.nan, f"refused: {error}"
            peaks.setdefault((predictor, grows), []).append(gib)
            print(f"{predictor} {lanes} seeds, N = {size:,}, {budget} queries: {said}", flush=True)
    draw(peaks)


def draw(peaks: dict) -> None:
    """Planned memory against what grows."""
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    places = {"seeds": 0, "architectures": 1, "queries": 2}
    for axes, (grows, at) in zip(figure.subplots(1, 3), places.items(), strict=True):
        for (predictor, what), values in peaks.items():
            if what == grows:
                axes.plot([c[at] for c in PLANS[predictor, what]], values, "o-", label=predictor)
        axes.axhline(DEVICE / GIB, color="0.5", ls=":", lw=1)
        axes.set(xlabel=grows, ylabel="GiB, planned", xscale="log", yscale="log")
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    Path(_PICTURE.value).parent.mkdir(exist_ok=True, parents=True)
    files.write_picture(_PICTURE.value, figure, 120)


if __name__ == "__main__":
    app.run(main)
