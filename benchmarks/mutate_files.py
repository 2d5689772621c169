"""Damage scan files of every format and check that opening them ends as it should.

Each case takes a small file as an instrument writes it (``tests/helpers/scan_files.py``), damages
it, and opens it. It must end in a `Scan` or a `ScanError` that names the file, within 5 seconds and
1 GB, with no warning; a file that was cut off must not open with another shape; and of a file that
is mapped as it is nothing may be left out. Every format runs in a process of its own, so that a
crash is a result, too.

    python benchmarks/mutate_files.py --cases 5000
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

SECONDS, BYTES = 5.0, 2**30
ABSURD = (0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**62, 2**64 - 1)
WORDS = (b"0", b"-1", b"9999999", b"99999999999999999999", b"1e309", b"nan", b"", b"x", b"\xff")


class Hang(BaseException):
    """Raised by the alarm; no handler of errors catches it."""


# --- damage


def damage(data: bytes, rng: random.Random, boundaries: list[int]) -> tuple[str, bytes]:
    """Return what was done to `data`, in a word, and the result."""
    kind = rng.choice(("cut", "flip", "flip", "size", "size", "word", "more"))
    if kind == "cut" or not data:
        return "cut", data[: rng.choice(boundaries)]
    if kind == "more":
        return kind, data + rng.randbytes(rng.choice((1, 7, 64, 512, 5000)))
    # Headers are where the meaning is; in HDF5 and TIFF they are anywhere.
    reach = rng.choice((64, 512, 4096, len(data)))
    start = rng.randrange(min(reach, len(data)))
    if kind == "word":
        numbers = [n for n in _numbers(data[:65536]) if n[0] < reach] or [(start, start + 2)]
        first, last = rng.choice(numbers)
        return kind, data[:first] + rng.choice(WORDS) + data[last:]
    changed = bytearray(data)
    if kind == "flip":
        for _ in range(rng.choice((1, 1, 1, 2, 8))):
            place = rng.randrange(min(reach, len(data)))
            changed[place] ^= 1 << rng.randrange(8) if rng.random() < 0.5 else rng.randrange(256)
        return kind, bytes(changed)
    width = rng.choice((1, 2, 4, 8))
    value = rng.choice(ABSURD) % 2 ** (8 * width)
    start -= start % width
    changed[start : start + width] = value.to_bytes(width, rng.choice(("little", "big")))
    return kind, bytes(changed)


def _numbers(data: bytes) -> list[tuple[int, int]]:
    import re

    return [found.span() for found in re.finditer(rb"\d+(?:\.\d+)?", data)]


def boundaries(size: int) -> list[int]:
    """Return lengths to cut at: around powers of two, and around every frame and chunk."""
    places = {0, 1, size - 1, size // 2}
    for stride in (384, 512, 896, 4096, 262, 522, 572, 66560, 1024, size // 12, size // 3):
        places.update(range(0, size, max(1, stride)))
    near = {place + shift for place in places for shift in (-1, 0, 1)}
    return sorted(place for place in near if 0 <= place < size)


# --- one case


def outcome(path: Path, hints: dict[str, Any], shape: tuple[int, ...], kind: str) -> str:
    """Open `path` and return "scan", "error", or what is wrong."""
    from napari_ferro4d import ScanError, open_scan
    from napari_ferro4d.open import is_scan

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        try:
            is_scan(path)
            scan = open_scan(path, **hints)
            result = _checked(scan, shape, kind)
        except ScanError as error:
            result = _named(error, path)
        except Hang:
            result = "took longer than 5 s"
        except BaseException:
            result = traceback.format_exc(limit=-4)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        scan = None
        gc.collect(0)
    return f"warned: {warned[0].message}" if warned and result in ("scan", "error") else result


def _checked(scan: Any, shape: tuple[int, ...], kind: str) -> str:
    if kind == "cut" and scan.shape != shape:
        return f"silently opened with shape {scan.shape}"
    if scan.frames is not None:
        ny, nx, _, _ = scan.shape
        end = scan.frames.offset + ny * nx * scan.frames.stride
        left = os.path.getsize(scan.frames.path) - end
        if left >= scan.frames.stride and not _container(scan.frames.path):
            return f"silently left out {left} bytes with shape {scan.shape}"
    return "scan"


def _container(path: str) -> bool:
    # These hold other things beside the patterns.
    return path.endswith((".h5", ".hspy", ".nxs", ".emd", ".tif", ".dm3", ".dm4"))


def _named(error: Exception, path: Path) -> str:
    text = str(error)
    if "\n" in text or not (path.stem.split("_")[0] in text or str(path.parent) in text):
        return f"does not name the file in one line: {text}"
    if isinstance(error.__cause__, MemoryError):
        where = traceback.format_tb(error.__cause__.__traceback__)[-2:]
        return f"asked for more than 1 GB: {text} {where}"
    return "error"


# --- all cases of a format, in a process


def run(name: str, cases: int, seed: int, report: int) -> None:
    """Write one line of JSON per case to the pipe `report`."""
    from helpers.scan_files import WRITERS
    from napari_ferro4d import open_scan

    def alarm(*_: Any) -> None:
        raise Hang

    signal.signal(signal.SIGALRM, alarm)
    rng = random.Random(f"{seed} {name}")
    writer, hints = WRITERS[name]
    memory = Path("/dev/shm")  # many small files, none of which is kept
    place_of_all = str(memory) if memory.is_dir() else None
    with (
        tempfile.TemporaryDirectory(prefix="ferro4d-", dir=place_of_all) as folder,
        os.fdopen(report, "w") as pipe,
    ):
        pristine = Path(folder) / "pristine"
        pristine.mkdir()
        whole = writer(pristine)
        shape = open_scan(whole, **hints).shape
        # In the order of their names, so that a seed gives the same cases each time.
        written = sorted(pristine.rglob("*"))
        files = {f.relative_to(pristine): f.read_bytes() for f in written if f.is_file()}
        folders = [f.relative_to(pristine) for f in written if f.is_dir()]
        cuts = {one: boundaries(len(data)) for one, data in files.items()}
        limit = _memory_in_use() + BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        for case in range(cases):
            target = rng.choice(list(files))
            if rng.random() < 0.02:
                kind, changed = "remove", None
            else:
                kind, changed = damage(files[target], rng, cuts[target] or [0])
            # A new name each time, as nobody maps the same file twice.
            place = Path(folder) / f"case{case}"
            for one in (Path(), *folders):
                (place / one).mkdir()
            for one in files:
                if one != target:
                    os.link(pristine / one, place / one)
                elif changed is not None:
                    (place / one).write_bytes(changed)
            path = place / whole.relative_to(pristine)
            began = time.monotonic()
            result = outcome(path, hints, shape, kind) if path.exists() else "error"
            entry = {"case": case, "kind": kind, "file": str(target), "result": result}
            print(json.dumps({**entry, "seconds": time.monotonic() - began}), file=pipe, flush=True)
            shutil.rmtree(place, ignore_errors=True)


def _memory_in_use() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def watched(name: str, cases: int, seed: int) -> Iterator[dict[str, Any]]:
    """Run the cases of a format in another process; yield the results, and how it ended."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        code = 1
        try:
            run(name, cases, seed, writer)
            code = 0
        except BaseException:
            traceback.print_exc()
        os._exit(code)
    os.close(writer)
    done, rest = 0, b""
    while True:
        if not select.select([reader], [], [], 3 * SECONDS + 10)[0]:
            os.kill(child, signal.SIGKILL)
        block = os.read(reader, 65536)
        if not block:
            break
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            done += 1
            yield json.loads(line)
    os.close(reader)
    _, status = os.waitpid(child, 0)
    if done < cases:
        why = f"the process ended ({os.waitstatus_to_exitcode(status)})"
        yield {"case": done, "kind": "?", "file": "", "result": why, "seconds": 0.0}


def main() -> int:
    """Run the cases and print a table, or JSON."""
    import napari_ferro4d.io  # noqa: F401  (imported once, before the processes are started)
    from helpers.scan_files import WRITERS

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=5000, help="per format")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--formats", default=",,".join(WRITERS), help="separated by ,,")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    _warm_up()
    summary: dict[str, Any] = {}
    for name in args.formats.split(",,"):
        began = time.monotonic()
        results = list(watched(name, args.cases, args.seed))
        bad = [one for one in results if one["result"] not in ("scan", "error")]
        summary[name] = {
            "cases": len(results),
            "scans": sum(one["result"] == "scan" for one in results),
            "slowest": round(max(one["seconds"] for one in results), 2),
            "seconds": round(time.monotonic() - began, 1),
            "bad": bad,
        }
        if not args.json:
            said = {key: value for key, value in summary[name].items() if key != "bad"}
            print(f"{name:22}", *(f"{k} {v}" for k, v in said.items()), "bad", len(bad), flush=True)
            for one in bad[:3]:
                print("   ", one["case"], one["kind"], one["file"], one["result"], flush=True)
    if args.json:
        print(json.dumps(summary))
    return 1 if any(one["bad"] for one in summary.values()) else 0


def _warm_up() -> None:
    # What the readers import is imported before the processes are started, once for all.
    import dask.array
    import h5py
    import hdf5plugin
    import PIL.Image
    import PIL.PngImagePlugin
    import rsciio.digitalmicrograph._api
    import tifffile
    import zarr

    _ = (dask.array, h5py, hdf5plugin, PIL.Image, PIL.PngImagePlugin, rsciio, tifffile, zarr)


if __name__ == "__main__":
    sys.exit(main())
