"""What the names of a record's headers say: worked out once for each sequence of names, for producers repeat theirs."""

from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from operator import itemgetter
from typing import Final, TypeAlias

import msgspec

from processors.vocabulary import rules
from processors.vocabulary.limits import ATTRIBUTE_COUNT_MAX
from processors.vocabulary.signal import CONTENT_TYPE, PREFIX

Values: TypeAlias = tuple[bytes | None, ...]
"""The values of headers, in their order."""

_SHAPES_REMEMBERED_MAX: Final = 256
_NAMES_REMEMBERED_CHARACTERS_MAX: Final = 2_048
_DATACONTENTTYPE: Final = "datacontenttype"


class Shape(msgspec.Struct, frozen=True, gc=False):
    """Where the headers of a record hold attributes of its event."""

    content_type: int
    """The place of `content-type`, -1 without one."""
    ambiguous: bool
    """`content-type` occurs more than once."""
    has_attributes: bool
    """Whether there are `ce_*` headers."""
    attributes: tuple[str, ...]
    """The attributes' names in binary mode, `content-type` as `datacontenttype`."""
    pick: Callable[[Values], Values]
    """Returns their values from those of all headers."""
    twice: tuple[str, ...]
    """Attributes that occur more than once."""
    odd: bool
    """A name is not an attribute's, or there are too many."""


def shape_of(names: tuple[str, ...], characters: int) -> Shape:
    """Return the shape of headers with these names, which have so many characters together."""
    if characters > _NAMES_REMEMBERED_CHARACTERS_MAX:
        return _work_out(names)
    return _remembered(names)


def _work_out(names: tuple[str, ...]) -> Shape:
    places: list[int] = []
    attributes: list[str] = []
    content_type = -1
    for place, name in enumerate(names):
        if name == CONTENT_TYPE:
            content_type = place
            attributes.append(_DATACONTENTTYPE)
        elif name.startswith(PREFIX):
            attributes.append(name.removeprefix(PREFIX))
        else:
            continue
        places.append(place)
    return Shape(
        content_type=content_type,
        ambiguous=names.count(CONTENT_TYPE) > 1,
        has_attributes=any(name.startswith(PREFIX) for name in names),
        attributes=tuple(attributes),
        pick=_picker(places),
        twice=tuple(name for name, count in Counter(attributes).items() if count > 1),
        odd=len(attributes) > ATTRIBUTE_COUNT_MAX or not all(map(rules.is_name, attributes)),
    )


_remembered: Final = lru_cache(maxsize=_SHAPES_REMEMBERED_MAX)(_work_out)


def _picker(places: list[int]) -> Callable[[Values], Values]:
    if len(places) > 1:
        return itemgetter(*places)
    # itemgetter returns no tuple for a single place.
    return lambda values: tuple(values[place] for place in places)
