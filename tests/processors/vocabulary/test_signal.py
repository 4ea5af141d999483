"""Attributes and data come out of a signal alike in both modes."""

import pytest

from processors.vocabulary.signal import attributes, data_of
from tests.processors.vocabulary.records import BASE, LEFT_OUT, accepted, binary, event, record


def test_attributes_are_unescaped_and_typed() -> None:
    value = event()[:-1] + b',"subject":"M\\u00fcn\\"","n":-5,"b":true,"gone":null,"retrycount":"3","data":{"x":1}}'
    assert attributes(accepted(value)) == {**BASE, "subject": 'Mün"', "n": -5, "b": True, "retrycount": 3}


def test_attributes_of_binary_mode_are_texts() -> None:
    made = binary(None, ("content-type", b"a/b"), ("x", b"1"), ("ce_gone", None), retrycount="3", n="5")
    assert attributes(accepted(made)) == {**BASE, "datacontenttype": "a/b", "retrycount": 3, "n": "5"}


def test_a_tenant_from_the_key_is_among_the_attributes() -> None:
    signal = accepted(record(event(tenantid=LEFT_OUT), (), b"acme"))
    assert attributes(signal)["tenantid"] == "acme"


@pytest.mark.parametrize(
    "member, data",
    [
        (b'"data":  {"a": 1.10}', b'{"a": 1.10}'),
        (b'"data":null', b"null"),
        (b'"data":"x"', b'"x"'),
        (b'"datacontenttype":"application/vnd.a+json; charset=utf-8","data":"x"', b'"x"'),
        (b'"datacontenttype":"TEXT/JSON","data":"x"', b'"x"'),
        (b'"datacontenttype":"text/xml","data":"<a b=\\"c\\"/>"', b'<a b="c"/>'),
        (b'"datacontenttype":"text/xml","data":{"a":1}', b'{"a":1}'),
        (b'"datacontenttype":null,"data":"x"', b'"x"'),
        (b'"data_base64":"Zm9vYg=="', b"foob"),
        (b'"data_base64":""', b""),
        (b'"data_base64":null', None),
        (b'"data_base64":null,"data":1', b"1"),
        (b'"subject":"no data"', None),
    ],
)
def test_data_as_its_content_type_has_it(member: bytes, data: bytes | None) -> None:
    assert data_of(accepted(event()[:-1] + b"," + member + b"}")) == data


@pytest.mark.parametrize("data", [None, b"", b"\xff", b'{"a":1}'])
def test_data_of_binary_mode_is_the_value(data: bytes | None) -> None:
    assert data_of(accepted(binary(data))) == data
