"""A double of WeCom's API for mass messages to customer groups (developer.work.weixin.qq.com): errors come under HTTP 200.

What it answers is documented there, with these examples:

    /91039  {"errcode": 0, "errmsg": "ok", "access_token": "accesstoken000001", "expires_in": 7200}
    /92135  {"errcode": 0, "errmsg": "ok", "fail_list": ["wmqfasd1e1927831123109rBAAAA"],
             "msgid": "msgGCAAAXtWyujaWJHDDGi0mAAAA"}
    /93338  {"errcode": 0, "errmsg": "ok", "next_cursor": "CURSOR", "send_list": [{"chat_id":
             "wrOgQhDgAAMYQiS5ol9G7gK9JVAAAA", "userid": "zhangsan", "status": 1, "send_time": 1552536375}]}
    /97610  {"errcode": 0, "errmsg": "ok"}
    /90253  {"errcode": 0, "errmsg": "", "type": "image", "media_id": "1G6nrLmr5EC3MMb_-zK1dDdzmd0p7cNliYu9V5w7o8K0",
             "created_at": "1380000000"}
    /92120  {"errcode": 0, "errmsg": "ok", "group_chat_list": [{"chat_id": "wrOgQhDgAAMYQiS5ol9G7gK9JVAAAA",
             "status": 0}], "next_cursor": "tJzlB9tdqfh-g7i_J-ehOz_TWcd7dSKa39_AqCIeMFw"}

For customer groups, the result lists a group only once its owner has confirmed (/93338). Which code answers a fourth
reminder is not documented; 45009 is a guess.
"""

import re
import time
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from tests.doubles.double import Double

_DAY = 86_400
_MEGABYTE = 1024 * 1024


class WecomApiDouble(Double):
    """One company whose member `owner` owns `groups` and has `customers`.

    `tasks` has what waits for the owner: msgid, text, to, member, pictures, status (as in the result), reminders.
    `seen` has what members see: what `tap` let go.
    """

    def __init__(
        self,
        *,
        corp: str = "ww1",
        secret: str = "s3cret",
        owner: str = "zhangsan",
        groups: Sequence[str] = ("wrTAIPEI",),
        customers: Sequence[str] = ("wmu-7",),
        expires_in: int = 7200,
        page: int = 1000,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.corp, self.secret, self.owner = corp, secret, owner
        self.groups, self.customers = list(groups), list(customers)
        self.expires_in, self.page = expires_in, page
        self.tasks: dict[str, dict[str, Any]] = {}
        self.media: dict[str, str] = {}
        self.tokens: list[str] = []
        self.expired: set[str] = set()
        self.dispatching = False
        self.answers_everything: int | None = None  # an errcode for every call but gettoken

    def routes(self, app: web.Application) -> None:
        contact = "/cgi-bin/externalcontact"
        app.router.add_get("/cgi-bin/gettoken", self._gettoken)
        app.router.add_post("/cgi-bin/media/upload", self._upload)
        app.router.add_post(f"{contact}/add_msg_template", self.send)
        app.router.add_post(f"{contact}/get_groupmsg_send_result", self._result)
        app.router.add_post(f"{contact}/remind_groupmsg_send", self._remind)
        app.router.add_post(f"{contact}/groupchat/list", self._groups)
        app.router.add_get(f"{contact}/get_follow_user_list", self._followers)

    def tap(self, msgid: str, status: int = 1, *, send_time: int | None = None) -> None:
        """The owner confirms; the platform delivers (1), or does not: no customer any more (2), too many (3)."""
        task = self.tasks[msgid]
        task["status"], task["send_time"] = status, send_time or int(time.time())
        if status == 1:
            self.show(task["text"], member=task["member"], to=task["to"], pictures=task["pictures"])

    async def take(self, request: web.Request) -> web.StreamResponse:
        if (refused := self._refused(request)) is not None:
            return refused
        asked = await request.json()
        text = asked.get("text", {}).get("content", "")
        if asked.get("sender") != self.owner:
            return error(60111, "userid not found")
        if len(text.encode()) > 4000:
            return error(45002, "content size out of limit")
        files = asked.get("attachments", [])
        if not text and not files:
            return error(44004, "empty content")
        if len(files) > 9 or any(file.get("msgtype") != "image" for file in files):
            return error(41065, "invalid attachment type")
        pictures = [self.media.get(file["image"].get("media_id", "")) for file in files]
        if None in pictures:
            return error(40007, "invalid media_id")
        single = asked.get("chat_type", "single") == "single"
        targets = asked.get("external_userid" if single else "chat_id_list", [])
        known = [each for each in targets if each in (self.customers if single else self.groups)]
        if not known:
            return error(41048, "no customer to send")
        msgid = f"msgGCAAAX{len(self.tasks) + 1:04}"
        self.tasks[msgid] = {
            "msgid": msgid,
            "text": text,
            "to": None if single else known[0],
            "member": known[0].removeprefix("wm") if single else None,
            "key": known[0],
            "pictures": pictures,
            "status": 0,
            "reminders": [],
        }
        failed = [each for each in targets if each not in known]
        return ok(fail_list=failed, msgid=msgid)

    async def trouble(self, word: str, request: web.Request) -> web.StreamResponse:
        name, _, value = word.partition(":")
        if name == "errcode":
            return error(int(value), "as the test wants it")
        if name == "fail-list":
            return ok(fail_list=(await request.json())["chat_id_list"], msgid="")
        raise NotImplementedError(word)

    def _refused(self, request: web.Request) -> web.Response | None:
        token = request.query.get("access_token")
        if not token:
            return error(41001, "access_token missing")
        if token not in self.tokens:
            return error(40014, "invalid access_token")
        if token in self.expired:
            return error(42001, "access_token expired")
        return error(self.answers_everything, "refused") if self.answers_everything else None

    async def _gettoken(self, request: web.Request) -> web.Response:
        if request.query.get("corpid") != self.corp:
            return error(40013, "invalid corpid")
        if request.query.get("corpsecret") != self.secret:
            return error(40001, "invalid credential")
        self.tokens.append(f"accesstoken{len(self.tokens) + 1:06}{self.secret[-6:]}")
        return ok(access_token=self.tokens[-1], expires_in=self.expires_in)

    async def _upload(self, request: web.Request) -> web.Response:
        if (refused := self._refused(request)) is not None:
            return refused
        if request.query.get("type") != "image":
            return error(40005, "invalid type")
        file = (await request.post()).get("media")
        if not isinstance(file, web.FileField):
            return error(44001, "empty media data")
        content = file.file.read()
        if not re.search(r"\.(png|jpe?g)$", file.filename, re.IGNORECASE):
            return error(40123, "invalid image format")
        if not 5 < len(content) <= 10 * _MEGABYTE:
            return error(40009, "invalid image size")
        media = f"1G6nrLmr5EC3MMb_{len(self.media) + 1}"
        self.media[media] = file.filename
        return ok(type="image", media_id=media, created_at=str(int(time.time())))

    async def _result(self, request: web.Request) -> web.Response:
        if (refused := self._refused(request)) is not None:
            return refused
        if self.dispatching:
            return error(41063, "the message is being dispatched")
        asked = await request.json()
        if asked["msgid"] not in self.tasks:
            return error(41047, "invalid msgid")
        task = self.tasks[asked["msgid"]]
        entry = {"userid": self.owner, "status": task["status"]}
        entry["external_userid" if task["member"] else "chat_id"] = task["key"]
        if task["status"] == 1:
            entry["send_time"] = task["send_time"]
        hidden = task["to"] is not None and not task["status"]
        mine = asked.get("userid") == self.owner and not hidden
        return ok(next_cursor="", send_list=[entry] if mine else [])

    async def _remind(self, request: web.Request) -> web.Response:
        if (refused := self._refused(request)) is not None:
            return refused
        asked = await request.json()
        if asked["msgid"] not in self.tasks:
            return error(41047, "invalid msgid")
        reminders = self.tasks[asked["msgid"]]["reminders"]
        if sum(at > time.time() - _DAY for at in reminders) >= 3:
            return error(45009, "reach max api remind limit")
        reminders.append(time.time())
        return ok()

    async def _groups(self, request: web.Request) -> web.Response:
        if (refused := self._refused(request)) is not None:
            return refused
        asked = await request.json()
        mine = self.groups if self.owner in asked.get("owner_filter", {}).get("userid_list", []) else []
        start, size = int(asked.get("cursor") or 0), min(asked.get("limit", 1000), self.page)
        found = [{"chat_id": each, "status": 0} for each in mine[start : start + size]]
        return ok(group_chat_list=found, next_cursor=str(start + size) if start + size < len(mine) else "")

    async def _followers(self, request: web.Request) -> web.Response:
        return self._refused(request) or ok(follow_user=[self.owner, "lisi"])


def ok(**more: Any) -> web.Response:
    return web.json_response({"errcode": 0, "errmsg": "ok"} | more)


def error(code: int, message: str) -> web.Response:
    more = f"{message}, hint: [1584585651_79], more info at https://open.work.weixin.qq.com/devtool/query?e={code}"
    return web.json_response({"errcode": code, "errmsg": more})
