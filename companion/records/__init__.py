"""The record of a study: its tables, and the cells that are recomputed only when something they depend on changed."""

from companion.records.store import Cell, Records, is_recorded, load_or_compute, same_identity
from companion.records.tables import COLUMNS, ROWS, rows, state_of

__all__ = ["COLUMNS", "ROWS", "Cell", "Records", "is_recorded", "load_or_compute", "rows", "same_identity", "state_of"]
