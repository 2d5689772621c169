"""The command line run in this process, for what it prints and writes."""

from __future__ import annotations

import json

from napari_ferro4d.cli import main


def run_json(capsys, *arguments):
    """Run a command that has to succeed, and return its JSON document."""
    assert main([*map(str, arguments), "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.out.count("\n") == 1
    return json.loads(captured.out)


def refused(capsys, *arguments):
    """Run a command that has to end with code 2 and one line, and return that line."""
    capsys.readouterr()
    try:
        code = main([*map(str, arguments)])
    except SystemExit as stopped:  # argparse leaves this way
        code = stopped.code
    captured = capsys.readouterr()
    assert (code, captured.out, captured.err.count("\n")) == (2, "", 1)
    assert captured.err.startswith("ferro4d")
    return captured.err
