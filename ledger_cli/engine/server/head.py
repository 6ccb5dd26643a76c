"""Checks of a request's head: another reader must understand it in the same way, and no web page may have sent it."""

import re
from collections.abc import Container
from email.message import Message

from ledger_cli.engine.server.errors import CODED, NOT_FOR_PAGES, NOT_HTTP_1_1, bad_request

HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
"""A header's value as ISO 8859-1, on one line. Source: RFC 9110, 5.1 and 5.5."""

FROM_A_PERSON = "none"
"""`Sec-Fetch-Site` of a request that a person makes, and not a page. Source: W3C, Fetch Metadata Request Headers."""


def check_head(version: str, path: str, headers: Message, authorities: Container[str]) -> None:
    """Check a head. Source: RFC 9112, 2.2, 3.2 and 5.

    Args:
        version: the version of HTTP.
        path: the target of the request.
        headers: the headers as http.client has parsed them.
        authorities: the server's own names, each with its port.

    Raises:
        RequestError: the head has another form, a web page may have sent it, or the body is encoded.
    """
    # A line that http.client does not understand ends the headers for it.
    cut = headers.defects or headers.get_payload() or headers.get_unixfrom()
    if cut or not all(HEADER_NAME.fullmatch(name) and HEADER_VALUE.fullmatch(value) for name, value in headers.items()):
        raise bad_request("a line of the head is not a header")
    hosts = headers.get_all("Host", [])
    if version < "HTTP/1.1":
        raise NOT_HTTP_1_1
    if len(hosts) != 1:
        raise bad_request("a request has one Host")
    if len(headers.get_all("X-Amz-Target", [])) > 1:
        raise bad_request("a request has one X-Amz-Target")
    if not path.startswith("/"):
        raise bad_request("the target is not a path")
    if hosts[0].strip(" \t").lower() not in authorities or _is_from_a_page(headers):
        raise NOT_FOR_PAGES
    codings = ",".join(headers.get_all("Content-Encoding", ["identity"])).split(",")
    if {coding.strip(" \t").lower() for coding in codings} != {"identity"}:
        raise CODED


def _is_from_a_page(headers: Message) -> bool:
    """Return whether a browser says that a page sent the request. Source: Fetch Standard, 3.2 (Origin)."""
    return "Origin" in headers or not {FROM_A_PERSON}.issuperset(headers.get_all("Sec-Fetch-Site", []))
