"""The link prediction example: its data, its ranks, what it learns, what it says and leaves."""

from __future__ import annotations

import importlib
import os
import re
import signal
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

for package in ("tqdm", "matplotlib"):
    pytest.importorskip(package)

EXAMPLES = Path(__file__).parent.parent / "examples"
PACKAGES = str(Path(lucid.__file__).parents[1])
with (
    patch.object(sys, "path", [str(EXAMPLES), *sys.path]),  # as when Python runs the example
    patch.dict(os.environ),  # in which the example sets a default
):
    example: Any = importlib.import_module("link_prediction")
    data_of: Any = importlib.import_module("_link_data")
    wordnet_of: Any = importlib.import_module("_link_wordnet")
    importlib.import_module("_link_picture")

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The example with these arguments: exit code, standard output, standard error."""

    def call(*arguments: str) -> tuple[int, str, str]:
        code = example.main(list(arguments))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def row(table: str, name: str) -> list[float]:
    """The numbers of a row of the table: MRR and hits@10 of valid, and of test."""
    line = next(line for line in table.splitlines() if line.startswith(name))
    return [float(number) for number in re.findall(r"[\d.]+", line[len(name) :])]


def graph_of(train: Any, test: Any = ((0, 0, 1),), mutual: Any = ()) -> Any:
    """Four entities, two relations."""
    splits = {"train": np.array(train), "valid": np.array(test), "test": np.array(test)}
    names = ["Ada", "Bo", "Cy", "Di"]
    return data_of.Graph("Kinships", "people", names, ["r", "s", "", ""], splits, list(mutual))


def archive(name: str = "umls.zip", **texts: str) -> str:
    """A zip with these splits, where PyKEEN has them."""
    with zipfile.ZipFile(name, "w") as files:
        for split, text in texts.items():
            files.writestr(f"{data_of.UMLS}/{split}.txt", text)
    return name


def steps(first: int, last: int) -> str:
    """Facts: which number follows which, around a circle of twelve, by steps of 1 to 3."""
    every = [f"n{k}\tplus{step}\tn{(k + step) % 12}\n" for k in range(12) for step in (1, 2, 3)]
    return "".join(every[first:last])


def small() -> str:
    return archive(train=steps(0, 30), valid=steps(30, 33), test=steps(33, 36))


# WordNet in its own format: a line of 29 of the licence, then a synset a line. These are made up.

NOUNS = """\
  1 This stands for the licence.  
00000010 03 n 01 thing 0 003 ~ 00000020 n 0000 ~ 00000030 n 0000 ~ 00000040 n 0000 | what there is  
00000020 05 n 02 small_cat 0 puss 1 004 @ 00000010 n 0000 + 00000010 v 0101 ! 00000030 n 0101 #p 00000040 n 0000 | it purrs; "the cat purrs"  
00000030 05 n 01 hound 0 002 @ 00000010 n 0000 ! 00000020 n 0101 | it barks  
00000040 05 n 01 house 0 002 @ 00000010 n 0000 %p 00000020 n 0000 | it stands  
"""  # noqa: E501, W291 (as the files are)
VERBS = """\
00000010 29 v 01 purr 0 002 + 00000020 n 0101 > 00000020 v 0000 01 + 02 00 | make a low sound  
00000020 29 v 01 please 0 000 02 + 02 00 + 08 00 | give pleasure  
"""  # noqa: W291
ADJECTIVES = """\
00000010 00 a 01 warm(p) 0 001 & 00000020 a 0000 | not cold  
00000020 00 s 01 cosy 0 002 & 00000010 a 0000 \\ 00000040 n 0101 | warm and safe  
"""  # noqa: W291
ADVERBS = "00000010 02 r 01 cosily 0 001 \\ 00000020 a 0101 | in a cosy way  \n"


def dictionary(**changed: str) -> Path:
    folder = Path("dict")
    folder.mkdir(exist_ok=True)
    texts = {"noun": NOUNS, "verb": VERBS, "adj": ADJECTIVES, "adv": ADVERBS} | changed
    for part, text in texts.items():
        (folder / f"data.{part}").write_text(text, encoding="utf-8")
    return folder


def rings(size: int = 60) -> str:
    """Nouns in a circle: each a kind of the next, part of the one after, like the third."""
    lines = [
        f"{k:08} 03 n 02 word{k} 0 other_word{k} 0 004 @ {(k + 1) % size:08} n 0000 "
        f"~ {(k - 1) % size:08} n 0000 #p {(k + 2) % size:08} n 0000 "
        f"& {(k + 3) % size:08} n 0000 | meaning {k}  \n"
        for k in range(size)
    ]
    return "".join(lines)


def ring() -> str:
    return str(dictionary(noun=rings(), verb="", adj="", adv=""))


# The data


def test_the_synsets_and_pointers_of_wordnet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wordnet_of, "FEWEST_LINKS", 0)
    graph = wordnet_of.wordnet(dictionary(), 0)
    assert graph.entities == [
        "thing", "small cat, puss", "hound", "house", "purr", "please", "warm", "cosy", "cosily",
    ]  # fmt: skip
    assert graph.meanings[1] == 'it purrs; "the cat purrs"'
    facts = {
        (graph.entities[head], graph.links[relation], graph.entities[tail])
        for head, relation, tail in np.concatenate(list(graph.splits.values()))
    }
    assert facts == {  # each once, though it may be there from both sides
        ("small cat, puss", "kind of", "thing"),
        ("hound", "kind of", "thing"),
        ("house", "kind of", "thing"),
        ("small cat, puss", "part of", "house"),
        ("small cat, puss", "opposite of", "hound"),
        ("small cat, puss", "related form", "purr"),
        ("purr", "causes", "please"),
        ("warm", "similar to", "cosy"),
        ("cosy", "pertains to", "house"),
        ("cosily", "pertains to", "cosy"),
    }
    assert [len(facts) for facts in graph.splits.values()] == [8, 1, 1]
    assert graph.entity("PUSS") == graph.entity("small_cat") == [1]
    assert graph.link("parts") == graph.link("part of") + len(graph.relations)


def test_held_out_facts_leave_something_to_be_known_by() -> None:
    graph = wordnet_of.wordnet(Path(ring()), 0)
    assert sum(map(len, graph.splits.values())) == 180
    assert len(graph.splits["valid"]) == len(graph.splits["test"]) == 18
    degrees = np.bincount(graph.splits["train"][:, [0, 2]].ravel(), minlength=60)
    assert degrees.min() >= wordnet_of.FEWEST_LINKS
    again, other = (wordnet_of.wordnet(Path(ring()), seed) for seed in (0, 1))
    assert np.array_equal(again.splits["test"], graph.splits["test"])
    assert not np.array_equal(other.splits["test"], graph.splits["test"])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"verb": "no synset\n"}, "data.verb, line 1: this is no line of WordNet's data: 'no syn"),
        ({"adv": ADVERBS.replace("\\", "§")}, "data.adv, line 1: this is no line of WordNet's"),
        ({"adv": ADVERBS.replace("001", "002")}, "data.adv, line 1: this is no line of WordNet's"),
        ({"adj": ""}, ": 'cosily' points to a00000020, which is not there; the files are of diffe"),
        ({}, "there are too few pointers between the synsets to hold any out"),
    ],
)
def test_what_is_no_wordnet(run: Run, changed: dict[str, str], message: str) -> None:
    folder = dictionary(**changed)
    code, out, err = run("--wordnet", str(folder))
    assert (code, out) == (2, "")
    assert message in err


def test_umls_is_read_from_a_zip(run: Run) -> None:
    graph = data_of.umls(Path(small()))
    assert graph.entities[:3] == ["n0", "n1", "n2"]
    assert graph.relations == ["plus1", "plus2", "plus3"]
    assert graph.splits["train"][:2].tolist() == [[0, 0, 1], [0, 1, 2]]
    Path("text").write_text("no archive")
    for file, message in (
        ("none.whl", "none.whl: No such file or directory"),
        ("text", "text: this is no wheel of pykeen 1.11.1, or it is damaged"),
        (archive("other.zip"), "other.zip: there is no pykeen/datasets/umls in it; it is in "
                               "pykeen 1.11.1"),
        (archive("bad.zip", train="a b c\n", valid="", test=""),
         "bad.zip, train, line 1: expected 'head relation tail' and tabs"),
        (archive("empty.zip", train=steps(0, 30), valid="", test=""),
         "empty.zip, valid: there are no facts in it"),
    ):  # fmt: skip
        assert run("--umls", file) == (2, "", f"link prediction: {message}\n")


def test_questions_and_what_the_data_knows_of_them() -> None:
    graph = graph_of([(0, 0, 1), (0, 0, 2), (1, 1, 2)], [(0, 0, 3)], mutual=[1])
    assert graph.questions("test").tolist() == [[0, 0, 3], [3, 2, 0]]
    one_way = example.replace(graph, heads_too=False)
    assert one_way.questions("test").tolist() == [[0, 0, 3]]
    assert sorted(map(tuple, graph.training().tolist())) == [
        (0, 0, 1), (0, 0, 2), (1, 1, 2), (1, 2, 0), (1, 3, 2), (2, 1, 1), (2, 2, 0), (2, 3, 1),
    ]  # fmt: skip
    known = graph.known(np.array([0, 2, 3, 2]), np.array([0, 1, 1, 2]))
    assert known.tolist() == [[1, 2, 3], [1, -1, -1], [-1, -1, -1], [0, -1, -1]]
    assert graph.recorded(0, 0) == {1: "train", 2: "train", 3: "test"}
    assert graph.recorded(3, 2) == {0: "test"}
    assert graph.recorded(2, 1) == {1: "train"}
    assert graph.recorded(2, 3) == {1: "train"}
    assert graph.recorded(3, 1) == {}


# The ranks


def test_ranks_are_those_of_all_scores_one_by_one() -> None:
    lucid.manual_seed(0)
    graph = data_of.kinships()
    model = example.Rescal(len(graph.entities), len(graph.relations), 4, 0.5, alike=False)
    found = example.ranks(model, graph, "test")
    entities, matrices = model.entity.weight.numpy(), model.relation.numpy()
    facts = np.concatenate(list(graph.splits.values()))
    questions = graph.questions("test")
    assert len(found) == len(questions) == 2 * 1074
    for place in (0, 500, 1500, 2147):
        entity, link, answer = questions[place]
        if link < 25:
            scores = entities[entity] @ matrices[link] @ entities.T
            others = facts[(facts[:, 0] == entity) & (facts[:, 1] == link), 2]
        else:
            scores = entities @ matrices[link - 25] @ entities[entity]
            others = facts[(facts[:, 2] == entity) & (facts[:, 1] == link - 25), 0]
        left = np.setdiff1d(np.arange(104), others)
        assert found[place] == 1 + (scores[left] > scores[answer]).sum()


def test_ranks_by_frequency_have_ties_at_their_mean() -> None:
    graph = graph_of([(0, 0, 1), (2, 0, 1), (3, 0, 2), (1, 0, 3)], [(1, 0, 2), (0, 0, 3)])
    graph = example.replace(graph, heads_too=False)
    # answers of relation 0 in training: Bo twice, Cy and Di once, Ada never
    assert example.common_ranks(graph, "test").tolist() == [2.0, 1.5]


def test_the_loss_among_some_is_that_of_these_scores() -> None:
    lucid.manual_seed(0)
    model = example.Rescal(5, 2, 3, 0.0, alike=True)
    questions = np.array([[0, 1, 4], [2, 2, 1]])
    some = np.array([1, 3, 4])
    entities, matrices = model.entity.weight.numpy(), model.relation.numpy()
    scores = np.stack([entities[0] @ matrices[1], matrices[0] @ entities[2]]) @ entities[some].T
    right = np.log(np.exp(scores).sum(axis=1)) - scores[[0, 1], [2, 0]]
    assert model.loss(questions, some).item() == pytest.approx(right.mean(), rel=1e-5)


# What it learns


def test_kinships_as_a_program() -> None:
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-W", "error", EXAMPLES / "link_prediction.py"],
        env={"PYTHONPATH": PACKAGES, "HOME": os.getcwd()},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == (
        "Kinships: 104 people, 25 relations; facts: 8544 train, 1068 valid, 1074 test"
    )
    found = row(done.stdout, "this model")
    assert found[2] >= 0.80
    assert found[3] >= 96
    assert row(done.stdout, "the most common answers") == [0.111, 26.8, 0.11, 24.9]
    assert row(done.stdout, "RESCAL by PyKEEN") == [0.687, 97.4]
    assert re.search(r"^learned in \d+\.\d s; ", done.stdout, flags=re.M)
    assert lines[-1] == "picture: link_prediction.png"
    assert Path("link_prediction.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert [name for name in os.listdir() if "link" in name] == ["link_prediction.png"]


def test_a_question_is_answered_from_a_saved_model(run: Run) -> None:
    code, out, err = run(
        "--umls", small(), "--output", "", "--save", "model", "--dimension", "8",
        "--epochs", "400", "--ask", "n3", "plus2",
    )  # fmt: skip
    assert (code, err) == (0, "")
    asked = out.splitlines()[-6:]
    assert asked[0] == "n3 – plus2:"
    assert re.fullmatch(r"   1\. n5 +\d+\.\d%  in UMLS \(train\)", asked[1])
    assert run("--load", "model", "--ask", "n3", "plus2") == (0, "\n".join([*asked, ""]), "")
    code, again, _ = run("--load", "model")
    assert row(again, "this model") == row(out, "this model")
    assert "learned" not in again


def test_wordnet_learns_among_random_words_and_answers(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = example.replace(example.SETTINGS["WordNet"], others=20, batch=16, decay=0.0)
    monkeypatch.setitem(example.SETTINGS, "WordNet", settings)
    code, out, err = run(
        "--wordnet", ring(), "--epochs", "60", "--dimension", "16", "--ask", "word7", "kind of"
    )
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == (
        "WordNet: 60 meanings, 18 relations; facts: 144 train, 18 valid, 18 test"
    )
    assert "Asked for: the tail of each fact." in out
    assert "do not compare with those of WN18 and WN18RR" in out
    asked = out.splitlines()[-7 if "has" not in out.splitlines()[-1] else -8 :]
    assert asked[:2] == ["word7, other word7 – kind of:", "      (meaning 7)"]
    assert re.match(r"   1\. word8, other word8 +\d+\.\d%  in WordNet \(\w+\)", asked[2])
    assert row(out, "this model")[0] > row(out, "the most common answers")[0]


def test_the_same_seed_gives_the_same_bytes(run: Run) -> None:
    for name, seed in (("first", "3"), ("second", "3"), ("other", "4")):
        options = "--epochs", "2", "--save", name, "--output", f"{name}.svg", "--seed", seed
        assert run("--umls", small(), *options)[0] == 0
    assert Path("first").read_bytes() == Path("second").read_bytes()
    assert Path("first").read_bytes() != Path("other").read_bytes()
    assert Path("first.svg").read_bytes().startswith(b"<?xml")


# What it says


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--ask", "person4", "term99"), "Kinships has no relation 'term99'; did you mean term9"),
        (("--ask", "person4", "zzz"), "Kinships has no relation 'zzz'; there are: term0; term1"),
        (("--ask", "persn4", "term9"), "there is no 'persn4' in Kinships; did you mean person4"),
        (("--umls", "a", "--wordnet", "b"), "--umls and --wordnet are two sets of data; choose"),
        (("--load", "a", "--epochs", "2"), "--load takes the model as it is; leave out --epochs"),
        (("--load", "a"), "load: there is no file a"),
        (("--wordnet", "none"), "none/data.noun: No such file or directory"),
        (("--epochs", "0"), "argument --epochs: expected a whole number from 1 to 100000, but"),
        (("--output", "a.gif"), "a.gif: the name of a picture ends in .png, .pdf, .svg"),
        (("--save", "none/a"), "none/a: No such file or directory"),
        (("--save", "a.png", "--output", "a.png"), "--umls, --save and --output name one file"),
    ],
)
def test_mistakes_are_told_before_any_work(
    run: Run, arguments: tuple[str, ...], message: str
) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"link prediction: {message}")
    assert os.listdir() == []


def test_files_that_are_no_models(run: Run) -> None:
    run("--umls", small(), "--epochs", "1", "--output", "", "--save", "model")
    content = lucid.load(Path("model"))
    message = "this is no model that link_prediction.py saved, or it is damaged\n"
    Path("text").write_text("no model")
    facts = lucid.Tensor([[0, 9, 1]])
    changes: list[tuple[str, Any]] = [
        ("links", ["plus1"]), ("title", 3), ("mutual", [7]),
        ("splits", {**content["graph"]["splits"], "test": facts}),
    ]  # fmt: skip
    for name, value in changes:
        lucid.save({**content, "graph": {**content["graph"], name: value}}, Path("bad"))
        assert run("--load", "bad") == (2, "", f"link prediction: bad: {message}")
    lucid.save({**content, "model": {}}, Path("bad"))
    assert run("--load", "bad") == (2, "", f"link prediction: bad: {message}")
    assert run("--load", "text") == (2, "", f"link prediction: text: {message}")


def test_control_characters_do_not_reach_the_terminal(run: Run) -> None:
    names = {"train": steps(0, 30), "valid": steps(30, 33), "test": steps(33, 36)}
    texts = {split: text.replace("n3\t", "n\x1b[2J\t") for split, text in names.items()}
    file = archive(
        **{split: re.sub("n3$", "n\x1b[2J", t, flags=re.M) for split, t in texts.items()}
    )
    _, out, err = run("--umls", file, "--epochs", "1", "--ask", "n\x1b[2J", "plus2")
    assert r"n\x1b[2J – plus2:" in out
    assert all(each.isprintable() or each == "\n" for each in out + err)


@pytest.mark.parametrize("package", ["numpy", "lucid", "tqdm"])
def test_a_package_that_is_missing(package: str) -> None:
    script = (
        f"import sys, runpy; sys.modules[{package!r}] = None; sys.path.insert(0, {str(EXAMPLES)!r})"
        f"; runpy.run_path({str(EXAMPLES / 'link_prediction.py')!r}, run_name='__main__')"
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
        f"link prediction: {package} is not installed; install it with: pip install -e "
        '".[examples]"\n',
    )


def test_ctrl_c_leaves_nothing() -> None:
    with subprocess.Popen(  # noqa: S603
        [sys.executable, EXAMPLES / "link_prediction.py", "--save", "model", "--epochs", "1000"],
        env={"PYTHONPATH": PACKAGES},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Kinships: 104 people")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, "link prediction: interrupted\n")
    assert os.listdir() == []
