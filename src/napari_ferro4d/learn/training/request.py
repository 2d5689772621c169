"""What a training is to be: from what the user asks for to the header of the model."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from napari_ferro4d.errors import ModelError, ScanError
from napari_ferro4d.learn.data import compact_size, fit_preprocess, preprocess_of
from napari_ferro4d.learn.model_files import Model, model_record, scan_record, versions
from napari_ferro4d.scan import Scan

from .automatic_schedule import AUTOMATIC, first
from .history import History
from .linear_fit import LINEAR
from .schedule import AUTO, PRESETS, Phase, as_variational, read_schedule, resize

EMBEDDING = 32
"""Channels unless asked for others, as in the paper."""

READINGS = ("code", "text")


@dataclass(frozen=True)
class TrainingOptions:
    """What a training is to be, which `train` explains; None leaves it to the preset or `start`."""

    preset: str | None = None  # one of the networks or of the linear baselines
    embedding: int | None = None  # channels
    epochs: int | None = None  # passes over the patterns
    schedule: str | os.PathLike[str] | Sequence[Phase] | None = None  # a name, a file or phases
    start: Model | None = None  # a trained model, to go on from
    device: str = "auto"  # or "cpu", "cuda", "cuda:1"
    seed: int = 0  # of the weights and the order of the patterns
    divergence: str = "code"  # or "text": the reading of the paper's term
    variational: bool = False  # a beta-VAE

    def check(self) -> None:
        """Refuse what cannot be, or not together.

        Raises
        ------
        ScanError
            Says which, and what there is.
        """
        known = (*PRESETS, *LINEAR)
        if self.preset is not None and self.preset not in known:
            raise ScanError(f"preset {self.preset!r} is unknown; choose one of {', '.join(known)}.")
        if self.embedding is not None and not 1 <= self.embedding <= 4096:
            raise ScanError(
                f"an embedding of {self.embedding} channels cannot be; ask for 1 or more, up to "
                "4096."
            )
        if self.epochs is not None and self.epochs < 1:
            raise ScanError(f"{self.epochs} epochs train nothing; ask for 1 or more.")
        if not 0 <= self.seed < 2**63:
            raise ScanError(f"the seed {self.seed} is no whole number from 0 to 2^63 - 1.")
        if self.divergence not in READINGS:
            raise ScanError(
                f"divergence {self.divergence!r} is unknown; read it as in the paper's 'code' or "
                "as in its 'text'."
            )
        if self.schedule == AUTO and self.epochs is not None:
            raise ScanError(
                "the schedule 'auto' finds its number of epochs itself; leave epochs out, or "
                "choose another schedule."
            )


def new_header(scans: tuple[Scan, ...], options: TrainingOptions) -> dict[str, Any]:
    """Return the header of a new training.

    Parameters
    ----------
    scans : tuple of Scan
        Of one detector.
    options : TrainingOptions
        What was asked for; of a model to start from, network and preprocessing are taken over.

    Raises
    ------
    ScanError
        If the schedule is unknown or no schedule.
    ModelError
        If `start` is no autoencoder, for another detector, or another network than asked for.
    """
    start = options.start
    if start is None:
        preset = options.preset or "compact"
        detector = scans[0].detector_shape
        how = fit_preprocess(detector, 256 if preset == "paper" else compact_size(detector))
        network: dict[str, Any] = {"embedding": options.embedding or EMBEDDING, "size": how.size}
        if options.variational:
            network["variational"] = True
        preprocess = how.to_json()
    else:
        for scan in scans:
            preprocess_of(start, "autoencoder", scan)
        preset, preprocess = str(start.header.get("preset")), start.header["preprocess"]
        if preset not in PRESETS:
            raise ModelError(f"a model of preset {preset!r} is no network to go on with.")
        network = dict(start.header.get("network", {}))
        _agree(
            "the model to start from",
            start.header,
            ("the preset", "preset", options.preset),
            ("an embedding of", "embedding", options.embedding),
            ("a variational network:", "variational", options.variational or None),
        )
    name, phases = _phases(options, preset, bool(network.get("variational")))
    header = {
        "preset": preset,
        "network": network,
        "seed": options.seed,
        "divergence": options.divergence,
        "preprocess": preprocess,
        "schedule_name": name,
        "automatic": name == AUTO,
        "schedule": [phase.to_json() for phase in phases],
        "every": 1,
        "scans": [scan_record(scan) for scan in scans],
        "history": History().to_json(),
        "versions": versions(),
    }
    if start is not None:
        header["start"] = model_record(start)
    return header


def continued(
    scans: tuple[Scan, ...], options: TrainingOptions, resume: Model, path: str
) -> dict[str, Any]:
    """Return the header of a checkpoint, if it is of the training that is asked for.

    Raises
    ------
    ModelError
        If it is of another training, or its header makes no sense.
    """
    if resume.kind != "autoencoder":
        raise ModelError(f"{path}: holds a {resume.kind}, which `train` cannot go on with.")
    then = resume.header
    for scan in scans:
        preprocess_of(resume, "autoencoder", scan)
    if _signatures(then) != [scan.signature for scan in scans]:
        # The counts decide, not the name: a scan may have moved, or changed its format.
        raise _another(path, "other scans")
    _agree(
        path,
        then,
        ("the preset", "preset", options.preset),
        ("an embedding of", "embedding", options.embedding),
        ("a variational network:", "variational", options.variational),
        ("the seed", "seed", options.seed),
        ("the divergence of the", "divergence", options.divergence),
    )
    try:
        header = {
            "divergence": "code",
            "automatic": False,
            "schedule_name": None,
            "every": 1,
            **then,
        }
        for phase in header["schedule"]:
            Phase.from_json(phase)
        History.from_json(header["history"])
        if not isinstance(header["every"], int) or header["every"] < 1:
            raise ValueError("it takes every n-th position with n below 1")
        portion = header.get("portion", {"patterns": 1, "device": "cpu", "recompute": False})
        if not 1 <= int(portion["patterns"]) <= 4096 or not {"device", "recompute"} <= set(portion):
            raise ValueError("the number of patterns at a time is not one")
        best = header.get("best")
        if best is not None:
            int(best["epoch"]), float(best["loss"])
    except (KeyError, TypeError, ValueError, AttributeError, ScanError) as error:
        raise ModelError(
            f"{path}: the header of this checkpoint is incomplete or was changed ({error}); start "
            "a new training."
        ) from error
    if options.schedule == AUTO and not header["automatic"]:
        # It counts from the first epoch, and its phases would be told of epochs that had others.
        raise _another(path, "another schedule than 'auto'")
    if options.schedule is not None or options.epochs is not None:
        variational = bool(then["network"].get("variational"))
        name, phases = _phases(options, str(then["preset"]), variational)
        header["schedule_name"] = name
        if name != AUTO:
            header["automatic"] = False
            schedule = [phase.to_json() for phase in phases]
            done = len(header["history"]["losses"])
            if done and schedule != header["schedule"]:
                # The epochs that are over ran by the schedule that is left here.
                left = {"epochs": done, "schedule": header["schedule"]}
                header["schedules_left"] = [*header.get("schedules_left", ()), left]
            header["schedule"] = schedule
    return header


def _phases(
    options: TrainingOptions, preset: str, variational: bool
) -> tuple[str | None, tuple[Phase, ...]]:
    """Return the name of the schedule asked for, and its phases."""
    asked = options.schedule
    if asked == AUTO:
        if variational:
            raise ScanError(
                "the schedule 'auto' raises sparsity, which a beta-VAE has not; choose another."
            )
        return AUTO, first(AUTOMATIC[preset])
    if asked is None:
        name, phases = preset, PRESETS[preset]
        if variational:
            phases = as_variational(phases)
    elif isinstance(asked, str | os.PathLike):
        name, phases = os.fspath(asked), read_schedule(asked)
    else:
        name, phases = None, tuple(asked)
        if not phases or not all(isinstance(phase, Phase) for phase in phases):
            raise ScanError("the schedule must be a name, a file or a list of phases.")
    if not variational and any(phase.beta for phase in phases):
        raise ScanError(
            "the schedule gives a weight beta, which only a beta-VAE has; train with --variational."
        )
    return name, phases if options.epochs is None else resize(phases, options.epochs)


def _agree(path: str, then: Mapping[str, Any], *claims: tuple[str, str, Any]) -> None:
    """Refuse a model of which something is not as asked for; what is None was not asked for."""
    network = then.get("network", {})
    for what, key, now in claims:
        was = then.get(key, network.get(key))
        if key == "variational":
            was = bool(was)
        if key == "divergence" and was is None:
            was = "code"
        if now is not None and was != now:
            raise _another(path, f"{what} {was}, not {now}")


def _another(path: str, said: str) -> ModelError:
    return ModelError(
        f"{path}: this training began with {said}; go on with the same, or start anew."
    )


def _signatures(header: Mapping[str, Any]) -> list[str]:
    scans = header.get("scans", ())
    return [str(scan.get("signature")) for scan in scans if isinstance(scan, Mapping)]
