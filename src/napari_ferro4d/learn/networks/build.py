"""The network that a model's header describes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_ferro4d.errors import ModelError

from .base import Autoencoder
from .compact_autoencoder import CompactAutoencoder
from .linear_autoencoders import LinearAutoencoder, NonNegativeAutoencoder
from .paper_autoencoder import PaperAutoencoder
from .paper_classifier import PaperClassifier
from .variational import VariationalAutoencoder


def build_autoencoder(header: Mapping[str, Any]) -> Autoencoder:
    """Build the network that a model's header describes, with random weights.

    Raises
    ------
    ModelError
        If the header does not describe one.
    """
    kinds: dict[str, type[Autoencoder]] = {
        "paper": PaperAutoencoder,
        "compact": CompactAutoencoder,
        "pca": LinearAutoencoder,
        "ica": LinearAutoencoder,
        "nmf": NonNegativeAutoencoder,
    }
    try:
        arguments = dict(header["network"])
        variational = arguments.pop("variational", False)
        network = kinds[header["preset"]](**arguments)
        return VariationalAutoencoder(network, arguments["embedding"]) if variational else network
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"the model's header describes no known autoencoder ({error!r}); train it again."
        ) from error


def build_classifier(header: Mapping[str, Any]) -> PaperClassifier:
    """Build the paper's classifier as a model's header describes it, with random weights.

    Raises
    ------
    ModelError
        If the header does not describe one.
    """
    preset = header.get("preset")
    if preset == "compact":
        raise ModelError(
            "the model is of the preset 'compact', which this version no longer has; train it "
            "again from its labels, with the preset 'fast'."
        )
    try:
        if preset != "paper":
            raise ValueError(f"preset {preset!r}")
        return PaperClassifier(**header["network"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"the model's header describes no known classifier ({error!r}); train it again."
        ) from error
