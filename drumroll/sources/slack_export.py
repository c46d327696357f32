"""Slack's own export: a folder per channel, a JSON file per day, `users.json`; or the zip of it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from drumroll.activity import Event, EventKind, Person
from drumroll.errors import SourceError
from drumroll.sources.base import Export
from drumroll.sources.slack_files import SlackFiles, slack_files
from drumroll.sources.text import is_plain
from drumroll.sources.times import from_epoch

_MESSAGES = frozenset({"", "me_message", "file_share", "file_comment", "thread_broadcast", "bot_message"})
_JOINS = frozenset({"channel_join", "group_join"})
_LEAVES = frozenset({"channel_leave", "group_leave"})
_SLACKBOT = "USLACKBOT"  # users.json calls it a person


class SlackExport:
    """Reads a Slack export.

    What counts, by Slack's message subtypes (https://docs.slack.dev/reference/events/message):

    - A *message* is a line in which somebody says or shows something: no subtype, `me_message`, `file_share`,
      `file_comment`, `thread_broadcast` (a reply shown in the channel as well: one line, one message), `bot_message`.
    - A *join* or *leave* is `channel_join`/`group_join` or `channel_leave`/`group_leave`.
    - Every other subtype is a service line that Slack wrote about an act (topic, purpose, name, archive, pin, bot
      added, reminder, huddle, a deleted message's tombstone, the old `reply_broadcast` pointer to a reply that stands
      in its own line) and is no event; nor is a line marked `hidden`. Subtypes of the future fall in here.
    - A *reaction* is one user with one emoji on one line, service lines included, since reacting is the member's own
      act. Reactions on file objects are not counted: the same file is repeated in every line that mentions it. The
      export does not say when somebody reacted; the reaction takes the time of the line it is on.

    Who: `user`; in a `file_comment` without one, `comment.user`. A message is a bot's when its subtype is
    `bot_message` or its `bot_id` is set (`"bot_id": null` is a person's); it belongs to the bot's own user where
    `users.json` knows that as a bot, else to the `bot_id`, so that an app posting in a person's name never makes that
    person a bot. A service line's `bot_id` says nothing about its user.

    Ids are `<channel>/<ts>`, then `/join`, `/leave` or `/reaction/<emoji>/<user>`; `ts` is unique in its channel.
    `<channel>` is the id in `channels.json`, which survives a renaming, else the folder's name; `Event.group` is always
    the folder's name.
    """

    def read(self, path: Path, *, zone: ZoneInfo) -> Export:  # noqa: ARG002 - Slack's times are epoch seconds
        """Everything in the export at `path` (folder or zip). SourceError names the file and the message in it."""
        with slack_files(path) as files:
            return _Reading(files).export()


class _Reading:
    def __init__(self, files: SlackFiles) -> None:
        self._files = files
        self._people = {person.id: person for person in map(_person, files.records("users.json")) if person.id}
        self._ids = {
            str(item.get("name")): str(item["id"])
            for name in ("channels.json", "groups.json", "mpims.json")
            for item in files.records(name)
            if item.get("id") and is_plain(str(item["id"]))
        }

    def export(self) -> Export:
        events: dict[str, Event] = {}
        for channel, day in self._files.days:
            name = f"{channel}/{day}"
            if not is_plain(channel):
                raise SourceError("a channel folder's name is not text", where=repr(name), remedy="rename it")
            for number, line in enumerate(self._files.records(name), start=1):
                where = f"{self._files.where(name)}: message {number}"
                for event in self._events(channel, line, where):
                    events.setdefault(event.id, event)
        ordered = sorted(events.values(), key=lambda event: (event.at, event.id))
        return Export(people=tuple(self._people[key] for key in sorted(self._people)), events=tuple(ordered))

    def _events(self, channel: str, line: dict[str, Any], where: str) -> Iterator[Event]:
        if line.get("type", "message") != "message" or line.get("hidden"):
            return
        subtype = line.get("subtype") or ""
        try:
            at = from_epoch(str(line.get("ts")))
        except ValueError as error:
            raise SourceError(f"ts: {error}", where=where, remedy="export it again") from error
        prefix = self._ids.get(channel, channel)
        here = f"{prefix}/{line['ts']}"

        def event(kind: EventKind, ending: str, member: str, reply_to: str | None = None) -> Event:
            return Event("slack", here + ending, kind, at, channel, self._met(member, where), reply_to)

        if subtype in _MESSAGES:
            thread = line.get("thread_ts") or line["ts"]
            parent = f"{prefix}/{thread}" if thread != line["ts"] and is_plain(str(thread)) else None
            yield event("message", "", self._author(line, subtype, where), parent)
        elif subtype in _JOINS:
            yield event("join", "/join", _user(line, where))
        elif subtype in _LEAVES:
            yield event("leave", "/leave", _user(line, where))
        for emoji, user in _reactions(line, where):
            yield event("reaction", f"/reaction/{emoji}/{user}", user, here)

    def _author(self, line: dict[str, Any], subtype: str, where: str) -> str:
        user = line.get("user")
        bot = line.get("bot_id")
        if subtype != "bot_message" and not bot:
            return _user(line, where)
        if isinstance(user, str) and user in self._people and self._people[user].is_bot:
            return user
        profile = line.get("bot_profile")
        name = line.get("username") or (profile.get("name") if isinstance(profile, dict) else None)
        member = str(bot or f"bot:{name or 'unnamed'}")
        self._people[member] = Person(member, name=_name(name), is_bot=True)
        return member

    def _met(self, member: str, where: str) -> str:
        if not is_plain(member):
            raise SourceError("a user id that is not text", where=where, remedy="export it again")
        person = self._people.setdefault(member, Person(member))
        if member == _SLACKBOT:
            self._people[member] = replace(person, is_bot=True)
        return member


def _user(line: dict[str, Any], where: str) -> str:
    comment = line.get("comment")
    user = line.get("user") or (comment.get("user") if isinstance(comment, dict) else None)
    if not user or not isinstance(user, str):
        raise SourceError("a line without a user", where=where, remedy="export it again, or remove this line")
    return user


def _reactions(line: dict[str, Any], where: str) -> Iterator[tuple[str, str]]:
    wrong = SourceError("reactions are not as Slack writes them", where=where, remedy="export it again")
    reactions = line.get("reactions") or []
    if not isinstance(reactions, list):
        raise wrong
    for reaction in reactions:
        if not isinstance(reaction, dict) or not isinstance(users := reaction.get("users"), list):
            raise wrong
        emoji = reaction.get("name")
        for user in users:
            if not (isinstance(emoji, str) and isinstance(user, str) and is_plain(emoji)):
                raise wrong
            yield emoji, user


def _person(record: dict[str, Any]) -> Person:
    profile = record.get("profile")
    profile = profile if isinstance(profile, dict) else {}
    names = (profile.get("display_name"), profile.get("real_name"), record.get("real_name"), record.get("name"))
    identity = str(record.get("id") or "")
    return Person(
        id=identity if is_plain(identity) else "",
        name=_name(next((name for name in names if name), "")),
        is_bot=bool(record.get("is_bot")) or identity == _SLACKBOT,
    )


def _name(value: Any) -> str:
    return value if isinstance(value, str) and is_plain(value) else ""
