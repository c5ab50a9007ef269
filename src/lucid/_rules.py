"""The gradient rules of an operation, and what a call saves for them.

A rule asks by the names in its signature for what it needs: `g` is the gradient of the output, `y`
the output, `kept` what the operation has kept for it, `needed` says which of several gradients are
wanted, `x_shape` and `x_dtype` are those of the argument x, and every other name is an argument of
the operation. Only what the needed rules name is kept alive until the backward pass.

The tape knows nothing of this: to it a rule is what has `run(places, given, useful)` and gives
pairs of a place and the gradient there, for places that are useful; None says that all are.
"""

from __future__ import annotations

import inspect
from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import compress
from operator import itemgetter
from typing import Any

from ._blocks import Later, bound_axes, is_large
from ._errors import GraphError, LucidError
from ._recording import mode
from ._wide import widened

Rule = Callable[..., Any]
Pairs = Iterable[tuple[Any, Any]]  # places, and the gradients there

RESERVED = ("g", "y", "kept", "needed")


class Rules:
    """The gradient rules that were registered for an operation."""

    def __init__(
        self,
        operation: str,
        arguments: Sequence[str],
        sequences: Iterable[str],
        conjugates: bool,
        halves: bool,
        along: str | tuple[int, ...] | None,
        keeps: bool,
    ) -> None:
        self.operation = operation
        self.results = ("y", "kept") if keeps else ("y",)
        self.arguments = arguments
        self.sequences = frozenset(sequences)
        self.conjugates = conjugates  # the tape conjugates around them
        self.halves = halves  # they get float16 and bfloat16 as they are
        self.along = along  # the axes that large ones are not cut along; None: they are not cut
        self.of: dict[str, Rule | None] = {}
        self.joint: Rule | None = None
        self.needs: Mapping[str, Sequence[str]] = {}  # of the joint rule, for each argument
        self.savings: dict[int, Saving] = {}

    def register(self, rules: Mapping[str, Rule | None]) -> None:
        """One rule for each of these arguments; None where the gradient is zero."""
        self._refuse_unknown(rules)
        self.of.update(rules)
        self.savings.clear()

    def register_joint(self, rule: Rule, needs: Mapping[str, Sequence[str]]) -> None:
        """One rule for all of these arguments, with the names that the gradient of each needs."""
        self._refuse_unknown(needs)
        self.joint = rule
        self.needs = needs
        self.of.update(dict.fromkeys(needs, rule))
        self.savings.clear()

    def is_joint(self, name: str) -> bool:
        return name in self.of and self.of[name] is self.joint

    def asked_for(self, name: str) -> list[str]:
        """The names that the gradient of an argument needs.

        What a joint rule asks for without saying for which argument, it needs for all.
        """
        if not self.is_joint(name):
            return _names_of(self.of.get(name))
        listed = [need for needs in self.needs.values() for need in needs]
        always = [need for need in _names_of(self.joint) if need not in listed]
        return [*self.needs[name], *always]

    def _refuse_unknown(self, names: Iterable[str]) -> None:
        unknown = [name for name in names if name not in self.arguments]
        if unknown:
            raise TypeError(
                f"{self.operation}: there is no argument {', '.join(map(repr, unknown))} to "
                f"register a gradient for; the arguments are {', '.join(self.arguments)}"
            )

    def saving(self, tracked: int) -> Saving:
        """What a call saves in which the arguments of these bits require a gradient."""
        saving = self.savings[tracked] = Saving(self, tracked)
        return saving


class Saving:
    """What a call saves and which rules its backward pass runs, for one set of tracked arguments.

    Made once for each set of arguments that require a gradient, then looked up.
    """

    __slots__ = ("along", "conjugates", "facts", "halves", "operation", "origins", "pick", "rules")

    def __init__(self, registered: Rules, tracked: int) -> None:
        arguments = registered.arguments
        wanted = [name for k, name in enumerate(arguments) if tracked >> k & 1]
        wanted = [name for name in wanted if registered.of.get(name, "none yet") is not None]
        together = [name for name in wanted if registered.is_joint(name)]
        needs: list[str] = []
        for name in wanted:
            asked = registered.asked_for(name)
            needs += [need for need in asked if need not in (*needs, "g", "needed")]
        self.operation = registered.operation
        self.conjugates = registered.conjugates
        self.halves = registered.halves
        self.facts, known = self._resolve(arguments, registered.results, needs)
        needs.sort(key=known.index)  # as a joint rule names them, nearly always
        self.pick = _picker([known.index(need) for need in needs])
        # where a saved value stood: the argument's number, -1 for the output, None for neither
        self.origins = [
            arguments.index(need) if need in arguments else -1 if need == "y" else None
            for need in needs
        ]
        given = ["g", *needs]
        self.rules: list[RuleOfOne | JointRule | NoRule] = []
        if together:
            self.rules.append(_of_arguments(registered, together, given))
        for name in wanted:
            rule, position = registered.of.get(name), arguments.index(name)
            if name in together:
                continue
            if rule is None:
                self.rules.append(NoRule(self.operation, name, position))
            elif name in registered.sequences:
                self.rules.append(_of_a_sequence(self.operation, name, position, rule, given))
            else:
                self.rules.append(RuleOfOne(self.operation, name, position, rule, given))

        self.along = self._axes_from(registered.along, given)

    def _axes_from(
        self, along: str | tuple[int, ...] | None, given: list[str]
    ) -> Callable[[tuple[Any, ...]], Any] | None:
        """Reads from what rules are given along which axes it is not cut; None: not at all."""
        if along is None or any(name.endswith("_shape") for name in given):
            return None
        if isinstance(along, str):
            return itemgetter(given.index(along)) if along in given else None
        return lambda _: along

    def in_blocks(
        self, given: tuple[Any, ...], shape: tuple[int, ...]
    ) -> Sequence[RuleInBlocks] | None:
        """The rules for large halves by blocks, where they can be."""
        if self.along is None or not is_large(given):
            return None
        axes = self.along(given)
        rules = [RuleInBlocks(rule, shape, axes) for rule in self.rules if type(rule) is RuleOfOne]
        return rules if len(rules) == len(self.rules) else None

    def with_facts(self, values: tuple[Any, ...]) -> Sequence[Any]:
        """The arguments and the output, followed by the shapes and dtypes that are asked for."""
        found = list(values)
        for k, read in self.facts:  # no list of its own, which takes longer
            found.append(read(values[k]))
        return found

    def _resolve(
        self, arguments: Sequence[str], results: Sequence[str], needs: list[str]
    ) -> tuple[list[tuple[int, Callable[[Any], Any]]], list[str]]:
        """How to read the shapes and dtypes asked for; the names of all that a call can save."""
        known = [*arguments, *results]
        facts = []
        for need in needs:
            argument, _, attribute = need.rpartition("_")
            if need in known:
                continue
            if argument not in arguments or attribute not in _FACTS:
                raise GraphError(
                    f"{self.operation}: a gradient rule asks for '{need}', which is neither g, "
                    f"{', '.join(results)}, needed, an argument ({', '.join(arguments)}), nor its "
                    "_shape or _dtype"
                )
            facts.append((arguments.index(argument), _FACTS[attribute]))
            known.append(need)
        return facts, known


class RuleOfOne:
    """A rule that returns the gradient of one argument."""

    __slots__ = ("argument", "operation", "pick", "position", "rule")

    def __init__(
        self, operation: str, argument: str, position: int, rule: Rule, given: list[str]
    ) -> None:
        self.operation = operation
        self.argument = f"'{argument}'"
        self.position = position
        self.rule = rule
        self.pick = _picker([given.index(name) for name in _names_of(rule)])

    def run(self, places: Sequence[Any], given: tuple[Any, ...], useful: set[Any] | None) -> Pairs:
        place = places[self.position]
        if useful is not None and place not in useful:
            return ()
        try:
            return ((place, self.rule(*self.pick(given))),)
        except Exception as error:
            _tell(error, self)
            raise


class RuleInBlocks:
    """A rule for large halves: what it gives for blocks is computed as the tape takes it."""

    __slots__ = ("axes", "rule", "shape")

    def __init__(self, rule: RuleOfOne, shape: tuple[int, ...], axes: Any) -> None:
        self.rule = rule
        self.shape = shape  # of the result
        self.axes = axes  # of the argument, which are not cut

    def run(self, places: Sequence[Any], given: tuple[Any, ...], useful: set[Any] | None) -> Pairs:
        place = places[self.rule.position]
        if useful is not None and place not in useful:
            return ()
        arrays = self.rule.pick(given)
        if self.axes == ():
            return ((place, Later(self.rule.rule, arrays, self.shape)),)
        bound = bound_axes(self.axes, len(place.shape))
        if bound is None or len(bound) == len(place.shape):
            return self.rule.run(places, widened(given), useful)
        return ((place, Later(self.rule.rule, arrays, tuple(place.shape), bound)),)


class JointRule:
    """A rule that returns several gradients: of several arguments, or of the arrays of one.

    It is told which are `needed`, and gets None for what is saved for the others alone.
    """

    __slots__ = ("all_needed", "argument", "choose", "needed", "operation", "order", "pick", "rule")

    def __init__(
        self,
        operation: str,
        argument: str,
        rule: Rule,
        pick: Callable[[Sequence[Any]], tuple[Any, ...]],  # the places, from those of all arguments
        choose: Callable[[Sequence[Any]], Sequence[Any]] | None,  # their gradients, from all
        needed: Callable[[Iterable[bool]], tuple[bool, ...]],  # from whether each is wanted
        given: list[str],
        count: int | None = None,  # of places, if it is always the same
    ) -> None:
        self.operation = operation
        self.argument = argument
        self.rule = rule
        self.pick = pick
        self.choose = choose
        self.needed = needed
        self.all_needed = None if count is None else needed([True] * count)
        # what it asks for, among what is given, `needed` and None for what was not saved
        known = [*given, "needed"]
        asked = _names_of(rule)
        self.order = (
            None
            if asked == known
            else _picker([known.index(name) if name in known else len(known) for name in asked])
        )

    def run(self, places: Sequence[Any], given: tuple[Any, ...], useful: set[Any] | None) -> Pairs:
        mine = self.pick(places)
        wanted, needed = None, self.all_needed
        all_wanted = None not in mine if useful is None else useful.issuperset(mine)
        if not all_wanted:  # what is rarely so
            wanted = [x is not None and (useful is None or x in useful) for x in mine]
            if True not in wanted:
                return ()
            needed = self.needed(wanted)
        elif needed is None:
            needed = self.needed([True] * len(mine))
        order = self.order
        try:
            if order is None:
                gradients = self.rule(*given, needed)
            else:
                gradients = self.rule(*order((*given, needed, None)))
        except Exception as error:
            _tell(error, self)
            raise
        is_sequence = type(gradients) is tuple or isinstance(gradients, (tuple, list))
        if not is_sequence or len(gradients) != len(needed):
            returned = len(gradients) if is_sequence else gradients
            raise GraphError(
                f"{self.operation}: a gradient rule for {len(needed)} arrays returned "
                f"{returned if isinstance(returned, int) else type(gradients).__name__}, "
                "expected a gradient or None for each"
            )
        chosen = gradients if self.choose is None else self.choose(gradients)
        pairs = zip(mine, chosen)  # noqa: B905 (those of `mine` come first)
        return pairs if wanted is None else compress(pairs, wanted)


class NoRule:
    """In the place of a rule that nobody registered."""

    __slots__ = ("argument", "operation", "position")

    def __init__(self, operation: str, argument: str, position: int) -> None:
        self.operation = operation
        self.argument = argument
        self.position = position

    def run(self, places: Sequence[Any], _given: tuple[Any, ...], useful: set[Any] | None) -> Pairs:
        mine = places[self.position]
        if useful is not None and useful.isdisjoint(mine if type(mine) is tuple else (mine,)):
            return ()
        raise GraphError(
            f"{self.operation} has no gradient for its argument '{self.argument}'.\n"
            f"Register one with {self.operation}.gradient({self.argument}=...), or None where it "
            "is zero; or call detach() on what is passed in."
        )


def _of_arguments(registered: Rules, together: list[str], given: list[str]) -> JointRule:
    """The joint rule of an operation, where these of its arguments require a gradient."""
    rule, all_of_it = registered.joint, list(registered.needs)
    assert rule is not None  # noqa: S101 (some argument has it)
    make: Any = namedtuple("Needed", all_of_it)  # type: ignore[misc] # noqa: PYI024
    none = dict.fromkeys(all_of_it, False)

    def needed(wanted: Iterable[bool]) -> tuple[bool, ...]:
        found: tuple[bool, ...] = make(**none | dict(zip(together, wanted, strict=True)))
        return found

    pick = _picker([registered.arguments.index(name) for name in together])
    are_first = together == all_of_it[: len(together)]
    choose = None if are_first else _picker([all_of_it.index(name) for name in together])
    argument = ", ".join(map(repr, all_of_it))
    operation = registered.operation
    return JointRule(operation, argument, rule, pick, choose, needed, given, len(together))


def _of_a_sequence(
    operation: str, argument: str, position: int, rule: Rule, given: list[str]
) -> JointRule:
    """The rule of one argument that is a sequence of arrays; it has as many places."""
    return JointRule(operation, f"'{argument}'", rule, itemgetter(position), None, tuple, given)


def _tell(error: Exception, rule: RuleOfOne | JointRule) -> None:
    """Raise, in those terms, what a rule may have raised because it was given Tensors."""
    familiar = isinstance(error, (TypeError, AttributeError)) and not isinstance(error, LucidError)
    if mode.recording and (familiar or isinstance(error, GraphError)):
        raise GraphError(
            f"{rule.operation}: the gradient rule for {rule.argument} raised "
            f"{type(error).__name__}: {error}\n"
            "The gradient is itself being recorded (create_graph, gradcheck with order=2), and so "
            "the rule is given Tensors.\nCompute in it with operators and lucid's functions, such "
            "as lucid.exp, and take no values out of a Tensor."
        ) from error


def shape_of(value: Any) -> Any:
    """The shape of an array, () of a number, a list of them for a sequence."""
    shape = getattr(value, "shape", None)
    if shape is not None:
        return tuple(shape)
    return [shape_of(each) for each in value] if isinstance(value, (list, tuple)) else ()


_FACTS: dict[str, Callable[[Any], Any]] = {
    "shape": shape_of,
    "dtype": lambda value: getattr(value, "dtype", None),
}


def _picker(indices: Sequence[int]) -> Callable[[Any], tuple[Any, ...]]:
    """A function that picks these of a sequence's values, as a tuple."""
    if len(indices) > 1:
        return itemgetter(*indices)
    if indices:
        (only,) = indices
        return lambda values: (values[only],)
    return lambda _: ()


def _names_of(rule: Rule | None) -> list[str]:
    return [] if rule is None else list(inspect.signature(rule).parameters)
