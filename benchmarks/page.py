"""Write BENCHMARKS.md from the latest results.

Reads   benchmarks/results/*.json
Writes  BENCHMARKS.md

    python -m benchmarks.page
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import shown

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parent.parent / "BENCHMARKS.md"
HEAD = """# Benchmarks

Written by `make bench` from `benchmarks/results/`, which holds the details as well. Ours, the peer and the floor take
turns in one process on the same threads; a figure is the median of at least five runs. Those under `peers` alone have a
process each, and run once. A ratio says more than a time: the machine may be busy. What each benchmark does is said at
the top of `benchmarks/NAME.py`.
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page([json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]))


def page(results: Sequence[Mapping[str, Any]]) -> str:
    """The claims and the tables of every result, each with the machine that it was measured on, as Markdown."""
    parts = [HEAD]
    for result in results:
        machine = result["machine"]
        on = f"{machine['cpu']}, {machine['cores']} cores" + (f", {machine['gpu']}" if machine["gpu"] else "")
        threads = result["details"].get("threads")
        on += f", {threads} thread{'s' * (threads > 1)} used" if threads else ""
        parts += [
            f"\n## {result['bench']}\n",
            f"\n{on}, commit {result['commit']}\n",
            "\n| what | measured | target | unit |\n|---|---|---|---|\n",
            *(
                f"| {name} | {found['measured']:.4g} | {found['target']} | {found['unit']} |\n"
                for name, found in result["claims"].items()
            ),
        ]
        for table in result.get("tables", ()):
            lines = [table["columns"], ["---"] * len(table["columns"]), *table["rows"]]
            parts += [f"\n{table['title']}\n\n", *(f"| {' | '.join(map(shown, line))} |\n" for line in lines)]
    return "".join(parts)


if __name__ == "__main__":
    main()
