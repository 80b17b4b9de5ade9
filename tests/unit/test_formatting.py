"""What may be a link, and what deceives whoever follows it."""

import pytest

from chainloop_smtp.message.formatting import is_web


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/lakeside/harbour/actions/runs/42?a=b@c#d",
        "HTTP://ghe_1.example.com:8443",
        "http://[2001:db8::1]:80/x",
        "https://xn--bcher-kva.example/größe",
    ],
)
def test_an_address_of_the_web_is_a_link(url: str) -> None:
    assert is_web(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com@evil.example/",
        "https://github.com%2f@evil.example/",
        "https://jane:secret@example.com/",
        "https://gіthub.com/",
        "https://github.com\u200b.evil.example/",
        "https://github.com／x.evil.example/",
        "http\u017f://example.com/",
        "https:///example.com",
        "https://example.com/\u2028",
        "javascript:alert(1)//https://example.com",
        "//example.com",
        "https://example.com\\@evil.example",
        'https://example.com/"onclick="',
    ],
)
def test_what_hides_where_it_leads_is_none(url: str) -> None:
    assert not is_web(url)
