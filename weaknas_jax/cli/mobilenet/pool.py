"""Make a table of random sub-networks, labelled by an accuracy predictor.

    weaknas mobilenet pool --oracle=FILE --out=pool.npz
    weaknas search --table=pool.npz

The labels are predicted, not measured.
"""

from pathlib import Path

from weaknas_jax.cli.mobilenet import flags
from weaknas_jax.spaces.mobilenet import cost, window
from weaknas_jax.storage import ownership
from weaknas_jax.supernets.mobilenet import oracle
from weaknas_jax.tables import Table, load_table, save_table

SHARED = (
    *("width", "image_size", "flops", "encoding", "count", "oracle", "oracle_size", "out", "seed"),
)
"""The shared flags (`flags`) that this command reads."""


def main() -> int:
    layers = oracle.read(flags.needed(flags.ORACLE, "name a file"))
    out, config, size = flags.needed(flags.OUT, "name a file"), flags.supernet(), flags.SIZE.value
    ownership.check(Path(out))
    if Path(out).exists():
        load_table(out)  # an existing file is replaced only if it is a table
    population = window.draw(config, flags.SEED.value, flags.COUNT.value, flags.window(), size)
    table = Table(
        space="mobilenet_v3",
        dataset=f"oracle{flags.ORACLE_SIZE.value}",
        encoding=window.ENCODINGS[flags.ENCODING.value](config, population),
        valid=oracle.predict(layers, config, population, flags.ORACLE_SIZE.value)[:, None],
        names=window.names(population),
        extra={
            "multiply_adds": cost.multiply_adds(config, population, size),
            "params": cost.parameters(config, population),
        },
        source="predicted by the accuracy predictor of Once-for-all, not measured",
    )
    save_table(out, table, overwrite=False)
    print(out)
    return 0
