"""What `show_config` says about an installation, and who may read it."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest

import lucid
from lucid import _config
from lucid.kernels import _native

WITHOUT_KERNEL = """if True:
    import sys
    sys.modules["lucid.kernels._compiled"] = None
    import lucid
"""


def python(*arguments: str) -> str:
    """What a Python prints that may go without the compiled kernel."""
    done = subprocess.run(  # noqa: S603 (our own code)
        [sys.executable, *arguments],
        env={name: value for name, value in os.environ.items() if name != "LUCID_REQUIRE_NATIVE"},
        check=True, timeout=120, capture_output=True, text=True,
    )  # fmt: skip
    assert not done.stderr
    return done.stdout


def test_it_returns_what_it_prints(capsys: pytest.CaptureFixture[str]) -> None:
    config = lucid.show_config()
    assert capsys.readouterr().out == f"{config}\n"
    assert config.version == lucid.__version__
    assert config.location == str(Path(lucid.__file__).resolve().parent)
    assert config.threads == lucid.get_num_threads()
    assert config.libraries["numpy"] == np.__version__
    if _native.compiled is None:
        assert (config.kernel, config.instruction_sets) == ("none", ())
    else:
        assert (config.kernel, config.remedy) == ("compiled", None)
        assert config.instruction_set in config.instruction_sets


def test_what_it_returns_can_be_compared() -> None:
    config = lucid.show_config()
    assert config == lucid.show_config() == pickle.loads(pickle.dumps(config))  # noqa: S301
    assert hash(config) == hash(lucid.show_config())
    assert config != replace(config, threads=config.threads + 1)
    with pytest.raises(FrozenInstanceError):
        config.threads = 3  # type: ignore[misc]


def test_the_table() -> None:
    config = replace(
        lucid.show_config(),
        version="1.2.3", location="/here/lucid", hidden="/there/lucid", python="3.11.0, Linux",
        kernel="compiled", instruction_set="avx2", instruction_sets=("avx2", "baseline"),
        remedy=None, threads=2, libraries={"numpy": "2.4.6", "array-api-compat": None},
    )  # fmt: skip
    assert str(config).splitlines() == [
        "lucid            1.2.3",
        "location         /here/lucid",
        "                 hides the installed /there/lucid",
        "python           3.11.0, Linux",
        "kernel           compiled, avx2 (of avx2, baseline)",
        "threads          2",
        "numpy            2.4.6",
        "array-api-compat not found",
    ]
    assert repr(config) == "<lucid 1.2.3: kernel avx2, threads 2>"  # a prompt shows it after that


def test_the_module_runs_as_a_program() -> None:
    assert python("-m", "lucid").startswith(f"lucid            {lucid.__version__}\nlocation ")


def test_a_reader_that_leaves_early_is_no_error() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "input(); import lucid; lucid.show_config(); print('more')"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        process.stdin.write(b"\n")
        process.stdin.close()
        assert process.stderr.read() == b""
        assert process.wait(120) == 0


def test_a_missing_kernel_in_a_source_tree_is_said_with_the_remedy() -> None:
    source = Path(lucid.__file__).resolve().parent
    if not (source / "kernels" / "native" / "CMakeLists.txt").exists():
        pytest.skip("lucid is imported from an installation, not from its source tree")
    shown = python("-c", WITHOUT_KERNEL + "    lucid.show_config()")
    assert "none: the portable plans do its work" in shown
    assert "this is lucid's source tree" in shown
    assert f"pip install -e {source.parents[1]}" in shown
    assert "LUCID_REQUIRE_NATIVE=1" in shown
    config = "    print(repr(lucid.show_config()))"
    assert python("-c", WITHOUT_KERNEL + config).endswith(
        f"<lucid {lucid.__version__}: kernel none, threads {lucid.get_num_threads()}>\n"
    )


def test_a_missing_kernel_in_an_installation(tmp_path: Path) -> None:
    assert _native.remedy(tmp_path).endswith(
        "install lucid again with GCC or Clang at hand,\n"
        "with LUCID_REQUIRE_NATIVE=1 to see why it does not build"
    )


LARGE_CALLS = """
    import warnings
    import numpy as np
    numbers = [np.ones(shape, "float32") for shape in ((400, 64), (400, 64), (64, 64, 64))]
    given = convert(numbers)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        bilinear(given[0][:3], given[1][:3], given[2])
        few = len(caught)
        for _ in range(2):
            bilinear(*given)
    print(few, len(caught))
    print(caught[0].category.__name__, caught[0].filename, caught[0].message)
"""

FRONTS = {
    "numpy": "    from lucid.nn.functional import bilinear; convert = list",
    "torch": "    import torch; from lucid.torch import bilinear\n"
             "    convert = lambda given: [torch.from_numpy(x) for x in given]",
    "jax": "    import jax; from lucid.jax import bilinear\n"
           "    convert = lambda given: [jax.numpy.asarray(x) for x in given]",
}  # fmt: skip


@pytest.mark.parametrize("front", FRONTS)
def test_the_first_large_call_without_a_kernel_says_what_to_do(front: str) -> None:
    pytest.importorskip(front)
    count, told, *lines = python("-c", WITHOUT_KERNEL + FRONTS[front] + LARGE_CALLS).splitlines()
    assert count == "0 1"
    assert told.startswith("UserWarning ")
    assert front == "jax" or told.startswith("UserWarning <string> ")  # the line that calls it
    assert told.endswith(
        "bilinear: there is no compiled kernel here. This call of 1.0e+08 multiply-adds, and all "
        "others, are right but slower than they could be."
    )
    assert "LUCID_REQUIRE_NATIVE=1" in " ".join(lines)


def test_a_library_that_is_only_on_the_path_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _config._version("lucid-of-nobody") is None
    (tmp_path / "lucid_of_nobody.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert _config._version("lucid-of-nobody") == "on the path, not installed"


def test_an_installation_that_is_hidden_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    information = tmp_path / "lucid_nn-1.0.dist-info" / "METADATA"
    information.parent.mkdir()
    information.write_text("Metadata-Version: 2.1\nName: lucid-nn\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert _config._hidden(tmp_path / "elsewhere") is None  # an editable one has no folder there
    package = tmp_path / "lucid"
    package.mkdir()
    (package / "__init__.py").touch()
    assert _config._hidden(tmp_path / "elsewhere") == str(package.resolve())
    assert _config._hidden(package.resolve()) is None
