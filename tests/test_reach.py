"""Which addresses this machine may be made to call (server-side request forgery, OWASP), in every spelling.

The cases follow the cheat sheet of cheatsheetseries.owasp.org and the metadata addresses that clouds document.
"""

import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from drumroll.channels.answer import Answer, Broken
from drumroll.channels.base import SendError
from drumroll.channels.http_post import Poster, _Resolver
from drumroll.channels.reach import Reach, is_loopback
from drumroll.channels.web_address import public_address, web_address
from tests.channel_messages import message
from tests.doubles.double import Double
from tests.opened_channels import opened

PRIVATE = """
127.0.0.1 127.255.255.254 ::1 10.0.0.1 172.16.0.1 192.168.1.1 100.64.0.1 198.18.0.1 192.0.0.170 240.0.0.1
255.255.255.255 224.0.0.1 0.1.2.3 fc00::1 fd12::1 fec0::1 ff02::1 2001:db8::1 100::1 2130706433 0x7f000001 0x7f.1
0x7F.0.0.1 017700000001 0177.0.0.1 127.1 127.0.1 0x0a000001 3232235777 127.0.0.1. 2130706433. ::ffff:127.0.0.1
::ffff:7f00:1 ::ffff:10.0.0.1 ::127.0.0.1 ::ffff:0:127.0.0.1 64:ff9b::127.0.0.1 64:ff9b::10.0.0.1 64:ff9b:1::a00:1
2002:7f00:1:: 2002:a00:1:: 2001:0:7f00:1:: [::1]
"""
METADATA = """
169.254.169.254 169.254.0.1 fe80::1 fe80::1%eth0 fd00:ec2::254 100.100.100.200 192.0.0.192 168.63.129.16 0.0.0.0 ::
::ffff:169.254.169.254 64:ff9b::a9fe:a9fe 2002:a9fe:a9fe:: ::169.254.169.254 2852039166 0xa9fea9fe
0251.0376.0251.0376 169.254.43518 ::ffff:100.100.100.200 1684301000 64:ff9b::100.100.100.200 0
"""
PUBLIC = """
1.1.1.1 93.184.216.34 2606:4700::1111 ::ffff:1.1.1.1 64:ff9b::1.1.1.1 2002:101:101:: 16843009
"""


class Sink(Double):
    """Answers 200 to whatever comes; `requests` says whether anything did."""

    def routes(self, app: web.Application) -> None:
        app.router.add_route("*", "/{path:.*}", self.send)

    async def take(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"id": "1"})

    async def trouble(self, word: str, request: web.Request) -> web.StreamResponse:
        status, _, place = word.partition(" ")
        return web.Response(status=int(status), headers={"Location": place})


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    async with Sink() as double:
        yield double


async def asked(url: str, *private: str) -> Answer | Broken:
    poster = Poster(concurrency=1, timeout=2, reach=Reach(frozenset(private)))
    try:
        return await poster.request("POST", url, b"{}")
    finally:
        await poster.close()


def names(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Every name leads to these addresses, as the machine's own resolver would say it."""

    def getaddrinfo(host, port, *_, **__):
        families = {False: socket.AF_INET, True: socket.AF_INET6}
        return [
            (families[":" in each], socket.SOCK_STREAM, 6, "", (each, port, 0, 0)[: 4 if ":" in each else 2])
            for each in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize("address", PRIVATE.split())
def test_a_private_address_is_called_only_when_its_host_is_listed(address):
    assert not Reach().allows(address, address)
    assert not Reach(frozenset({"other.example"})).allows("bridge.internal", address)
    assert Reach(frozenset({"bridge.internal"})).allows("bridge.internal", address)


@pytest.mark.parametrize("address", METADATA.split())
def test_where_clouds_answer_with_credentials_nobody_calls(address):
    assert not Reach(frozenset({address, "bridge.internal"})).allows("bridge.internal", address)
    assert not Reach(frozenset({address})).allows(address, address)


@pytest.mark.parametrize("address", PUBLIC.split())
def test_the_public_internet_may_be_called(address):
    assert Reach().allows("a.example", address)


@pytest.mark.parametrize("name", ["a.example", "localhost.example", "10.example", "0x7f.example", "公.example"])
def test_a_name_is_decided_by_what_it_leads_to(name):
    assert Reach().allows(name, name)


@pytest.mark.parametrize("listed", ["bridge.internal", " Bridge.Internal. ", "bridge.internal,10.0.0.9"])
def test_the_operator_lists_names_as_they_are_written(listed):
    reach = Reach.of({"DRUMROLL_PRIVATE_HOSTS": listed})
    assert reach.allows("BRIDGE.internal.", "10.0.0.9")
    assert not reach.allows("evil.example", "10.0.0.9")


def test_an_empty_list_allows_nothing():
    assert not Reach.of({"DRUMROLL_PRIVATE_HOSTS": " , "}).allows("", "10.0.0.9")
    assert not Reach.of({}).allows("localhost", "127.0.0.1")


SPELLINGS = [
    "127.0.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "127.1",
    "127.0.0.1.",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "127。0。0。1",
    "１２７.0.0.1",
    "①②⑦.⓪.⓪.①",
    "public@127.0.0.1",
    "public.example:80@127.0.0.1",
    "localhost",
    "LOCALHOST",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_loopback_is_not_called_however_it_is_spelt(sink, spelling):
    outcome = await asked(f"http://{spelling}:{sink.port}/")
    assert isinstance(outcome, Broken)
    assert (outcome.refused, sink.requests) == (True, 0)


@pytest.mark.parametrize(
    "url", ["http://a\\@127.0.0.1/", "http://loc\u00adalhost/", "http://[::1/", "http:///x", "http://"]
)
async def test_what_is_no_address_is_called_by_nobody(url):
    assert isinstance(await asked(url), Broken)


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://1.1.1.1/", "ws://1.1.1.1/", "gopher://1.1.1.1/", "unix:///run/x"]
)
async def test_no_other_scheme_is_spoken(url):
    outcome = await asked(url)
    assert isinstance(outcome, Broken)
    assert outcome.refused
    for check in (web_address, public_address):
        with pytest.raises(ValueError, match="not a web address"):
            check(url)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "fd00:ec2::254", "::ffff:127.0.0.1"])
async def test_a_name_that_leads_to_a_private_address_is_refused(sink, monkeypatch, address):
    names(monkeypatch, address)
    outcome = await asked(f"http://rebound.example:{sink.port}/")
    assert isinstance(outcome, Broken)
    assert (outcome.refused, outcome.connected, sink.requests) == (True, False, 0)


async def test_of_a_names_addresses_only_those_that_may_be_called_are_tried(monkeypatch):
    """A name server that mixes a private address in gets no connection to it."""
    names(monkeypatch, "127.0.0.1", "93.184.216.34", "::1")
    assert [each["host"] for each in await _Resolver(Reach()).resolve("mixed.example", 80)] == ["93.184.216.34"]


async def test_a_private_name_that_is_listed_is_called(sink, monkeypatch):
    names(monkeypatch, "127.0.0.1")
    assert isinstance(await asked(f"http://bridge.internal:{sink.port}/", "bridge.internal"), Answer)
    assert sink.requests == 1


async def test_a_listed_name_that_is_turned_to_a_clouds_credentials_is_refused(monkeypatch):
    names(monkeypatch, "169.254.169.254")
    outcome = await asked("http://bridge.internal/", "bridge.internal")
    assert isinstance(outcome, Broken)
    assert outcome.refused


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(sink, status):
    async with Sink() as inner:
        sink.then = f"{status} {inner.url}/secret"
        outcome = await asked(sink.url, "127.0.0.1")
        assert isinstance(outcome, Answer)
        assert (outcome.status, sink.requests, inner.requests) == (status, 1, 0)


async def sent_to(url: str, environ: dict[str, str]) -> SendError | None:
    """What becomes of a message to a webhook there."""
    async with opened("webhook", {"DRUMROLL_PRIVATE_HOSTS": ""} | environ, url=url) as channel:
        try:
            await channel.send(message())
        except SendError as error:
            return error
    return None


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_webhook_may_name_this_machine_itself(sink, host):
    assert await sent_to(f"http://{host}:{sink.port}/x", {}) is None
    assert sink.requests == 1


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1", "[::ffff:127.0.0.1]", "127。0。0。1"])
async def test_a_webhook_may_not_hide_that_it_does(sink, host):
    error = await sent_to(f"http://{host}:{sink.port}/x", {})
    assert error is not None
    assert (error.kind, "DRUMROLL_PRIVATE_HOSTS" in str(error), sink.requests) == ("permanent", True, 0)


async def test_a_webhook_to_a_private_name_needs_the_operators_word(sink, monkeypatch):
    names(monkeypatch, "127.0.0.1")
    url = f"http://bridge.internal:{sink.port}/x"
    error = await sent_to(url, {})
    assert error is not None
    assert (error.kind, "leads to a private address" in str(error)) == ("permanent", True)
    assert await sent_to(url, {"DRUMROLL_PRIVATE_HOSTS": "bridge.internal"}) is None


@pytest.mark.parametrize(
    ("host", "is_one"),
    [("127.0.0.1", True), ("LOCALHOST", True), ("[::1]", True), ("localhost.example", False), ("10.0.0.1", False)],
)
def test_this_machine_is_known_by_its_plain_names_alone(host, is_one):
    assert is_loopback(host) == is_one
