"""``log.csv`` and TensorBoard event files of a training."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from weaknas_jax.storage import files

COLUMNS = "step", "epoch", "loss", "rate", "images_per_second", "top1", "top5"


class Log:
    """The log in a folder; rows after the checkpoint are removed and written again.

    Args:
      folder: folder of the training.
      step: step of the checkpoint to resume from.

    Raises:
      ValueError: tensorboardX is not installed.
    """

    def __init__(self, folder: Path, step: int):
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise ValueError(
                f"logs need tensorboardX: pip install -e '.[train]' ({error})"
            ) from None
        self.path, self.rows = folder / "log.csv", []
        if self.path.exists():
            with open(self.path) as file:
                self.rows = [row for row in csv.DictReader(file) if int(row["step"]) <= step]
        self.events = SummaryWriter(str(folder), purge_step=step + 1)

    def write(self, row: Mapping[str, Any]) -> None:
        """Adds a row with a value for each of `COLUMNS`."""
        self.rows.append({name: row[name] for name in COLUMNS})
        files.write_csv(self.path, self.rows)
        for name in COLUMNS[2:]:
            self.events.add_scalar(name, row[name], row["step"])
        self.events.flush()
