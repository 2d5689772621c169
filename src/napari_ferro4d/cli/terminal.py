"""What the command line prints, draws and connects to."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from napari_ferro4d.errors import ScanError
from napari_ferro4d.jobs import Progress, Report


def say(message: str) -> None:
    """Print one line on standard error."""
    print("ferro4d: " + " ".join(message.split()), file=sys.stderr)


def fail(message: str, code: int) -> int:
    """Print one line on standard error, and return the exit code."""
    say(message)
    return code


def print_document(document: Mapping[str, Any], *, as_json: bool) -> int:
    """Print what a command found, and return the exit code."""
    try:
        if as_json:
            print(json.dumps(document))
        else:
            _show(document)
        sys.stdout.flush()
    except OSError as error:
        # Whatever else Python would write at its end goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return 0  # the reader went away (`ferro4d info ... | head`), which is not an error
        return fail(f"the output cannot be written ({error.strerror}).", 2)
    return 0


def _show(document: Mapping[str, Any]) -> None:
    """Print a document as a table."""
    width = max((len(key) for key in document), default=0)
    for key, value in document.items():
        shown = "not known" if value is None else value
        if isinstance(shown, float):
            # Counts are whole numbers, and all their digits matter.
            shown = f"{shown:.0f}" if shown.is_integer() else f"{shown:.4g}"
        if isinstance(shown, dict):
            shown = [f"{name} {_short(one)}" for name, one in shown.items()]
        if isinstance(shown, list):
            shown = (
                ", ".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in shown) or "none"
            )
        print(f"{key.replace('_', ' '):{width}}  {shown}")


def _short(value: Any) -> str:
    """Say in a few words what a nested value of a document holds."""
    if isinstance(value, dict):
        said = str(value.get("path") or value.get("pixels") or "")
        count = f"{value['count']} pixels" if "count" in value else ""
        return " ".join(filter(None, (count, said[:60] + "..." * (len(said) > 60))))
    if isinstance(value, list):
        return " x ".join(":".join(map(str, part)) for part in value)
    return str(value)


@contextmanager
def on_cluster(address: str | None) -> Iterator[Any]:
    """Connect to a dask scheduler, if one is named."""
    if address is None:
        yield None
        return
    from distributed import Client

    # Some of its loggers have levels of their own. What goes wrong, we say in one line.
    for name in [n for n in logging.root.manager.loggerDict if n.startswith("distributed")]:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        client = Client(address, timeout=10, set_as_default=False)
    except Exception as error:  # every kind of connection raises its own
        reason = " ".join(str(error).split())[:200]
        raise ScanError(
            f"{address}: no dask scheduler answers there ({reason}); start one with "
            "`dask scheduler`, or leave --scheduler out."
        ) from error
    with client:
        yield client


@contextmanager
def progress_bar() -> Iterator[Report | None]:
    """Draw a progress bar on standard error, if a person is looking at it."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def report(progress: Progress) -> None:
            bar.update(
                task,
                completed=progress.done,
                total=progress.total,
                description=progress.message,
            )

        yield report
