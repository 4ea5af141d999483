"""A glance that spares the search never says no where the search finds something."""

from hypothesis import given
from hypothesis import strategies as st

from processors.telemetry.trace import _SAMPLED_JSON, _plainly_not

PARENTS = st.builds(
    lambda flag, tail: b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-0" + flag + tail,
    st.sampled_from([b"0", b"1", b"2", b"3", b"e", b"f", b"x"]),
    st.sampled_from([b"", b"0", b"-more"]),
)
MEMBERS = st.builds(
    lambda blank, parent, close: b'"traceparent"' + blank + b'"' + parent + close,
    st.sampled_from([b":", b": ", b" :", b" : "]),
    PARENTS,
    st.sampled_from([b'"', b'",', b"", b'"}']),
)
VALUES = st.lists(MEMBERS | st.binary(max_size=20) | st.just(b'"data":{'), max_size=4).map(b"".join)


@given(VALUES)
def test_what_is_sampled_is_never_overlooked(value: bytes) -> None:
    if _SAMPLED_JSON.search(value):
        assert not _plainly_not(value)


@given(PARENTS.filter(lambda parent: len(parent) == 55 and parent[-1:] in b"02e"))
def test_what_is_not_is_mostly_seen_at_once(parent: bytes) -> None:
    assert _plainly_not(b'{"id":"1","traceparent":"' + parent + b'","data":{}}')
