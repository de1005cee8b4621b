"""Benchmark tables: files -> `Table`, a few dense NumPy arrays."""

from weaknas_jax.storage.npz import TableError
from weaknas_jax.tables.canonical import load_table, save_table
from weaknas_jax.tables.importers.user import import_arrays, import_csv, read_arrays, read_csv
from weaknas_jax.tables.nasbench101 import load_nasbench101
from weaknas_jax.tables.nasbench201 import load_nasbench201
from weaknas_jax.tables.table import Table

__all__ = [
    "Table",
    "TableError",
    "import_arrays",
    "import_csv",
    "load_nasbench101",
    "load_nasbench201",
    "load_table",
    "read_arrays",
    "read_csv",
    "save_table",
]
