"""All benchmarks that end in a table: ours beside the peers as ratios of one run, and how we grow.

    python benchmarks/run.py
    python benchmarks/run.py resnet18 --runs 15

The figures of single functions are pytest-benchmark's: ``pytest benchmarks`` times the engine, the tally, the
reconciliation with peers, the verification of documents, and big models on meta. A table of another kind is one more
file with a ``main``, and one more line here.
"""

from __future__ import annotations

import cyclopts
import growth
import overhead


def main(*models: str, runs: int = 9) -> None:
    """Print every table.

    Args:
        models: Which models are run beside the peers; six by default.
        runs: How many runs of each.
    """
    overhead.main(*models, runs=runs)
    print()
    growth.main(runs=min(runs, 5))


if __name__ == "__main__":
    cyclopts.run(main)
