"""The command that converts a checkpoint of the paper's own code."""

from __future__ import annotations

import argparse
from typing import Any

__all__ = ["convert_command"]


def convert_command(args: argparse.Namespace) -> dict[str, Any]:
    """Convert, write the model, and return what to print.

    Parameters
    ----------
    args : Namespace
        Of the verb ``convert``.
    """
    from napari_ferro4d.learn import check_model_target, convert, save_model

    check_model_target(args.output)
    model = convert(args.checkpoint, detector=args.detector_shape)
    said = {k: v for k, v in model.header["converted"].items() if k in ("epoch", "beta", "loss")}
    written = save_model(model, args.output)
    return {"model": str(written), "network": model.header["network"], **said}
