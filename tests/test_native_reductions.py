"""Scores of rows with partners, reduced by the compiled kernel: whole numbers, so all is exact."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from layouts import Array, rows_apart
from native_helpers import compiled

# positions, rows, partners, features: around the edges of tiles, panels and blocks of partners
SIZES = [
    (1, 1, 1, 1), (1, 5, 7, 3), (2, 13, 33, 4), (3, 12, 320, 2), (1, 25, 700, 9), (4, 40, 41, 101),
    (1, 300, 1000, 5), (2, 7, 65, 9000),
]  # fmt: skip


class Given:
    """Arguments in whole numbers, with what is left out, ±∞ and NaN; the scores in float64."""

    def __init__(self, sizes: tuple[int, ...], dtype: Any, is_shared: bool, plain: bool) -> None:
        positions, rows, partners, features = sizes
        random = np.random.default_rng(sum(sizes))

        def draw(*shape: int) -> Array:
            return random.integers(-2, 3, shape).astype(dtype)

        q, x2 = (
            draw(positions, rows, features),
            draw(1 if is_shared else positions, partners, features),
        )
        self.rows, self.start = positions * rows, 1000
        self.bias, self.kept, self.excluded = None, None, None
        self.scores = (q.astype(float) @ x2.mT.astype(float)).reshape(self.rows, partners)
        if not plain:
            x2[..., 0, 0] = np.nan if features > 1 else 1
            self.bias = draw(self.rows)
            with np.errstate(invalid="ignore"):
                self.scores = (q.astype(float) @ x2.mT.astype(float)).reshape(self.rows, partners)
            self.scores += self.bias[:, None]
        self.raw = self.scores.copy()
        if not plain:
            self.kept = random.random((self.rows, partners)) < 0.8
            self.kept[0] = False
            self.excluded = random.integers(-3, partners + 3, (self.rows, 4)) + self.start
            self.scores[~self.kept] = -np.inf
            for row, places in enumerate(self.excluded - self.start):
                self.scores[row, places[(places >= 0) & (places < partners)]] = -np.inf
        self.q, self.x2 = rows_apart(q, 1, 2), rows_apart(x2, 2, 1)

    @property
    def arguments(self) -> tuple[Any, ...]:
        return self.q, self.x2, self.bias, self.kept, self.excluded, self.start


@pytest.fixture(params=SIZES, ids=str)
def sizes(request: pytest.FixtureRequest) -> tuple[int, ...]:
    chosen: tuple[int, ...] = request.param
    return chosen


@pytest.fixture(
    params=[(np.float32, True, True), (np.float32, False, False), (np.float64, True, False)],
    ids=str,
)
def given(request: pytest.FixtureRequest, sizes: tuple[int, ...]) -> Given:
    return Given(sizes, *request.param)


@pytest.mark.usefixtures("instruction_set")
@pytest.mark.parametrize("k", [1, 5])
def test_best(given: Given, k: int) -> None:
    nan = np.isnan(given.scores)
    order = np.lexsort((np.where(nan, 0, -given.scores), ~nan), axis=1)[:, :k]
    expected = np.full((given.rows, k), -np.inf)
    expected[:, : order.shape[1]] = np.take_along_axis(given.scores, order, 1)
    whose = np.full((given.rows, k), -1)
    whose[:, : order.shape[1]] = order + given.start
    values = np.full((given.rows, k), -np.inf, given.q.dtype)
    indices = np.full((given.rows, k), -1, np.int64)
    assert compiled.best_scores(*given.arguments, values, indices)
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(indices, np.where(expected == -np.inf, -1, whose))
    # the same partners once more, behind: only scores that are larger take a place
    again = values.copy(), indices.copy()
    excluded = None if given.excluded is None else given.excluded + 5000
    assert compiled.best_scores(*given.arguments[:4], excluded, given.start + 5000, *again)
    np.testing.assert_array_equal(again[0][:, 0], values[:, 0])
    np.testing.assert_array_equal(again[1][:, 0], indices[:, 0])


def expected_ranks(given: Given, places: Array) -> tuple[Array, Array]:
    """The places' own scores, and their ranks."""
    own = np.take_along_axis(given.raw, places, 1)
    others = np.arange(given.raw.shape[1]) != places[..., None]
    scores = given.scores[:, None, :]
    larger = ~(scores <= own[..., None])
    equal = (scores == own[..., None]) & others
    return own, 1 + larger.sum(-1) + equal.sum(-1) / 2


@pytest.mark.usefixtures("instruction_set")
def test_ranks(given: Given) -> None:
    random = np.random.default_rng(1)
    places = random.integers(0, given.raw.shape[1], (given.rows, 3))
    own, ranks = expected_ranks(given, places)
    found, rank = np.zeros_like(own, given.q.dtype), np.ones_like(own, given.q.dtype)
    assert compiled.compare_scores(*given.arguments, places + given.start, found, False, rank)
    np.testing.assert_array_equal(found, own)
    np.testing.assert_array_equal(rank, ranks)
    # own scores alone; places elsewhere are left as they are
    elsewhere = places + given.start
    elsewhere[:, 1] -= 1 + places[:, 1]
    alone = np.full_like(found, 7)
    assert compiled.scores_at(*given.arguments[:3], None, None, given.start, elsewhere, alone)
    np.testing.assert_array_equal(alone[:, ::2], own[:, ::2])
    assert (alone[:, 1] == 7).all()
    known, rank = np.zeros_like(found), np.ones_like(found)
    assert compiled.compare_scores(*given.arguments, elsewhere - 10**6, known, True, rank)
    above = ~(given.scores <= 0)
    expected = 1 + above.sum(1) + (given.scores == 0).sum(1) / 2
    np.testing.assert_array_equal(rank, np.repeat(expected[:, None], 3, 1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_score_alone_has_the_bits_that_it_has_among_others(dtype: Any) -> None:
    random = np.random.default_rng(0)
    q = random.standard_normal((1, 50, 77)).astype(dtype)
    x2 = random.standard_normal((1, 1100, 77)).astype(dtype)
    values, indices = np.full((50, 1), -np.inf, dtype), np.full((50, 1), -1)
    assert compiled.best_scores(q, x2, None, None, None, 0, values, indices)
    own = np.zeros_like(values)
    assert compiled.scores_at(q, x2, None, None, None, 0, indices, own)
    assert (own == values).all()


def test_what_is_not_taken_is_declined() -> None:
    q, x2 = np.ones((2, 3, 4)), np.ones((2, 5, 4))
    values, indices = np.zeros((6, 2)), np.zeros((6, 2), np.int64)
    plain: list[Any] = [q, x2, None, None, None, 0, values, indices]
    assert compiled.best_scores(*plain)
    for at, wrong in [
        (0, q.astype(np.float32)), (0, q[:, :, :3]), (0, q[0]), (0, q[:0]), (0, q.astype(complex)),
        (0, np.moveaxis(q, 2, 0)), (1, np.ones((3, 5, 4))), (1, x2[:, :0]), (1, x2.astype(">f8")),
        (2, np.ones(5)), (2, np.ones(6, np.float32)), (3, np.ones((6, 4), bool)),
        (3, np.ones((6, 5))), (4, np.ones((5, 1), np.int64)), (4, np.ones((6, 1), np.int32)),
        (5, -1), (5, 1.0), (6, np.zeros((5, 2))), (6, np.zeros((6, 0))), (6, np.zeros((2, 6)).T),
        (6, np.zeros((6, 2), np.float32)), (7, np.zeros((6, 2), np.int32)),
        (7, np.zeros((6, 1), np.int64)), (6, np.broadcast_to(0.0, (6, 2))),
    ]:  # fmt: skip
        assert compiled.best_scores(*plain[:at], wrong, *plain[at + 1 :]) is None, (at, wrong)
    wide = np.ones((1, 1, 300_000))  # panels of such features would not be small
    assert compiled.best_scores(wide, wide, None, None, None, 0, values[:1], indices[:1]) is None
    outside = np.full((6, 2), 5)
    assert compiled.compare_scores(*plain[:6], outside, values, False, values.copy()) is None
    assert compiled.compare_scores(*plain[:6], outside, values, 0, values.copy()) is None


# positions, rows, partners, of each row, features: also more than one thread takes at a time
CHOSEN = [(1, 1, 1, 1, 1), (2, 3, 5, 2, 7), (3, 40, 4, 3, 101), (2, 900, 30, 4, 130)]


class Choices:
    """What chosen_gradients takes, in whole numbers, and what it gives, by NumPy."""

    def __init__(self, sizes: tuple[int, ...], dtype: Any) -> None:
        positions, rows, partners, count, features = sizes
        random = np.random.default_rng(sum(sizes))

        def draw(*shape: int) -> Array:
            return random.integers(-3, 4, shape).astype(dtype)

        q, x2 = draw(positions, rows, features), draw(partners, features)
        self.places = random.integers(-1, partners, (positions * rows, count))
        self.slopes = draw(positions * rows, count)
        self.d_q, self.d_2 = np.full((positions * rows, features), 7, dtype), draw(*x2.shape)
        kept = np.where(self.places >= 0, self.slopes, 0)
        self.of_rows = (kept[..., None] * x2[self.places]).sum(1)
        self.of_partners = self.d_2.copy()
        of_all = kept[..., None] * q.reshape(-1, 1, features)
        np.add.at(self.of_partners, self.places, of_all)
        self.q, self.x2 = rows_apart(q, 1, 2), rows_apart(x2, 2, 1)

    def find(self, q: Any, d_q: Any, d_2: Any) -> Any:
        return compiled.chosen_gradients(self.places, self.slopes, q, self.x2, d_q, d_2)


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[None]:
    before = compiled.get_num_threads()
    compiled.set_num_threads(request.param)
    yield
    compiled.set_num_threads(before)


@pytest.mark.usefixtures("instruction_set", "threads")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", CHOSEN, ids=str)
def test_gradients_of_chosen_scores(sizes: tuple[int, ...], dtype: Any) -> None:
    given = Choices(sizes, dtype)
    assert given.find(given.q, given.d_q, given.d_2)
    np.testing.assert_array_equal(given.d_q, given.of_rows)
    np.testing.assert_array_equal(given.d_2, given.of_partners)
    one = Choices(sizes, dtype)
    assert one.find(None, one.d_q, None)
    np.testing.assert_array_equal(one.d_q, one.of_rows)
    other = Choices(sizes, dtype)
    assert other.find(other.q, None, other.d_2)
    np.testing.assert_array_equal(other.d_2, other.of_partners)


def test_chosen_scores_that_are_not_taken_are_declined() -> None:
    given = Choices((2, 3, 5, 2, 7), np.float32)
    before = given.d_q.copy(), given.d_2.copy()
    assert given.find(None, given.d_q, given.d_2) is None  # dx2 is made of q
    assert given.find(given.q[:1], given.d_q, given.d_2) is None
    assert given.find(given.q[..., :-1], given.d_q, given.d_2) is None
    assert given.find(given.q.astype(float), given.d_q, given.d_2) is None
    assert given.find(given.q, given.d_q[:-1], given.d_2) is None
    assert given.find(given.q, given.d_q, given.d_2[:-1]) is None
    given.places[-1, -1] = 5
    assert given.find(given.q, given.d_q, given.d_2) is None  # outside
    np.testing.assert_array_equal(given.d_q, before[0])
    np.testing.assert_array_equal(given.d_2, before[1])
