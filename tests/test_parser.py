"""The parser example: the treebank's files, the same training with either scorer, what it says."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

import lucid
from lucid.testing import assert_same

torch: Any = pytest.importorskip("torch", reason="the parser is a model in PyTorch")
for package in ("tqdm", "matplotlib"):
    pytest.importorskip(package)

EXAMPLES = Path(__file__).parent.parent / "examples"
PACKAGES = str(Path(lucid.__file__).parents[1])
with (
    patch.object(sys, "path", [str(EXAMPLES), *sys.path]),  # as when Python runs the example
    patch.dict(os.environ),  # in which the example sets defaults
):
    parser: Any = importlib.import_module("parser_torch")
    data_of: Any = importlib.import_module("_parser_data")
    importlib.import_module("_parser_picture")

Run = Callable[..., tuple[int, str, str]]

CONLLU = """\
# text = Eve gitti.
1-2\tEve\t_\t_\t_\t_\t_\t_\t_\t_
1\tEv\tev\tNOUN\tNN\t_\t3\tnarg\t_\t_
2\te\t_\tX\tDAT\t_\t1\tig\t_\t_
2.1\tboş\t_\tX\tNN\t_\t_\t_\t_\t_
3\tgitti\tgit\tVERB\tVB\t_\t0\troot\t_\tSpaceAfter=No
4\t.\t.\tPUNCT\t.\t_\t3\tp\t_\t_

"""


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The example with these arguments: exit code, standard output, standard error."""

    def call(*arguments: str) -> tuple[int, str, str]:
        code = parser.main(list(arguments))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def archive(*texts: str, name: str = "treebank.whl") -> str:
    """A wheel with these texts as its files."""
    with zipfile.ZipFile(name, "w") as files:
        for member, text in zip(data_of.FILES, texts, strict=False):
            files.writestr(member, text)
    return name


def numbered_sentences(count: int, kind: str) -> str:
    """Sentences that tell their place: their first word is `kind` and a number."""
    return "".join(CONLLU.replace("\tEv\t", f"\t{kind}{k}\t") for k in range(count))


# The data


def test_words_are_read_and_nothing_else() -> None:
    (sentence,) = data_of.sentences(CONLLU, "here")
    assert sentence.words == ["Ev", "e", "gitti", "."]
    assert sentence.tags == ["NN", "DAT", "VB", "."]
    assert sentence.heads == [3, 1, 0, 3]
    assert sentence.labels == ["narg", "ig", "root", "p"]
    without_end = [*data_of.sentences(CONLLU * 2 + "\n" + CONLLU.rstrip(), "here")]
    assert without_end == [sentence] * 3


def test_eight_of_ten_sentences_of_each_file_are_for_training() -> None:
    splits = data_of.treebank(
        Path(archive(numbered_sentences(23, "web"), numbered_sentences(10, "wiki")))
    )
    first = {split: [each.words[0] for each in splits[split]] for split in splits}
    assert first["dev"] == ["web8", "web18", "wiki8"]
    assert first["test"] == ["web9", "web19", "wiki9"]
    assert first["train"] == [
        *(f"web{k}" for k in (*range(8), *range(10, 18), 20, 21, 22)),
        *(f"wiki{k}" for k in range(8)),
    ]


def test_small_letters_are_turkish() -> None:
    assert data_of.spellings("IŞIKLARI") == ("ışıkları", "kları", "arı")
    assert data_of.spellings("İp") == ("ip", "ip", "ip")


def test_rare_names_have_no_number_of_their_own() -> None:
    vocabulary = data_of.Vocabulary("abracadabra", least=2)
    assert [vocabulary[name] for name in "abrcdx"] == [1, 2, 3, 0, 0, 0]
    assert len(vocabulary) == 4


BAD = [
    (CONLLU.replace("\tX\tDAT", ""), "data/web.conllu, line 4: expected 10 columns, got 8"),
    (
        CONLLU.replace("\t1\tig", "\t5\tig"),
        "data/web.conllu, the sentence before line 8: the head of 'e' is 5, expected a number "
        "from 0 to 4",
    ),
    (CONLLU.replace("\t1\tig", "\t_\tig"),
     "data/web.conllu, the sentence before line 8: the head of 'e' is _, expected a number "
     "from 0 to 4"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), BAD)
def test_what_is_no_treebank(run: Run, text: str, message: str) -> None:
    assert run("--data", archive(text, text)) == (2, "", f"parser: treebank.whl, {message}\n")


def test_archives_that_are_none(run: Run) -> None:
    Path("text").write_text("no archive")
    for file, message in (
        ("none.whl", "none.whl: No such file or directory"),
        ("text", "text: this is no wheel of turkish-treebanks, or it is damaged"),
        (archive(CONLLU), "treebank.whl: there is no data/wiki.conllu in it"),
        (archive(CONLLU, "", name="small"), "small: too few sentences; a file of it needs at "
                                            "least 10"),
    ):  # fmt: skip
        assert run("--data", file) == (2, "", f"parser: {message}\n")


def test_an_archive_with_a_password(run: Run) -> None:
    content = bytearray(Path(archive(CONLLU, CONLLU)).read_bytes())
    for start, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the flag of each file, twice
        at = content.find(start)
        while at >= 0:
            content[at + place] |= 1
            at = content.find(start, at + 1)
    Path("locked").write_bytes(content)
    assert run("--data", "locked") == (
        2,
        "",
        "parser: locked: it is encrypted, or compressed in an unusual way\n",
    )


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damaged_archives(run: Run, compression: int) -> None:
    with zipfile.ZipFile("good", "w", compression) as files:
        for member in data_of.FILES:
            files.writestr(member, numbered_sentences(5, "w"))  # too few, so nothing is trained
    good = Path("good").read_bytes()
    random = np.random.default_rng(0)
    for _ in range(200):
        bad = bytearray(good)
        for _ in range(3):
            bad[random.integers(0, len(bad))] = random.integers(0, 256)
        Path("bad").write_bytes(bad)
        code, out, err = run("--data", "bad")
        assert (code, out, err.count("\n")) == (2, "", 1)


def test_the_package_is_fetched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def pip(command: list[str], **_: Any) -> Any:
        calls.append(command)
        folder = Path(command[command.index("--dest") + 1])
        (folder / "turkish_treebanks-1.0.0-py3-none-any.whl").write_bytes(b"wheel")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", pip)
    first, second = data_of.fetched(), data_of.fetched()
    assert first == second == Path("cache/lucid/turkish_treebanks-1.0.0-py3-none-any.whl").resolve()
    assert first.read_bytes() == b"wheel"
    assert [path.name for path in first.parent.iterdir()] == [first.name]
    (command,) = calls
    assert command[:3] == [sys.executable, "-m", "pip"]
    assert {"download", "--no-deps", "turkish-treebanks==1.0.0"} <= set(command)


def test_offline(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = "WARNING: Retrying\nERROR: No matching distribution found for it\n"
    done = subprocess.CompletedProcess([], 1, "", problem)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    assert run() == (
        2,
        "fetching turkish-treebanks 1.0.0 (1.2 MB, once)\n",
        "parser: turkish-treebanks 1.0.0 could not be fetched (No matching distribution found for "
        "it)\nRun this again with a connection, or fetch it elsewhere with `pip download --no-deps "
        "turkish-treebanks==1.0.0` and give that file: --data FILE\n",
    )
    assert [path.name for path in Path("cache/lucid").iterdir()] == []


# The model


def small_model(forms: str, seed: int = 0) -> tuple[Any, Any]:
    """A model with these bilinear forms, and a batch of sentences of several lengths."""
    text = CONLLU + CONLLU.replace("4\t.\t.\tPUNCT\t.\t_\t3\tp\t_\t_\n", "") + CONLLU
    sentences = [*data_of.sentences(text, "here")]
    numbering = parser.Numbering(sentences)
    torch.manual_seed(seed)
    model = parser.BiaffineParser(numbering, forms, arc=6, label=5)
    torch.nn.init.normal_(model.arcs.weight)
    return model, parser.batch([*map(numbering, sentences)])


def test_both_forms_give_the_same_losses_and_gradients() -> None:
    results = []
    state = small_model("torch")[0].state_dict()
    for forms in ("torch", "lucid"):
        model, given = small_model(forms, seed=1)
        model.load_state_dict(state)  # so that it loads, whichever form it was trained with
        torch.manual_seed(2)
        loss = parser.loss_of(model.double(), given)
        loss.backward()
        gradients = {name: each.grad.numpy() for name, each in model.named_parameters()}
        results.append((loss.item(), gradients, parser.parse(model, given)))
    (first_loss, first, first_parse), (second_loss, second, second_parse) = results
    assert first_loss == pytest.approx(second_loss, rel=1e-12)
    for each, other in zip(first_parse, second_parse, strict=True):
        assert each.tolist() == other.tolist()
    assert first.keys() == second.keys()
    for name in first:
        assert_same(first[name], second[name], rtol=1e-9, atol=1e-12)
        assert np.any(first[name]), name


def test_the_scores_of_all_pairs_are_never_made() -> None:
    model, given = small_model("lucid")
    with patch.object(model.arcs, "scores", side_effect=AssertionError):
        parser.loss_of(model, given).backward()
        parser.parse(model, given)


@pytest.mark.parametrize("forms", ["torch", "lucid"])
def test_padding_changes_nothing(forms: str) -> None:
    model, given = small_model(forms)
    heads, labels = parser.parse(model, given)
    assert given.heads.tolist() == [[-1, 3, 1, 0, 3], [-1, 3, 1, 0, -1], [-1, 3, 1, 0, 3]]
    for k, length in enumerate(given.lengths.tolist()):
        alone = parser.Numbered(
            given.features[k : k + 1, :length],
            given.lengths[k : k + 1],
            given.heads[k : k + 1, :length],
            given.labels[k : k + 1, :length],
        )
        found = parser.parse(model, alone)
        assert heads[k, :length].tolist() == found[0][0].tolist()
        assert labels[k, :length].tolist() == found[1][0].tolist()
        assert (heads[k, length:] == -1).all()


def test_no_word_is_its_own_head_and_none_is_padding() -> None:
    model, given = small_model("lucid")
    found = model.eval().read(given.features, given.lengths)
    scores = model.arcs.scores(*model.roles(found), given.lengths)
    shares = scores.softmax(-1).detach().numpy()
    assert np.all(shares[:, range(5), range(5)] == 0)
    assert np.all(shares[1, :4, 4] == 0)
    assert np.all(shares[0, 1, [0, 2, 3, 4]] > 0)


def test_the_scores_count_words() -> None:
    model, given = small_model("lucid")
    right = [[-1, 3, 1, 0, 3], [-1, 3, 1, 0, -1], [-1, 3, 1, 0, 3]]
    heads, labels = torch.tensor(right), given.labels.clone()
    heads[0, 4] = 0  # a wrong head, of a punctuation mark
    labels[2, 1] = 0 if labels[2, 1] else 1  # a wrong label
    with patch.object(parser, "parse", lambda *_: (heads, labels)), \
            patch.object(parser, "batches", lambda *_, **__: [given]):  # fmt: skip
        assert parser.evaluate(model, []) == (10 / 11, 9 / 11)


def test_the_guess_to_compare_with() -> None:
    (sentence,) = data_of.sentences(CONLLU, "here")
    assert parser.next_word([sentence]) == 0
    chain = data_of.Sentence(list("abc"), list("abc"), [2, 3, 0], list("abc"))
    assert parser.next_word([sentence, chain]) == 3 / 7


def test_every_sentence_is_in_one_batch() -> None:
    sentences = [*data_of.sentences(CONLLU, "here")] * 301
    numbers = [*map(parser.Numbering(sentences), sentences)]
    sizes = [len(each.lengths) for each in parser.batches(numbers, shuffled=True)]
    assert (sum(sizes), max(sizes)) == (301, 100)


# The program


@pytest.mark.parametrize("forms", ["torch", "lucid"])
def test_a_quick_run(run: Run, forms: str) -> None:
    file = archive(numbered_sentences(200, "web"), numbered_sentences(200, "wiki"))
    options = ("--data", file, "--quick", "--epochs", "2", "--bilinear", forms)
    code, out, err = run(*options, "--picture", "tree.png")
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0] == (
        "Turkish Web Treebank, sentences: 32 train (128 words), 4 dev (16 words), 4 test (16 words)"
    )
    assert lines[3].startswith("epoch 1: loss ")
    assert lines[-2] == "picture: tree.png"
    assert lines[-1].startswith(f"bilinear forms by {forms}: ")
    assert Path("tree.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert float(lines[4].split("UAS ")[1][:5]) >= 0.5  # all sentences are alike


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--bilinear", "jax"), "argument --bilinear: invalid choice: 'jax'"),
        (("--epochs", "0"), "argument --epochs: expected a whole number from 1 to 1000, but got"),
        (("--picture", "tree.gif"), "tree.gif: the name of a picture ends in .png, .pdf, .svg"),
        (("--picture", "none/tree.png"), "none/tree.png: No such file or directory"),
    ],
)
def test_mistakes_are_told_before_any_work(
    run: Run, arguments: tuple[str, ...], message: str
) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"parser: {message}")
    assert not Path("cache").exists()


@pytest.mark.parametrize(
    ("package", "how"),
    [("torch", "pip install torch"), ("tqdm", 'pip install -e ".[examples]"')],
)
def test_a_package_that_is_missing(package: str, how: str) -> None:
    script = (
        f"import sys, runpy; sys.modules[{package!r}] = None; sys.path.insert(0, {str(EXAMPLES)!r})"
        f"; runpy.run_path({str(EXAMPLES / 'parser_torch.py')!r}, run_name='__main__')"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", script],
        env={"PYTHONPATH": PACKAGES},
        capture_output=True,
        text=True,
    )
    message = f"parser: {package} is not installed; install it with: {how}\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", message)
