"""Einstein's notation: against NumPy's, its gradients, what it is computed with, its errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from drawn import given, settings, st

import lucid
from lucid import Tensor
from lucid.ops import _bilinear as bilinear_file, _contraction, _einsum
from lucid.testing import assert_same, gradcheck

Shape = tuple[int, ...]

TEXTS: list[tuple[str, tuple[Shape, ...]]] = [
    # one operand
    ("ij", ((2, 3),)),
    ("ba", ((2, 3),)),
    ("ij->", ((2, 3),)),
    ("ijk->ki", ((2, 3, 4),)),
    ("ii", ((3, 3),)),
    ("ii->i", ((3, 3),)),
    ("iij->j", ((3, 3, 2),)),
    ("iji->j", ((3, 2, 3),)),
    ("ijij->ji", ((2, 3, 2, 3),)),
    ("iii->i", ((3, 3, 3),)),
    ("...->...", ((2, 3),)),
    ("...ij->...ji", ((4, 2, 3),)),
    ("i...->...", ((2, 3),)),
    ("", ((),)),
    # two
    ("ij,jk->ik", ((2, 3), (3, 4))),
    ("ij,jk", ((2, 3), (3, 4))),
    (" i j , j k -> k i ", ((2, 3), (3, 4))),
    ("i,j->ji", ((2,), (3,))),
    ("i,i", ((3,), (3,))),
    ("i,i->i", ((3,), (3,))),
    (",i->i", ((), (3,))),
    ("bi,bi->b", ((4, 3), (4, 3))),
    ("bij,bjk->bik", ((4, 2, 3), (4, 3, 5))),
    ("bhqd,bhkd->bhqk", ((2, 3, 4, 5), (2, 3, 6, 5))),
    ("abcd,dcbe->ea", ((2, 3, 4, 5), (5, 4, 3, 2))),
    ("ii,ij->j", ((3, 3), (3, 2))),
    ("ik,jl->", ((2, 3), (4, 5))),
    ("...ij,...jk->...ik", ((5, 2, 3), (3, 4))),
    ("...ij,jk...->...ik", ((5, 1, 2, 3), (3, 4, 6))),
    ("i...,...->i...", ((2, 3), (3,))),
    ("ij,jk->ik", ((2, 1), (3, 4))),  # an axis of size 1 goes with any
    ("ij,ij->i", ((2, 1), (2, 3))),
    ("ij,jk->ik", ((2, 0), (0, 3))),
    ("ij,ij->", ((0, 3), (0, 3))),
    # three: bilinear forms
    ("ni,oij,nj->no", ((4, 3), (2, 3, 5), (4, 5))),
    ("bqp,zq,zp->zb", ((2, 3, 5), (4, 3), (4, 5))),
    ("zp,zq,pqb->bz", ((4, 5), (4, 3), (5, 3, 2))),
    ("...i,oij,...j->...o", ((6, 4, 3), (2, 3, 5), (4, 5))),
    ("bsi,oij,btj->bsto", ((2, 4, 3), (3, 3, 5), (2, 6, 5))),
    ("si,oij,tj->tos", ((4, 3), (3, 3, 5), (6, 5))),
    ("ni,ij,nj->n", ((4, 3), (3, 5), (4, 5))),
    ("i,oij,j->o", ((3,), (2, 3, 5), (5,))),
    ("nab,oabcd,ncd->no", ((4, 2, 3), (5, 2, 3, 2, 2), (4, 2, 2))),
    ("ni,opij,nj->pno", ((4, 3), (2, 6, 3, 5), (4, 5))),
    # and their gradients in the weight
    ("no,ni,nj->oij", ((4, 2), (4, 3), (4, 5))),
    ("nj,no,ni->jio", ((4, 5), (4, 2), (4, 3))),
    ("bsto,bsi,btj->ijo", ((2, 3, 4, 5), (2, 3, 6), (2, 4, 7))),
    ("n,ni,nj->ij", ((4,), (4, 3), (4, 5))),
    # three and more that are not
    ("ij,ij,ij->ij", ((2, 3), (2, 3), (2, 3))),
    ("ij,jk,ki->", ((2, 3), (3, 4), (4, 2))),
    ("abc,cd,bd->a", ((2, 3, 4), (4, 5), (3, 5))),
    ("ni,oij,nj->o", ((4, 3), (2, 3, 5), (4, 5))),
    ("ij,jk,kl,lm->im", ((2, 3), (3, 4), (4, 5), (5, 6))),
    ("a,b,c,d->dbca", ((2,), (3,), (4,), (5,))),
    ("...i,ij,jk,k...->...", ((2, 3), (3, 4), (4, 5), (5, 2))),
    ("i,i,i,i->i", ((3,), (3,), (3,), (3,))),
]  # fmt: skip

TITLES = [f"{text} {shapes}" for text, shapes in TEXTS]


def operands(shapes: tuple[Shape, ...], complex_too: bool = False) -> list[Any]:
    random = np.random.default_rng(0)
    arrays = [np.asarray(random.standard_normal(shape)) for shape in shapes]
    if complex_too:
        arrays = [array + 1j * random.standard_normal(array.shape) for array in arrays]
    return arrays


@pytest.fixture(params=["opt_einsum", "own order"])
def order(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Both ways to find out which two operands come next."""
    if request.param == "opt_einsum":
        pytest.importorskip("opt_einsum")
    else:
        monkeypatch.setattr(_contraction, "_opt_einsum", lambda: None)
    _einsum._contraction.cache_clear()
    yield
    _einsum._contraction.cache_clear()


@pytest.mark.usefixtures("order")
@pytest.mark.parametrize(("text", "shapes"), TEXTS, ids=TITLES)
def test_the_sums_are_those_of_numpy(text: str, shapes: tuple[Shape, ...]) -> None:
    for complex_too in (False, True):
        arrays = operands(shapes, complex_too)
        expected = np.einsum(text, *arrays)
        found = lucid.einsum(text, *arrays)
        assert not isinstance(found, Tensor)
        assert_same(found, expected, rtol=1e-12, atol=1e-12)
        found = lucid.einsum(text, *map(Tensor, arrays))
        assert isinstance(found, Tensor)
        assert_same(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("text", "shapes"), TEXTS, ids=TITLES)
def test_the_gradients_are_right(text: str, shapes: tuple[Shape, ...]) -> None:
    for complex_too in (False, True):
        arrays = operands(shapes, complex_too)
        gradcheck(lambda *xs: lucid.einsum(text, *xs), arrays, order=2, name=text)


@settings(max_examples=150)
@given(st.data())
def test_any_text_means_what_it_means_to_numpy(data: st.DataObject) -> None:
    sizes = {letter: data.draw(st.integers(0, 3)) for letter in "abcdef"}
    term = st.text("abcdef", max_size=4)
    terms = data.draw(st.lists(term, min_size=1, max_size=4))
    known = sorted(set("".join(terms)))
    output = "".join(data.draw(st.permutations(known)))[: data.draw(st.integers(0, len(known)))]
    text = ",".join(terms) + data.draw(st.sampled_from(["", f"->{output}"]))
    arrays = operands(tuple(tuple(sizes[letter] for letter in term) for term in terms))
    assert_same(lucid.einsum(text, *arrays), np.einsum(text, *arrays), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint16", "float32", "complex64"])
@pytest.mark.parametrize("text", ["ij,jk->ik", "ij,jk->", "ij,jk->ijk"])
def test_the_dtype_stays(text: str, dtype: str) -> None:
    x, y = np.ones((2, 3), dtype), np.ones((3, 4), dtype)
    assert_same(lucid.einsum(text, x, y), np.einsum(text, x, y))


def test_numbers_in_the_place_of_letters() -> None:
    x, y = operands(((2, 3, 4), (4, 3)))
    for call in (
        (x, [0, 1, 2], y, [2, 1], [1, 0]),
        (x, [5, 1, 2], y, [2, 1]),
        (x, [..., 0], y, [0, 7], [7, ...]),
        (x, (0, 0 + 1, 2), (1,)),
    ):
        assert_same(lucid.einsum(*call), np.einsum(*call), rtol=1e-12, atol=1e-12)
    assert_same(lucid.einsum(Tensor(x), [0, 1, 2], [2, 0]), np.einsum(x, [0, 1, 2], [2, 0]))


def test_lists_and_numbers_are_operands_too() -> None:
    assert_same(lucid.einsum("i,i", [1, 2], [3, 4]), 11)
    assert isinstance(lucid.einsum("i,i", [1, 2], [3, 4]), Tensor)
    assert_same(lucid.einsum("i,", np.ones(2), 3.0), np.full(2, 3.0))
    assert isinstance(lucid.einsum("i,", np.ones(2), 3.0), np.ndarray)
    assert isinstance(lucid.einsum("i,i", np.ones(2), Tensor([1.0, 2.0])), Tensor)


@pytest.mark.parametrize("library", ["array_api_strict", "torch", "jax.numpy"])
def test_arrays_of_other_libraries(library: str) -> None:
    xp = pytest.importorskip(library)
    for text, shapes in TEXTS:
        if 0 in (size for shape in shapes for size in shape):
            continue
        numbers = [array.astype(np.float32) for array in operands(shapes)]
        arrays = [xp.asarray(each.tolist(), dtype=xp.float32) for each in numbers]
        found = lucid.einsum(text, *arrays)
        assert type(found) is type(arrays[0])
        assert_same(found, np.einsum(text, *numbers), rtol=1e-5, atol=1e-5)


# What it is computed with


@pytest.mark.parametrize(
    ("text", "shapes"),
    [each for each in TEXTS if each[0] in (
        "ni,oij,nj->no", "bqp,zq,zp->zb", "zp,zq,pqb->bz", "...i,oij,...j->...o",
        "bsi,oij,btj->bsto", "si,oij,tj->tos", "ni,ij,nj->n", "nab,oabcd,ncd->no",
        "no,ni,nj->oij", "nj,no,ni->jio", "bsto,bsi,btj->ijo", "n,ni,nj->ij",
    )],
)  # fmt: skip
def test_bilinear_forms_are_computed_by_the_kernel(
    text: str, shapes: tuple[Shape, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def watch(name: str) -> None:
        original = getattr(bilinear_file, name)

        def watched(*arguments: Any) -> Any:
            calls.append(name)
            return original(*arguments)

        monkeypatch.setattr(bilinear_file, name, watched)

    watch("bilinear")
    watch("_contractions")
    lucid.einsum(text, *map(Tensor, operands(shapes)))
    assert calls == ["_contractions" if text.endswith(("ij", "jio", "ijo")) else "bilinear"]


def test_a_chain_is_contracted_from_its_small_end(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Shape] = []
    original = lucid.matmul

    def matmul(x1: Any, x2: Any) -> Any:
        y = original(x1, x2)
        seen.append(y.shape)
        return y

    monkeypatch.setattr(_contraction, "matmul", matmul)
    monkeypatch.setattr(_contraction, "_opt_einsum", lambda: None)
    _einsum._contraction.cache_clear()
    lucid.einsum("ab,bc,cd->ad", *operands(((30, 30), (30, 30), (30, 2))))
    _einsum._contraction.cache_clear()
    assert seen == [(30, 2), (30, 2)]


def test_opt_einsum_contracts_tensors() -> None:
    opt_einsum = pytest.importorskip("opt_einsum")
    for text, shapes in TEXTS:
        if " " in text or not text or (2, 1) in shapes:  # it takes none of these
            continue
        arrays = operands(shapes)
        leaves = [Tensor(array, requires_grad=True) for array in arrays]
        found = opt_einsum.contract(text, *leaves)
        assert_same(found, np.einsum(text, *arrays), rtol=1e-12, atol=1e-12)
        expected = lucid.grad(lucid.einsum(text, *leaves), leaves)
        for one, other in zip(lucid.grad(found, leaves), expected, strict=True):
            assert_same(one, other, rtol=1e-11, atol=1e-11)


def test_einops_takes_tensors() -> None:
    einops = pytest.importorskip("einops.array_api")
    x = Tensor(operands(((2, 6, 4),))[0], requires_grad=True)
    for found, expected in (
        (einops.rearrange(x, "b (h d) c -> b h c d", h=2), ("bhdc->bhcd", (2, 2, 3, 4))),
        (einops.reduce(x, "b h c -> c b", "sum"), ("bhc->cb", (2, 6, 4))),
        (einops.repeat(x, "b h c -> c b h r", r=1), ("bhcr->cbhr", (2, 6, 4, 1))),
    ):
        text, shape = expected
        assert_same(found, np.einsum(text, x.numpy().reshape(shape)), rtol=1e-12)
        assert found.requires_grad
    packed, shapes = einops.pack([x, x[:, 0]], "b * c")
    assert packed.shape == (2, 7, 4)
    assert_same(einops.unpack(packed, shapes, "b * c")[1], x[:, 0])


# Errors


X = Tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


@pytest.mark.parametrize(
    ("error", "words", "given_"),
    [
        (lucid.ArgumentError, "'ij,jk->ik' has 2 terms for 1 operand; write one term for each, "
         "with commas between them", ("ij,jk->ik", X)),
        (lucid.ArgumentError, "'ij->ij' is given no operand", ("ij->ij",)),
        (lucid.ShapeError, "the term 'ijk' has 3 axes, but operands[0] has 2, shape (2, 3)",
         ("ijk->i", X)),
        (lucid.ShapeError, "the term '...ijk' has at least 3 axes, but operands[1] has 2",
         ("ij,...ijk->i", X, X)),
        (lucid.ShapeError, "axis 'j' is 3 in operands[0] (2, 3), but 2 in operands[1] (2, 3)",
         ("ij,jk->ik", X, X)),
        (lucid.ShapeError, "axis 'i' is 2 in operands[0] (2, 3), but 3 in operands[0] (2, 3)",
         ("ii", X)),
        (lucid.ShapeError, "an axis of '...' is 3 in operands[0] (2, 3), but 2 in operands[1] (2,)",
         ("...,...->...", X, lucid.ones(2))),
        (lucid.ArgumentError, "'i1->i' has '1' in the term 'i1'; a term has one letter for each "
         "axis, and '...' at most once", ("i1->i", X)),
        (lucid.ArgumentError, "has '.' in the term 'i..'", ("i..->i", X)),
        (lucid.ArgumentError, "has '-' in the term 'j->i'", ("ij->j->i", X)),
        (lucid.ArgumentError, "the output 'ik' of 'ij->ik' has 'k', which no operand has",
         ("ij->ik", X)),
        (lucid.ArgumentError, "the output 'ii' of 'ij->ii' has 'i' twice", ("ij->ii", X)),
        (lucid.ArgumentError, "the output 'j' of '...j->j' has no '...', which the operands have",
         ("...j->j", X)),
        (lucid.ArgumentError, "operands[1] is str, expected a Tensor, an array or numbers",
         ("ij,ij", X, "ij")),
        (lucid.ArgumentError, "the first argument is Tensor, expected a text such as 'ij,jk->ik', "
         "or each operand followed by the numbers of its axes", (X, "ij")),
        (lucid.ArgumentError, "the first argument is Tensor, expected a text", (X,)),
        (lucid.DTypeError, "operands[0] holds truth values, which have no products to sum",
         ("ij->i", X > 2)),
    ],
)  # fmt: skip
def test_misuse_is_refused_in_words(
    error: type[Exception], words: str, given_: tuple[Any, ...]
) -> None:
    with pytest.raises(error) as caught:
        lucid.einsum(*given_)
    assert str(caught.value).startswith("einsum: ")
    assert words in str(caught.value)


def test_a_mixture_of_libraries_is_refused_by_name() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(lucid.LibraryError, match=r"operands\[0\] is a NumPy array, operands\[1\]"):
        lucid.einsum("i,i", np.ones(2), torch.ones(2))
