"""A pool of sub-networks, labelled by an accuracy predictor: a table for every method.

    python -m experiments.mobilenet pool --oracle=FILE --out=pool.npz
    python -m experiments.nasbench --table=pool.npz

No measurement: the labels are predicted.
"""

from absl import flags as absl_flags

from experiments.mobilenet import flags
from weaknas_jax.supernet import arch as archs
from weaknas_jax.supernet import cost, oracle
from weaknas_jax.supernet import pool as pools
from weaknas_jax.tables.store import Table, save_table

_help = "Columns; one_hot leaves out what is not active, org are the reference's 45 numbers."
_ENCODING = absl_flags.DEFINE_enum("encoding", "one_hot", ["one_hot", "org"], _help)


def main() -> int:
    layers = oracle.read(flags.needed(flags.ORACLE, "name a file"))
    out, wide, size = flags.needed(flags.OUT, "name a file"), flags.supernet(), flags.SIZE.value
    found = pools.draw(wide, flags.SEED.value, flags.COUNT.value, flags.window(), size)
    one_hot = _ENCODING.value == "one_hot"
    table = Table(
        space="mobilenet_v3",
        dataset=f"oracle{flags.ORACLE_SIZE.value}",
        encoding=pools.one_hot(wide, found) if one_hot else archs.encode(found),
        valid=oracle.predict(layers, wide, found, flags.ORACLE_SIZE.value)[:, None],
        names=pools.names(found),
        extra={
            "multiply_adds": cost.multiply_adds(wide, found, size),
            "params": cost.parameters(wide, found),
        },
        source="predicted by the accuracy predictor of Once-for-all, not measured",
    )
    save_table(out, table)
    print(out)
    return 0
