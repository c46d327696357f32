"""What WeCom's channels with an app share: the access token, lists in pages, and errors under HTTP 200.

Sources: developer.work.weixin.qq.com/document/path/91039 (tokens), /90313 (error codes), /90312 (rates).
"""

import asyncio
import time
from typing import Any
from urllib.parse import quote, urlencode

from drumroll.channels.answer import sensible_wait
from drumroll.channels.base import Attachment, Kind, Recipient
from drumroll.channels.credentials import fingerprint, token_like
from drumroll.channels.file_form import file_form
from drumroll.channels.platform import PlatformChannel, Said

_STALE_TOKEN = frozenset({40014, 42001})  # "WeCom may end a token early": a new one is fetched, once
_DISPATCHING = 41063
_AT_ONCE = 300  # entries of a list: all of a page fit into what is read of an answer
_MOST_PAGES = 100
_LIMITED = frozenset({45009, 45033})
_BUSY = frozenset({-1, 6000})  # documented as "try again a little later": nothing was created
_REMEDIES = {
    40001: "see whether `secret_env` holds the secret of an app of this company",
    40003: "see whether `sender` is the userid of a member",
    40007: "the picture has expired; send it again",
    40009: "make the picture smaller",
    40013: "see whether `corp_id_env` holds the company's id (ww…)",
    40091: "see whether `secret_env` holds the secret of an app of this company",
    40096: "see whether this is a customer's id of this company",
    40098: "the sender has to verify their identity in WeCom first",
    40123: "send the picture as JPG or PNG",
    41047: "WeCom does not know this message any more; look into the group, then tick it off or resolve it",
    41048: "the sender owns no such group, or it takes no more mass messages",
    41064: "make the picture smaller",
    41065: "send the picture as JPG or PNG",
    45001: "make the picture smaller",
    45002: "shorten the text",
    48002: "let the app call customer contact 客户联系, in the admin console under its APIs",
    48006: "the company did not use the app for long; enable it again",
    49008: "the group was dissolved; take it out of the launch",
    50003: "the app is disabled; enable it in the admin console",
    60011: "put the sender into what the app may see",
    60020: "list this machine's address among the app's trusted IPs, in the admin console",
    60111: "see whether `sender` is the userid of a member",
    84061: "they are no customer of the sender any more",
    90501: "this is no customer group; take its chat id from the list of customer groups",
    90502: "the group's owner has left the company; hand the group to another member",
    92000: "put the sender into what the app may see",
}


class WecomApiChannel(PlatformChannel):
    """Calls WeCom's API as one app of one company; options have `corp_id_env` and `secret_env`."""

    title = "WeCom"
    host = "https://qyapi.weixin.qq.com"

    def _read_credentials(self) -> tuple[str, ...]:
        self._corp = self._credential(self._options.corp_id_env, token_like)
        self._secret = self._credential(self._options.secret_env, token_like)
        self._token, self._token_ends, self._fetching = "", 0.0, asyncio.Lock()
        return (self._corp, self._secret)

    def bucket(self, to: Recipient) -> str:  # noqa: ARG002 - one app for every group
        """The app pays."""
        return f"wecom:{fingerprint(self._corp, self._secret)}"

    async def _access(self, to: Recipient | None) -> str:
        """The access token, fetched where there is none or its time is over."""
        async with self._fetching:
            if time.monotonic() >= self._token_ends:
                query = urlencode({"corpid": self._corp, "corpsecret": self._secret})
                said = await self._ask_for(f"/cgi-bin/gettoken?{query}", to, method="GET")
                self._judge(said, to)
                lasts = sensible_wait(said.body.get("expires_in")) or 0.0
                self._token, self._token_ends = str(said.body.get("access_token")), time.monotonic() + lasts
                self._secrets = (self._corp, self._secret, self._token)
        return self._token

    async def _call(
        self, path: str, to: Recipient | None, body: Any = None, *, method: str = "POST", asks: bool = True
    ) -> Said:
        """`_answer`, which has to be a yes. Raises SendError."""
        said = await self._answer(path, to, body, method=method, asks=asks)
        self._judge(said, to, asks=asks)
        return said

    async def _answer(
        self, path: str, to: Recipient | None, body: Any = None, *, method: str = "POST", asks: bool = True
    ) -> Said:
        """One call with a token, with a new one where WeCom ended the old one early. `asks`: it sends nothing."""
        token = await self._access(to)
        with_token = f"{path}{'&' if '?' in path else '?'}access_token="
        said = await self._ask_for(with_token + quote(token), to, body, method=method, asks=asks)
        if said.body.get("errcode") in _STALE_TOKEN:
            if token == self._token:  # else another call has fetched a new one meanwhile
                self._token_ends = 0.0
            again = with_token + quote(await self._access(to))
            said = await self._ask_for(again, to, body, method=method, asks=asks)
        return said

    async def _ask_for(
        self, path: str, to: Recipient | None, body: Any = None, *, method: str, asks: bool = True
    ) -> Said:
        if isinstance(body, Attachment):  # made anew for each request, which uses it up
            body = file_form({"media": body}, content_type="application/octet-stream")
        return await self._ask(method, path, to=to, body=body, asks=asks)

    def _judge(self, said: Said, to: Recipient | None, *, asks: bool = True) -> None:
        """Raises SendError unless WeCom said yes: under HTTP 200 as well, its `errcode` tells."""
        code, words = said.body.get("errcode"), str(said.body.get("errmsg", ""))
        if code == 0:
            return
        if not isinstance(code, int):
            raise self._strange(said, to, asks=asks)
        kind: Kind = "limited" if code in _LIMITED else "transient" if code in _BUSY else "permanent"
        known = _REMEDIES.get(code, f"see open.work.weixin.qq.com/devtool/query?e={code}")
        remedy = known if kind == "permanent" else "it waits" if kind == "limited" else "it is tried again"
        raise self._error(to, f"answered {code}", kind=kind, words=words, remedy=remedy)

    async def _find(
        self, path: str, to: Recipient, wanted: dict[str, Any], of: str, field: str, key: str | None
    ) -> dict[str, Any] | None:
        """The entry of a list in pages whose `field` is `key`; None when there is none, or no list yet."""
        cursor = ""
        for _ in range(_MOST_PAGES):
            body = wanted | {"limit": _AT_ONCE} | ({"cursor": cursor} if cursor else {})
            said = await self._answer(path, to, body)
            if said.body.get("errcode") == _DISPATCHING:
                return None
            self._judge(said, to)
            for entry in said.body.get(of) or ():
                if entry.get(field) == key:
                    return dict(entry)
            cursor = str(said.body.get("next_cursor") or "")
            if not cursor:
                return None
        return None
