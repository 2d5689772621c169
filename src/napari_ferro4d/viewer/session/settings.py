"""What is remembered between sessions: preferences of the plugin, parameters of its widgets.

Preferences (device, autosave interval) are napari's own, declared in the manifest and edited in
File > Preferences. Widget parameters are a small JSON file in the user's configuration folder.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_ferro4d.errors import ScanError
from napari_ferro4d.io import atomic_file

_FALLBACK: Mapping[str, Any] = {"device": "auto", "autosave_seconds": 5.0}


def preference(name: str) -> Any:
    """Return a preference of the plugin; its default where napari does not know the plugin."""
    from napari.settings import get_plugin_settings

    try:
        return getattr(get_plugin_settings("napari-ferro4d").general, name)
    except (KeyError, AttributeError):
        return _FALLBACK[name]


def remembered(widget: str) -> dict[str, Any]:
    """Return the parameters that `widget` had last time; empty if none or unreadable."""
    values = _read().get(widget, {})
    return values if isinstance(values, dict) else {}


def remember(widget: str, values: Mapping[str, Any]) -> None:
    """Keep the parameters of `widget` for the next session."""
    # A full or read-only home must not stop the analysis that is just starting.
    with contextlib.suppress(ScanError), atomic_file(_file()) as temporary:
        text = json.dumps({**_read(), widget: dict(values)}, indent=2)
        temporary.write_text(text, encoding="utf-8")


def _file() -> Path:
    from platformdirs import user_config_dir

    return Path(user_config_dir("napari-ferro4d", appauthor=False)) / "widgets.json"


def _read() -> dict[str, Any]:
    try:
        values = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
