"""Values: classes that are frozen for the type checker, and cost no more than plain ones to make and to read.

`attrs.frozen` would refuse an assignment at run time, too. Its `__init__` has to get around that by way of the
instance's `__dict__`, and whatever has one that was asked for is slow to read from then on: a message took three times
as many instructions to make, and each of its fields four times as many to read.
"""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import attrs

__all__ = ["copy_with", "maker", "value"]

P = ParamSpec("P")
T = TypeVar("T")

if TYPE_CHECKING:
    from attrs import frozen as value
else:

    def value(cls=None, *, kw_only=False):
        """Make a class of immutable values, with equality and hash by its fields."""
        return attrs.define(cls, kw_only=kw_only, unsafe_hash=True)


def maker(cls: Callable[P, T]) -> Callable[P, T]:
    """Return a function that does what a call of a `value` class with keywords does, at half the cost.

    For what happens with each message: a call of a class gathers the keywords in a dict first. Compiled, as attrs
    compiles `__init__`.
    """
    kind: Any = cls
    fields = attrs.fields(kind)
    parameters = [f.name if f.default is attrs.NOTHING else f"{f.name}=_of_{f.name}" for f in fields]
    lines = [
        f"def make(*, {', '.join(parameters)}):",
        "    _made = _new(_cls)",
        *(f"    _made.{f.name} = {f.name}" for f in fields),
        "    return _made",
    ]
    defaults = {f"_of_{f.name}": f.default for f in fields}
    return _compiled(lines, _cls=cls, **defaults)


def copy_with(record: T, **changes: Any) -> T:
    """Return a copy of a value with others in these fields: what `attrs.evolve` does, at half the cost.

    Raises TypeError for a field that there isn't.
    """
    kind: Any = type(record)
    copied: T = _copier(kind)(record, **changes)
    return copied


@cache
def _copier(cls: type[Any]) -> Callable[..., Any]:
    names = [f.name for f in attrs.fields(cls)]
    lines = [
        f"def copy(_old, *, {', '.join(f'{name}=_KEPT' for name in names)}):",
        "    _made = _new(_cls)",
        *(f"    _made.{name} = _old.{name} if {name} is _KEPT else {name}" for name in names),
        "    return _made",
    ]
    return _compiled(lines, _cls=cls, _KEPT=object())


def _compiled(lines: list[str], **names: Any) -> Callable[..., Any]:
    names["_new"] = object.__new__
    before = names.keys() | {"__builtins__"}
    exec(compile("\n".join(lines), "<values>", "exec"), names)  # of names in this program's own text
    (made,) = [found for name, found in names.items() if name not in before]
    return made  # type: ignore[no-any-return]
