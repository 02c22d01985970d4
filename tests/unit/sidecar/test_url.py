import pytest

from carrier_sidecar.url import mask_userinfo, parse_url, split_host_port, unquote


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("http://localhost:9000", ("http", "localhost", 9000, "/", None, None)),
        ("HTTPS://Example.COM/a/b?c=d#frag", ("https", "example.com", 443, "/a/b?c=d", None, None)),
        ("http://h?x=1", ("http", "h", 80, "/?x=1", None, None)),
        ("http://[::1]:8080/x", ("http", "::1", 8080, "/x", None, None)),
        ("http://[::1]", ("http", "::1", 80, "/", None, None)),
        ("http://u:p%40w@h/", ("http", "h", 80, "/", "u", "p@w")),
        ("http://u@h/", ("http", "h", 80, "/", "u", None)),
        ("http://h:/", ("http", "h", 80, "/", None, None)),
        ("http://h/a b/é", ("http", "h", 80, "/a%20b/%C3%A9", None, None)),
        ("http://h/a@b", ("http", "h", 80, "/a@b", None, None)),
    ],
)
def test_urls_are_split(text: str, parts: tuple[object, ...]) -> None:
    url = parse_url(text)
    assert (url.scheme, url.host, url.port, url.target, url.user, url.password) == parts


@pytest.mark.parametrize(
    "text",
    ["", "localhost:9000", "ftp://h/", "http:/h", "http://", "http:///x", "http://:80/", "http://h:99999/", "http://h:x/",
     "http://h:-1/", "http://a b/", "http://::1/", "http://[::1/", "http://[::1]x/", "http://h/\n", "http://h\r\nx: y/",
     "http://[h]/", "http://u:p@/", "http://h:１/"],
)  # fmt: skip
def test_what_is_no_endpoint_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_url(text)
    assert not text or text not in str(caught.value)


def test_authority_leaves_out_the_schemes_own_port() -> None:
    assert parse_url("http://h:80/").authority == "h"
    assert parse_url("https://h:80/").authority == "h:80"
    assert parse_url("https://[fe80::1]/").authority == "[fe80::1]"


def test_a_printed_url_shows_no_password() -> None:
    assert str(parse_url("http://me:secret@h:81/a?b")) == "http://***@h:81/a?b"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("http://u:p/w@h:x", "http://***@h:x"),
        ("u:p@h", "***@h"),
        ("http://h/x", "http://h/x"),
        ("no url", "no url"),
        ("ftp://u:p@w@h", "ftp://***@h"),
    ],
)
def test_user_and_password_are_masked_in_texts_that_are_no_urls(text: str, masked: str) -> None:
    assert mask_userinfo(text) == masked


@pytest.mark.parametrize(
    ("text", "pair"),
    [(":9464", ("", 9464)), ("127.0.0.1:0", ("127.0.0.1", 0)), ("[::]:80", ("::", 80)), ("A:1", ("a", 1))],
)
def test_addresses_are_split(text: str, pair: tuple[str, int]) -> None:
    assert split_host_port(text) == pair


@pytest.mark.parametrize("text", ["9464", "h", "h:", "::1:80", "[::1]", "h:65536", "h:+1", "h: 1", "h/:1"])
def test_addresses_without_a_good_port_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        split_host_port(text)


@pytest.mark.parametrize(("text", "decoded"), [("a%20b", "a b"), ("%C3%A9", "é"), ("100%", "100%"), ("%zz%41", "%zzA")])
def test_percent_decoding_leaves_what_is_no_escape(text: str, decoded: str) -> None:
    assert unquote(text) == decoded
