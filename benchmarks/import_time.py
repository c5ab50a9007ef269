"""How much longer `import lucid` takes than `import numpy`.

python benchmarks/import_time.py
"""

from __future__ import annotations

import subprocess
import sys
from time import perf_counter

from _compare import describe_machine


def milliseconds(statement: str) -> float:
    start = perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return 1e3 * (perf_counter() - start)


if __name__ == "__main__":
    describe_machine(1)
    statements = ("pass", "import numpy", "import numpy, lucid")
    best = dict.fromkeys(statements, float("inf"))
    for _ in range(25):
        for statement in statements:
            best[statement] = min(best[statement], milliseconds(statement))
    for statement, value in best.items():
        print(f"{value:6.1f} ms  python -c '{statement}'")
    print(f"{best[statements[2]] - best[statements[1]]:6.1f} ms  lucid over numpy")
