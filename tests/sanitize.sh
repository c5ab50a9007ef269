#!/usr/bin/env bash
# Build the compiled kernel with a sanitizer and run its tests under it.
#
#     tests/sanitize.sh [address] [undefined] [thread]      (all three without arguments)
#
# Needs what the build needs (cmake, a compiler, numpy) and pytest, in the Python that PYTHON
# names. The sanitizer's library is loaded before Python, which is not built with it.
set -euo pipefail
root="$(cd "$(dirname "$0")/.." && pwd)"
python="${PYTHON:-python3}"
compiler="${CXX:-g++}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

export OPENBLAS_NUM_THREADS=1  # its threads are not ours to check
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

for sanitizer in "${@:-address undefined thread}"; do
  for each in $sanitizer; do
    echo "== $each"
    mkdir -p "$work/$each/source"
    cp -r "$root/src" "$root/tests" "$work/$each/source"
    rm -f "$work/$each"/source/src/lucid/kernels/_compiled*
    cmake -S "$root/src/lucid/kernels/native" -B "$work/$each/build" \
      -DCMAKE_BUILD_TYPE=None -DCMAKE_CXX_FLAGS=-O1 -DLUCID_SANITIZE="$each" -DLUCID_OPTIMIZE=-O1 \
      -DCMAKE_CXX_COMPILER="$compiler" -DPython_EXECUTABLE="$(command -v "$python")" >/dev/null
    cmake --build "$work/$each/build" >/dev/null
    cp "$work/$each"/build/_compiled* "$work/$each/source/src/lucid/kernels"
    case $each in address) library=libasan ;; undefined) library=libubsan ;; thread) library=libtsan ;; esac
    # glibc frees a finished thread's own storage behind the sanitizer's back; forking from a
    # process with threads is what it does not support at all.
    echo "race:_dl_deallocate_tls" > "$work/suppressions"
    export TSAN_OPTIONS=halt_on_error=1:report_signal_unsafe=0:suppressions="$work/suppressions"
    # The sanitizers cannot do with limits on memory, nor be loaded into processes of their own.
    files=$(cd "$root" && ls tests/test_native*.py tests/test_kept.py tests/test_rows.py tests/test_optim.py tests/test_out.py | grep -v limits)
    skip="threads_that_cannot_be_made or test_without_the_kernel or jax"  # jaxlib throws as it starts
    # PyTorch's threads are OpenMP's, whose library is not built with the sanitizer.
    [ "$each" != thread ] || skip="$skip or forked or torch"
    # -s, or pytest keeps the report of a process that the sanitizer ends.
    (cd "$work/$each/source" &&
      PYTHONPATH=src LUCID_REQUIRE_NATIVE=1 LD_PRELOAD="$("$compiler" -print-file-name=$library.so)" \
        "$python" -m pytest -q -s -p no:cacheprovider -c /dev/null --rootdir . $files -k "not ($skip)")
  done
done
