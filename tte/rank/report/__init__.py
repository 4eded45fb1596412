"""The report of a ranking: one HTML page that opens from disk."""

from tte.rank.report.page import write_report

__all__ = ["write_report"]
