"""CPU seconds of imports, each in a fresh interpreter, over those of `import numpy`.

The seconds of an empty interpreter are subtracted. All cases alternate within a round; the table
has medians over rounds, with the smallest:

    python benchmarks/imports.py [--rounds 9]
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

CASES = {
    "an empty interpreter": "pass",
    "import numpy": "import numpy",
    "import disentangle_indicators": "import disentangle_indicators",
    "from disentangle_indicators import score": "from disentangle_indicators import score",
    "dindic --help": "from dindic import main; main(['--help'], standalone_mode=False)",
}


def cpu_seconds(code: str) -> float:
    """Return the user and system time of an interpreter that runs the code."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    for code in CASES.values():
        cpu_seconds(code)  # compiles the modules and fills the cache of files
    times = [{name: cpu_seconds(code) for name, code in CASES.items()} for _ in range(rounds)]
    empty, *names = CASES
    print(f"{empty}: {statistics.median(t[empty] for t in times):.3f} s; subtracted below")
    print(f"{'':42}{'median s':>9}{'least s':>9}{'ratio':>7}")
    for name in names:
        spent = [t[name] - t[empty] for t in times]
        ratio = statistics.median(
            (t[name] - t[empty]) / (t["import numpy"] - t[empty]) for t in times
        )
        print(f"{name:42}{statistics.median(spent):9.3f}{min(spent):9.3f}{ratio:7.2f}")


if __name__ == "__main__":
    main()
