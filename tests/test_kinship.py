"""The main example: what it learns, what it says, and that it leaves nothing half-written."""

from __future__ import annotations

import importlib
import os
import re
import signal
import subprocess
import sys
import time
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

import numpy as np
import pytest

import lucid

for package in ("tqdm", "matplotlib"):
    pytest.importorskip(package)

from matplotlib.axes import Axes  # noqa: E402 (it may be missing)
from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: E402
from matplotlib.text import Text  # noqa: E402

EXAMPLES = Path(__file__).parent.parent / "examples"
PACKAGES = str(Path(lucid.__file__).parents[1])
with (
    patch.object(sys, "path", [str(EXAMPLES), *sys.path]),  # as when Python runs the example
    patch.dict(os.environ),  # in which the example sets a default
):
    kinship: Any = importlib.import_module("kinship")
    data_of: Any = importlib.import_module("_kinship_data")
    read: Any = importlib.import_module("_kinship_read")
    words_of: Any = importlib.import_module("_kinship_words")
    picture: Any = importlib.import_module("_kinship_picture")

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The example with these arguments: exit code, standard output, standard error."""

    def call(*arguments: str) -> tuple[int, str, str]:
        code = kinship.main(list(arguments))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """`python examples/kinship.py --save model.safetensors`: its folder and what it printed."""
    folder = tmp_path_factory.mktemp("kinship")
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-W", "error", EXAMPLES / "kinship.py", "--save", "model.safetensors"],
        cwd=folder,
        env={"PYTHONPATH": PACKAGES, "HOME": str(folder)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return folder, done.stdout


def percentages(table: str, name: str) -> list[float]:
    """The accuracies in a row of the table: test, valid."""
    line = next(line for line in table.splitlines() if line.startswith(name))
    return [float(share) for share in re.findall(r"([\d.]+)%", line)]


def listing() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def triples_file(name: str, text: str) -> str:
    Path(name).write_text(text, encoding="utf-8")
    return name


def own_triples(count: int = 40) -> str:
    """Who sits how many seats further on, at a table of 8."""
    pairs = [(i, j) for i in range(8) for j in range(8) if i != j][:count]
    return "".join(f"seat{i} further{(j - i) % 8} seat{j}\n" for i, j in pairs)


# What it learns


def test_the_whole_run_learns_and_draws(whole_run: tuple[Path, str]) -> None:
    folder, out = whole_run
    assert out.splitlines()[0] == (
        "104 people, 25 terms; triples: 8544 train, 1068 valid, 1074 test"
    )
    assert out.splitlines()[-2:] == ["model: model.safetensors", "picture: kinship.png"]
    assert percentages(out, "bilinear")[0] >= 83
    assert 18 <= percentages(out, "linear")[0] <= 27
    assert percentages(out, "most common term") == [12.2, 11.3]
    assert "28953" in out
    assert (folder / "kinship.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert (folder / "kinship.png").stat().st_size > 100_000
    assert [path.name for path in folder.iterdir() if "kinship" in path.name] == ["kinship.png"]


def test_the_groups_that_it_finds_explain_the_terms(whole_run: tuple[Path, str]) -> None:
    model, data = kinship.load(whole_run[0] / "model.safetensors")
    groups = picture.learned_groups(model.person.weight.numpy(), np.arange(104))
    assert sorted(len(group) for group in groups) == [21, 25, 27, 31]
    assert sorted(np.concatenate(groups)) == list(range(104))
    group_of = np.empty(104, dtype=int)
    for number, group in enumerate(groups):
        group_of[group] = number
    # knowing the term and the group of the head, one knows the group of the tail
    heads, terms, tails = np.concatenate(list(data.splits.values())).T
    counts = np.zeros((25, 4, 4))
    np.add.at(counts, (terms, group_of[heads], group_of[tails]), 1)
    assert counts.max(axis=2).sum() / counts.sum() > 0.9


def test_a_short_training_learns_already(run: Run) -> None:
    code, out, err = run("--epochs", "3", "--output", "")
    assert (code, err) == (0, "")
    assert percentages(out, "bilinear")[0] > 40
    assert listing() == []


def test_the_same_seed_gives_the_same_bytes(run: Run) -> None:
    for name in ("first", "second"):
        assert (
            run("--epochs", "1", "--save", name, "--output", f"{name}.png", "--seed", "3")[0] == 0
        )
    run("--epochs", "1", "--save", "other", "--output", "", "--seed", "4")
    assert Path("first").read_bytes() == Path("second").read_bytes()
    assert Path("first").read_bytes() != Path("other").read_bytes()
    assert Path("first.png").read_bytes() == Path("second.png").read_bytes()


@pytest.mark.parametrize("suffix", [".svg", ".pdf"])
def test_the_picture_in_other_formats(run: Run, suffix: str) -> None:
    own = triples_file("own.tsv", own_triples())
    assert run("--data", own, "--epochs", "1", "--output", f"tables{suffix}")[0] == 0
    start = {".svg": b"<?xml", ".pdf": b"%PDF-"}[suffix]
    assert Path(f"tables{suffix}").read_bytes().startswith(start)


# Questions, and the saved model


def test_ask_marks_the_recorded_term(whole_run: tuple[Path, str], run: Run) -> None:
    model = str(whole_run[0] / "model.safetensors")
    code, out, err = run("--load", model, "--ask", "person4", "person12")
    lines = out.splitlines()
    assert (code, err, len(lines), lines[0]) == (0, "", 6, "person4 calls person12:")
    assert re.fullmatch(r"   1\. term9        +\d+\.\d%  the data's term \(train\)", lines[1])
    assert [re.match(r" +(\d)\. term\d+ +\d+\.\d%", line) is not None for line in lines[1:]] == [
        True
    ] * 5
    shares = [float(share) for share in re.findall(r"([\d.]+)%", out)]
    assert shares == sorted(shares, reverse=True)


def test_ask_about_a_pair_without_a_term(whole_run: tuple[Path, str], run: Run) -> None:
    model = str(whole_run[0] / "model.safetensors")
    _, out, _ = run("--load", model, "--ask", "person4", "person4")
    assert out.splitlines()[-1] == "      the data has no term for this pair"


def test_ask_names_the_split_and_a_term_that_is_not_among_the_first_five(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = {split: np.zeros((1, 3), dtype=int) for split in data_of.SPLITS}
    rows["test"] = np.array([(0, 6, 1)])
    data = data_of.Data(["Ada", "Bo"], [f"term{k}" for k in range(8)], rows)

    class Fixed(lucid.nn.Module):
        def forward(self, heads: Any, tails: Any) -> Any:
            assert (heads.tolist(), tails.tolist()) == ([0], [1])
            return lucid.Tensor([[0.0, -1.0, -2.0, -3.0, -4.0, -5.0, -6.0, -7.0]])

    kinship.answer(Fixed(), data, 0, 1)
    assert capsys.readouterr().out == (
        "Ada calls Bo:\n"
        "   1. term0         63.2%\n"
        "   2. term1         23.3%\n"
        "   3. term2          8.6%\n"
        "   4. term3          3.1%\n"
        "   5. term4          1.2%\n"
        "   7. term6          0.2%  the data's term (test)\n"
    )


def test_a_saved_model_gives_the_same_answers(run: Run) -> None:
    ask = ("--ask", "person100", "person80")
    options = ("--epochs", "2", "--dimension", "12", "--output", "", "--save", "model")
    _, trained, _ = run(*options, *ask)
    code, loaded, err = run("--load", "model", *ask)
    assert (code, err) == (0, "")
    assert trained.endswith(loaded)
    assert loaded.startswith("person100 calls person80:\n")
    _, table, _ = run("--load", "model")
    assert percentages(table, "bilinear") == percentages(trained, "bilinear")
    assert listing() == ["model"]


def test_a_model_of_own_triples_brings_its_names(run: Run) -> None:
    own = triples_file("own.tsv", own_triples())
    run("--data", own, "--epochs", "1", "--output", "", "--save", "model")
    Path(own).unlink()
    code, out, _ = run("--load", "model", "--ask", "seat0", "seat1")
    assert code == 0
    assert "further1" in out
    assert "the data's relation" in out


# The triples


def test_tabs_or_white_space_separate(tmp_path: Path) -> None:
    path = tmp_path / "triples"
    path.write_bytes(b"\xef\xbb\xbfAda aunt  Bo\r\n\n  \nAda Lovelace\tgreat aunt\tBo Peep\n")
    assert read.read_table(path).triples == [
        ("Ada", "aunt", "Bo"),
        ("Ada Lovelace", "great aunt", "Bo Peep"),
    ]


def test_own_triples_are_split_by_seed(tmp_path: Path) -> None:
    path = tmp_path / "triples"
    path.write_text(own_triples(), encoding="utf-8")
    first, again, other = (data_of.own_data(path, seed) for seed in (0, 0, 1))
    assert [len(first.splits[split]) for split in data_of.SPLITS] == [32, 4, 4]
    for split in data_of.SPLITS:
        assert first.splits[split].tolist() == again.splits[split].tolist()
    assert first.splits["test"].tolist() != other.splits["test"].tolist()
    every = np.concatenate(list(first.splits.values()))
    named = {(first.people[h], first.terms[r], first.people[t]) for h, r, t in every}
    assert named == set(read.read_table(path).triples)
    assert first.noticed == ""


def test_repeated_and_contradicting_triples(tmp_path: Path) -> None:
    path = tmp_path / "triples"
    contradicting = own_triples().replace("further", "nearer")
    path.write_text(own_triples() + own_triples(3) + contradicting, encoding="utf-8")
    data = data_of.own_data(path, 0)
    assert data.noticed == "; repeated lines dropped: 3; pairs with several relations: 40"
    assert sum(map(len, data.splits.values())) == 80
    pairs = [{(h, t) for h, _, t in data.splits[split].tolist()} for split in data_of.SPLITS]
    assert [len(each) for each in pairs] == [32, 4, 4]
    assert len(set.union(*pairs)) == 40


def test_the_data_is_that_which_was_published() -> None:
    data = data_of.kinships()
    assert [len(data.splits[split]) for split in data_of.SPLITS] == [8544, 1068, 1074]
    assert (len(data.people), len(data.terms)) == (104, 25)
    assert (data.people[0], data.people[103], data.terms[-1]) == ("person0", "person103", "term25")
    every = np.concatenate(list(data.splits.values()))
    assert len({(h, t) for h, _, t in every.tolist()}) == len(every)
    assert data.recorded(data.number("person100"), data.number("person80")) == {
        data.terms.index("term6"): "train"
    }


# What goes wrong

BAD_FILES = [
    (
        "a b c\n\na b\n",
        "bad.tsv, line 3: expected 'head relation tail', separated by tabs or spaces, "
        "but got 'a b'",
    ),
    (
        "a\tb\t\tc\n",
        "bad.tsv, line 1: expected 'head relation tail', separated by tabs, commas, semicolons or "
        r"spaces, but got 'a\tb\t\tc'",
    ),
    (
        "a b c d\n",
        "bad.tsv, line 1: expected 'head relation tail', separated by tabs, commas, semicolons or "
        "spaces, but got 'a b c d'",
    ),
    (
        "a,b,c\nb,c,d\na;b;c\n",
        "bad.tsv, line 3: expected 'head relation tail', separated by commas, but got 'a;b;c'",
    ),
    (
        'a,b,c\nb,"c,d\nb,c,e\n',
        "bad.tsv, line 2: expected 'head relation tail', separated by commas, but got 'b,\"c,d'",
    ),
    ("\n", "bad.tsv: there are no triples in it"),
    ("a b c\na d c\nc b a\n", "bad.tsv: 2 different pairs; at least 10 are needed"),
]


@pytest.mark.parametrize(("text", "message"), BAD_FILES)
def test_bad_triples(run: Run, text: str, message: str) -> None:
    bad = triples_file("bad.tsv", text)
    assert run("--data", bad) == (2, "", f"kinship: {message}\n")
    assert listing() == ["bad.tsv"]


def test_triples_that_are_no_text(run: Run) -> None:
    Path("bad.tsv").write_bytes(b"\xff\xfea\x00")
    assert run("--data", "bad.tsv") == (2, "", "kinship: bad.tsv: this is not text in UTF-8\n")


HELP = "(--help lists the options)"
MISTAKES = [
    (("--data", "none.tsv"), "none.tsv: No such file or directory"),
    (("--data", "."), ".: Is a directory"),
    (("--load", "none"), "load: there is no file none"),
    (
        ("--load", str(EXAMPLES / "kinship.py")),
        f"{EXAMPLES / 'kinship.py'}: this is no model that kinship.py saved, or it is damaged",
    ),
    (
        ("--ask", "persn4", "person12"),
        "no person in the data is called 'persn4'; did you mean person4 or person94 or person84?",
    ),
    (("--ask", "person4", "§"), "no person in the data is called '§'"),
    (("--ask", "person4"), f"argument --ask: expected 2 arguments {HELP}"),
    (
        ("--epochs", "-1"),
        f"argument --epochs: expected a whole number from 1 to 100000, but got '-1' {HELP}",
    ),
    (
        ("--dimension", "1.5"),
        f"argument --dimension: expected a whole number from 1 to 1024, but got '1.5' {HELP}",
    ),
    (
        ("--seed", "x"),
        f"argument --seed: expected a whole number from 0 to 4294967295, but got 'x' {HELP}",
    ),
    (("--output", "picture.gif"), "picture.gif: the name of a picture ends in .png, .pdf, .svg"),
    (("--output", "none/picture.png"), "none/picture.png: No such file or directory"),
    (("--output", "", "--save", "."), ".: this is not a file"),
    (("--output", "", "--save", "none/model"), "none/model: No such file or directory"),
    (
        ("--output", "a.png", "--save", "./a.png"),
        "--data, --save and --output name one file twice; it would be overwritten",
    ),
    (("--load", "model", "--epochs", "3"), "--load takes the model as it is; leave out --epochs"),
    (("--load", "model", "--data", "x"), "--load takes the model as it is; leave out --data"),
    (("--train",), f"unrecognized arguments: --train {HELP}"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_mistakes_are_told_before_any_work(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.setattr(kinship, "train", lambda *_: pytest.fail("it trains"))
    assert run(*arguments) == (2, "", f"kinship: {message}\n")
    assert listing() == []


def test_damaged_models(run: Run) -> None:
    run("--epochs", "1", "--dimension", "2", "--output", "", "--save", "model")
    good = Path("model").read_bytes()
    content = lucid.load("model")
    no_weight = {**content, "model": {}}
    other_shape = {**content, "model": {**content["model"], "term.bias": lucid.zeros(3)}}
    fewer_people = {**content, "people": content["people"][:50]}
    no_names = {**content, "people": [*content["people"][:-1], 3]}
    same_names = {**content, "terms": ["term"] * len(content["terms"])}
    no_words = {**content, "words": {**content["words"], "plan": "x"}}
    wide = {**content["model"], "person.weight": lucid.zeros((104, 4000))}
    no_triples = {**content, "splits": {"train": 1.0}}
    for state in (
        {"weight": lucid.ones(2)},
        no_weight,
        other_shape,
        fewer_people,
        no_triples,
        no_names,
        same_names,
        no_words,
        {**content, "model": wide},
        {**content, "model": 3},
        {**content, "splits": 3},
    ):
        lucid.save(state, "bad")
        assert run("--load", "bad") == (
            2,
            "",
            "kinship: bad: this is no model that kinship.py saved, or it is damaged\n",
        )
    for size in (0, 7, 100, len(good) // 2, len(good) - 1):
        Path("bad").write_bytes(good[:size])
        code, out, err = run("--load", "bad")
        assert (code, out, err.count("\n")) == (2, "", 1)
    assert run("--load", "model")[0] == 0


def test_damaged_models_give_one_line(run: Run, random: np.random.Generator) -> None:
    own = triples_file("own.tsv", own_triples())
    run("--data", own, "--epochs", "1", "--dimension", "2", "--output", "", "--save", "model")
    good = Path("model").read_bytes()
    for _ in range(300):
        bad = bytearray(good)
        for _ in range(3):
            place = random.integers(0, len(bad))
            bad[place : place + random.integers(0, 3)] = random.bytes(int(random.integers(0, 3)))
        Path("bad").write_bytes(bad)
        code, _, err = run("--load", "bad", "--ask", "seat0", "seat1")
        assert (code, err.count("\n")) in ((0, 0), (2, 1))


# Data of people's own


def test_tables_as_people_have_them(run: Run) -> None:
    rows = [line.split() for line in own_triples().splitlines()]
    rows = [[head.replace("t0", "t, the first"), link, tail] for head, link, tail in rows]
    quoted = [['"' + cell + '"' if "," in cell else cell for cell in row] for row in rows]
    expected = read.read_table(
        Path(triples_file("a.tsv", "".join("\t".join(r) + "\n" for r in rows)))
    )
    for delimiter in (",", ";", ", "):
        lines = ["# seats at a table", "Seat A,Distance,Seat B".replace(",", delimiter)]
        lines += [delimiter.join(row) for row in quoted]
        Path("own.csv").write_text("\r\n".join(lines), encoding="utf-8-sig")
        table = read.read_table(Path("own.csv"))
        assert table.triples == expected.triples
        assert table.header == ("Seat A", "Distance", "Seat B")
    options = ("--epochs", "1", "--output", "", "--save", "model")
    code, out, err = run("--data", "own.csv", *options, "--ask", "seat, the first", "seat1")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == (
        "9 seats, 7 distances; triples: 32 train, 4 valid, 4 test; first row taken as the names "
        "of the columns: Seat A, Distance, Seat B; comment lines skipped: 1"
    )
    assert "most common distance" in out
    assert "seat, the first → seat1:\n" in out
    code, loaded, _ = run("--load", "model", "--ask", "seat, the first", "seat1")
    assert out.endswith(loaded)
    assert run("--load", "model", "--ask", "seat", "seat1")[2].startswith(
        "kinship: no seat in the data is called 'seat'; did you mean "
    )


@pytest.mark.parametrize(
    ("header", "options", "expected"),
    [
        (None, (None, None), ("entity", "entities", "relation", "relations")),
        ("head relation tail", (None, None), ("entity", "entities", "relation", "relations")),
        ("source edge target", (None, None), ("entity", "entities", "relation", "relations")),
        ("person1 Tie person2", (None, None), ("person", "people", "tie", "ties")),
        (
            "country_a type Country-B",
            (None, None),
            ("country", "countries", "relation", "relations"),
        ),
        ("x y z", ("box", "key"), ("box", "boxes", "key", "keys")),
    ],
)
def test_words_come_from_the_columns_or_from_options(
    header: Any, options: tuple[Any, Any], expected: tuple[str, ...]
) -> None:
    words = words_of.words_for(header and header.split(), *options)
    assert (words.entity, words.entities, words.relation, words.relations) == expected


@pytest.mark.parametrize(
    ("row", "is_header"),
    [
        ("", False),
        ("seat0 is seat1", False),
        ("head relation tail", True),
        ("from is seat1", False),
        ("Seat_A Steps Seat_B", True),
        ("Zoe mentors Abe", False),
    ],
)
def test_a_first_row_that_is_a_header(tmp_path: Path, row: str, is_header: bool) -> None:
    path = tmp_path / "triples"
    path.write_text(f"{row}\n{own_triples()}seat0 only-once seat7\n", encoding="utf-8")
    table = read.read_table(path)
    assert (table.header is not None) == is_header
    assert len(table.triples) == 41 + (row != "" and not is_header)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_in_another_form_of_unicode_are_found(run: Run, form: Literal["NFC", "NFD"]) -> None:
    text = own_triples().replace("seat0", "René")
    own = triples_file("own.tsv", unicodedata.normalize(form, text))
    forms: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")
    for asked in forms:
        name = unicodedata.normalize(asked, "René")
        code, out, err = run("--data", own, "--epochs", "1", "--output", "", "--ask", name, "seat1")
        assert (code, err) == (0, "")
        assert "René → seat1:\n" in out


def test_control_characters_do_not_reach_the_terminal(run: Run) -> None:
    text = own_triples().replace("seat0", "Ada\x1b[2J").replace("further1", "\x9b31mred")
    own = triples_file("own.tsv", text)
    _, out, err = run("--data", own, "--epochs", "1", "--ask", "Ada\x1b[2J", "seat1")
    assert r"Ada\x1b[2J → seat1:" in out
    assert r"\x9b31mred" in out
    assert "; Ada\\x1b[2J" in out or ": Ada\\x1b[2J" in out  # in its group
    assert all(each.isprintable() or each == "\n" for each in out + err)
    _, _, err = run("--data", own, "--ask", "\x07", "seat1")
    assert err == "kinship: no entity in the data is called '\\x07'\n"
    _, _, err = run("--data", "\x1b.tsv")
    assert err == "kinship: \\x1b.tsv: No such file or directory\n"


def test_columns_of_long_names_are_in_line(capsys: pytest.CaptureFixture[str]) -> None:
    rows = {split: np.zeros((1, 3), dtype=int) for split in data_of.SPLITS}
    terms = ["is a colleague of", "李小龙", "ne\u0301", "knows"]
    data = data_of.Data(["Ada", "Bo"], terms, rows, words_of.Words())

    class Fixed(lucid.nn.Module):
        def forward(self, heads: Any, tails: Any) -> Any:
            del heads, tails
            return lucid.Tensor([[0.0, -1.0, -2.0, -3.0]])

    kinship.answer(Fixed(), data, 0, 1)
    assert capsys.readouterr().out == (
        "Ada → Bo:\n"
        "   1. is a colleague of    64.4%\n"
        "   2. 李小龙               23.7%\n"
        "   3. ne\u0301                    8.7%\n"
        "   4. knows                 3.2%\n"
        "      the data has no relation for this pair\n"
    )


def test_one_relation_is_nothing_to_tell_apart(run: Run) -> None:
    text = "".join(
        f"{head} knows {tail}\n" for head, _, tail in map(str.split, own_triples().splitlines())
    )
    code, out, _ = run("--data", triples_file("own.txt", text), "--epochs", "1")
    assert code == 0
    assert out.splitlines()[0] == (
        "8 entities, 1 relation; triples: 32 train, 4 valid, 4 test; there is only one relation, "
        "so nothing to tell apart"
    )
    listed = " ".join(re.findall(r"^group [A-D]: (.*)$", out, flags=re.M))
    assert sorted(re.findall(r"seat\d", listed)) == [f"seat{k}" for k in range(8)]


def test_no_label_of_the_picture_is_cut_off(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = []
    make = picture.Figure

    def kept(**options: Any) -> Any:
        figures.append(make(**options))
        return figures[-1]

    monkeypatch.setattr(picture, "Figure", kept)
    text = own_triples().replace(" ", "\t").replace("seat0", "a name of many letters")
    assert run("--data", triples_file("own.tsv", text), "--epochs", "2")[0] == 0
    (figure,) = figures
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    renderer, whole = canvas.get_renderer(), figure.bbox
    names = {text.get_text() for text in figure.findobj(Text)}
    assert {"a name of many le…", "A", "B", "C", "D"} <= names
    for axes in figure.findobj(Axes):
        box = axes.get_tightbbox(renderer)  # with its texts, also those beside it
        if box is not None:
            assert whole.x0 - 1 <= box.x0 <= box.x1 <= whole.x1 + 1, axes.get_title()
            assert whole.y0 - 1 <= box.y0 <= box.y1 <= whole.y1 + 1, axes.get_title()


@pytest.mark.parametrize("package", ["numpy", "lucid", "tqdm", "matplotlib"])
def test_a_package_that_is_missing(package: str) -> None:
    script = (
        f"import sys, runpy; sys.modules[{package!r}] = None; sys.path.insert(0, {str(EXAMPLES)!r})"
        f"; sys.argv = ['kinship.py', '--save', 'model']; "
        f"runpy.run_path({str(EXAMPLES / 'kinship.py')!r}, run_name='__main__')"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", script],
        env={"PYTHONPATH": PACKAGES},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (
        2,
        "",
        f'kinship: {package} is not installed; install it with: pip install -e ".[examples]"\n',
    )
    assert listing() == []


# Nothing half-written


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timer for it")
def test_a_ctrl_c_that_is_lost_comes_again(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        with suppress(KeyboardInterrupt):  # as an import may do
            signal.raise_signal(signal.SIGINT)
        time.sleep(20)

    before = signal.getsignal(signal.SIGINT)
    assert kinship.exit_code("kinship", work) == 130
    assert capsys.readouterr().err == "kinship: interrupted\n"
    assert signal.getsignal(signal.SIGINT) == before


def test_ctrl_c_leaves_nothing() -> None:
    with subprocess.Popen(  # noqa: S603
        [sys.executable, EXAMPLES / "kinship.py", "--save", "model", "--epochs", "1000"],
        env={"PYTHONPATH": PACKAGES},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("104 people")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, "kinship: interrupted\n")
    assert listing() == []


@pytest.mark.parametrize(
    ("failure", "code", "message"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (OSError(28, "No space left on device"), 2, "old.png: No space left on device"),
    ],
)
def test_a_picture_that_fails_leaves_the_old_one(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    failure: BaseException,
    code: int,
    message: str,
) -> None:
    def half_drawn(path: Path, *_: Any) -> None:
        path.write_bytes(b"half")
        raise failure

    monkeypatch.setattr(picture, "draw", half_drawn)
    own = triples_file("own.tsv", own_triples())
    Path("old.png").write_bytes(b"old")
    got, _, err = run("--data", own, "--epochs", "1", "--output", "old.png")
    assert (got, err) == (code, f"kinship: {message}\n")
    assert Path("old.png").read_bytes() == b"old"
    assert listing() == ["old.png", "own.tsv"]


def test_a_link_stays_a_link(run: Run) -> None:
    own = triples_file("own.tsv", own_triples())
    Path("shown.png").symlink_to("kept.png")
    assert run("--data", own, "--epochs", "1", "--output", "shown.png")[0] == 0
    assert Path("shown.png").is_symlink()
    assert Path("kept.png").is_file()


def test_a_reader_who_goes_away_is_no_error() -> None:
    with subprocess.Popen(  # noqa: S603
        [sys.executable, EXAMPLES / "kinship.py", "--output", "", "--epochs", "1"],
        env={"PYTHONPATH": PACKAGES},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141
