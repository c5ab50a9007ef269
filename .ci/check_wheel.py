"""Whether wheels hold what is needed and nothing else: `python .ci/check_wheel.py WHEEL …`.

A wheel has the package's Python files, `py.typed`, the compiled kernel and the usual information:
no sources of the kernel, no tests. On Linux the kernel asks for libraries that every system has,
and not for a path to look for them in.
"""

import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WANTED = re.compile(r"lucid/(\w+/)*(\w+\.py|py\.typed)|lucid_nn-[^/]+\.dist-info/.+")
KERNEL = re.compile(r"lucid/kernels/_compiled(\.[\w-]+)*\.(so|pyd)")

# What PEP 600 lets every wheel for Linux ask for, as far as the kernel may want it.
LIBRARIES = re.compile(
    r"(libc|libm|libdl|librt|libpthread|libgcc_s|libstdc\+\+|ld-linux[\w-]*)\.so\.\d+"
)


def faults(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        kernels = [name for name in names if KERNEL.fullmatch(name)]
        found = [
            f"{name} does not belong into it"
            for name in names
            if name not in kernels and not WANTED.fullmatch(name)
        ]
        if len(kernels) != 1:
            found.append(f"{len(kernels)} compiled kernels, expected one")
        needed = {"lucid/py.typed", "lucid/__init__.py"}
        found += [f"{name} is missing" for name in sorted(needed - set(names))]
        if sys.platform == "linux":
            with tempfile.TemporaryDirectory() as folder:
                for name in kernels:
                    found += faults_of_kernel(archive.extract(name, folder))
    return found


def faults_of_kernel(path: str) -> list[str]:
    shown = subprocess.run(
        ["readelf", "--dynamic", "--wide", path], check=True, capture_output=True, text=True
    ).stdout
    needed = re.findall(r"\(NEEDED\).*\[(.+)\]", shown)
    found = [f"the kernel needs {name}" for name in needed if not LIBRARIES.fullmatch(name)]
    return found + [f"the kernel has a {name}" for name in re.findall(r"\((R\w*PATH)\)", shown)]


def main() -> None:
    if not sys.argv[1:]:
        sys.exit("check_wheel: name the wheels")
    failed = False
    for wheel in map(Path, sys.argv[1:]):
        found = faults(wheel)
        failed = failed or bool(found)
        print(f"{wheel.name}: {'; '.join(found) or 'as it should be'}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
