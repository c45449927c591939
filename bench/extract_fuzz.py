"""Damage files of every format at random, by a seed, and have them read: the reader must answer or refuse, always.

    python bench/extract_fuzz.py --files 2000 --seed 1

Counts what was read, refused and crashed in its child, with the longest time; a fault that reaches the server ends it.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/retrieval"))

from corpus import mutants

from respun.retrieval.extract import Extractor, Limits, Unreadable


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--files", type=int, default=2000)
    asked.add_argument("--seed", type=int, default=1)
    given = asked.parse_args()
    outcomes: Counter[str] = Counter()
    longest = 0.0
    with Extractor(Limits(seconds=30)) as extractor, tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "given")
        for name, content in mutants(random.Random(given.seed), given.files):
            path.write_bytes(content)
            started = time.monotonic()
            try:
                extractor.extract(path, name)
                outcome = "read"
            except Unreadable as fault:
                outcome = "crashed" if "crashes" in fault.message else fault.code
            longest = max(longest, time.monotonic() - started)
            outcomes[f"{Path(name).suffix} {outcome}"] += 1
    for outcome, count in sorted(outcomes.items()):
        print(f"{outcome:28} {count:>6}")
    print(f"longest {longest:.2f} s")


if __name__ == "__main__":
    main()
