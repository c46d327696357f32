"""`python -m benchmarks [NAME] [--json]`: one JSON object with figures, baselines of the same run, and their ratios."""

import argparse
import importlib
import json
import sys

BENCHMARKS = {name: f"benchmarks.{name}" for name in ("startup", "compile", "demo", "fanout", "lateness", "rates")}


def main() -> int:
    """Run one benchmark or all; a missed target is in the output, never an error."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("name", nargs="?", choices=sorted(BENCHMARKS))
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    options = parser.parse_args()
    results = {}
    for name in [options.name] if options.name else sorted(BENCHMARKS):
        print(f"measuring {name} …", file=sys.stderr)
        results[name] = importlib.import_module(BENCHMARKS[name]).measure()
    if options.json:
        print(json.dumps(results[options.name] if options.name else results, indent=2))
    else:
        for name, result in results.items():
            print(f"\n{name}")
            for key, value in result.items():
                print(f"  {key:<28} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
