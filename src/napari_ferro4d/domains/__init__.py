"""Label maps to domain walls and tables; knows neither Qt nor napari."""

from __future__ import annotations

from ._walls import DomainRow, domain_table, walls

__all__ = ["DomainRow", "domain_table", "walls"]
