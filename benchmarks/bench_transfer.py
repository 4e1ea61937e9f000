"""How well a calibration predicts what it did not see: the bars of `costsim bench`, beside what others reach.

    python benchmarks/bench_transfer.py [--only memory torchrun ...]

Needs torch; the sections that measure times need a machine with nothing else to do. Ends with 1 where a bar is missed.

* memory: peaks against torch's own tracker, from 10 million to 8 billion parameters, on one device and sharded.
* torchrun: replicated and fully sharded steps of unseen shapes on two ranks.
* single: whole steps of thirty unseen shapes in two formats, after --quick, and from their own two layers; intervals.
* foundry: published steps on three GPUs, each row by a fit without it.
"""

from __future__ import annotations

import argparse
import importlib
import sys

SECTIONS = ("memory", "torchrun", "single", "foundry")
"""Each is a file beside this one, transfer_NAME.py, with a function `rows`."""


def main() -> int:
    """Run the sections and print their lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS)
    found = []
    for name in parser.parse_args().only:
        print(f"{name}", flush=True)
        found += list(importlib.import_module(f"transfer_{name}").rows())
    widths = [max(len(getattr(row, key)) for row in found) for key in ("what", "bar", "measured")]
    print()
    for row in found:
        cells = [text.ljust(width) for text, width in zip((row.what, row.bar, row.measured), widths, strict=True)]
        print("  ".join([*cells, "met   " if row.met else "MISSED", row.reference]))
    return 0 if all(row.met for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())
