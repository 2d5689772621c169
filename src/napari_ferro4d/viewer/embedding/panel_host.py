"""What the panels of the Embedding dock know of the dock."""

from __future__ import annotations

from typing import Any, Protocol

from qtpy.QtCore import SignalInstance

from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.session import Session
from napari_ferro4d.viewer.widgets import JobRow

from .shown_embedding import ShownEmbedding


class PanelHost(Protocol):
    """The dock as its panels see it."""

    viewer: Any
    session: Session
    row: JobRow
    closed: SignalInstance

    @property
    def embedding(self) -> ShownEmbedding | None:
        """The embedding chosen."""

    @property
    def scan(self) -> Scan | None:
        """The scan that the embedding is of; None if the viewer has it not."""

    @property
    def channel(self) -> int | None:
        """The channel chosen."""

    @property
    def order(self) -> list[int]:
        """The channels, best first."""

    @property
    def extrinsic(self) -> set[int]:
        """The channels that thickness or tilt explain, as far as is known."""

    def why_not(self) -> str | None:
        """Return why nothing can be computed from patterns now, or None."""

    def keep(self) -> None:
        """Remember what the user set."""

    def tell(self, what: str, error: Exception) -> None:
        """Tell the user of an error of work that has no row."""
