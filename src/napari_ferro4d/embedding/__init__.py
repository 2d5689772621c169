"""Read an embedding: which channels say something, what they show, and regions made of them.

Works on plain arrays ``[channel, y, x]``, whatever made them; knows neither torch nor Qt.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._cluster import Clusters, cluster
    from ._comparison import DifferenceComparison, compare_difference
    from ._difference import Difference, difference, log_difference, mean_pattern
    from ._histogram import Histogram, gate, histogram, within
    from ._proxies import proxies
    from ._rank import ChannelReport, rank
    from ._results import (
        cluster_results,
        gate_result,
        read_difference,
        read_embedding,
        write_difference,
    )

__all__ = [
    "ChannelReport",
    "Clusters",
    "Difference",
    "DifferenceComparison",
    "Histogram",
    "cluster",
    "cluster_results",
    "compare_difference",
    "difference",
    "gate",
    "gate_result",
    "histogram",
    "log_difference",
    "mean_pattern",
    "proxies",
    "rank",
    "read_difference",
    "read_embedding",
    "within",
    "write_difference",
]

_HOME = {
    "ChannelReport": "._rank",
    "Clusters": "._cluster",
    "Difference": "._difference",
    "DifferenceComparison": "._comparison",
    "Histogram": "._histogram",
    "cluster": "._cluster",
    "cluster_results": "._results",
    "compare_difference": "._comparison",
    "difference": "._difference",
    "gate": "._histogram",
    "gate_result": "._results",
    "histogram": "._histogram",
    "log_difference": "._difference",
    "mean_pattern": "._difference",
    "proxies": "._proxies",
    "rank": "._rank",
    "read_difference": "._results",
    "read_embedding": "._results",
    "within": "._histogram",
    "write_difference": "._results",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name], __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
