"""Ways to change a sound launch so that it stays sound. As in mutations.py, `pick` of nothing: there is no such place."""

import re
from collections.abc import Callable, Sequence
from datetime import timedelta

from tests.drafts import Draft, is_content, quoted

Edit = Callable[[Draft, Callable[[Sequence], object]], None]
EDITS: dict[str, Edit] = {}
WORDS = ["a teapot", "茶壺的蓋子", "100 % of <b>it</b> & 'that'", "naïve — ok? \\o/", "🫖", "[link](x) *star* _line_"]


def sound(change: Edit) -> Edit:
    EDITS[change.__name__] = change
    return change


def _new_id(draft: Draft, pick: Callable[[Sequence], object]) -> str:
    return pick([name for name in (f"extra-{n}" for n in range(9)) if name not in draft.text])


@sound
def another_opening_date(draft, pick):
    clock = draft.value("opens").strip('"').split()[1]
    date = f"{pick(range(2024, 2040))}-{pick(range(1, 13)):02d}-{pick(range(1, 29)):02d}"
    draft.set(("opens",), quoted(f"{date} {clock}"))


@sound
def another_zone(draft, pick):
    zones = ["UTC", "Asia/Tokyo", "Europe/London", "America/Los_Angeles", "Pacific/Auckland", "Asia/Kathmandu"]
    draft.set(("timezone",), pick(zones))


@sound
def another_name(draft, pick):
    name, old = pick(["kettle", "a-2", "under_score"]), draft.value("name")
    draft.set(("name",), name)
    draft.templates = {path.replace(f"/{old}/", f"/{name}/", 1): source for path, source in draft.templates.items()}


@sound
def another_step_id(draft, pick):
    path = (*pick(draft.example.spots).path, "id")
    old, new = draft.value(*path), f"step-{pick(range(1_000))}-{path[3]}-{path[1].replace('_', '-')}"
    draft.set(path, new)
    draft.templates = {
        name.replace(f"/{path[1]}/{old}.md.j2", f"/{path[1]}/{new}.md.j2"): source
        for name, source in draft.templates.items()
    }


@sound
def another_group_id(draft, pick):
    path = ("community", "groups", pick(range(len(draft.example.launch.community.groups))), "id")
    old, new = draft.value(*path), f"room-{path[2]}-{pick(range(1_000))}"
    for number in draft.block("phases"):
        if re.match(r"\s+to: ", draft.lines[number]):
            draft.lines[number] = re.sub(rf"(?<![\w-]){re.escape(old)}(?![\w-])", new, draft.lines[number])
    draft.set(path, new)


@sound
def one_more_group(draft, pick):
    channels = draft.example.launch.community.channels
    channel = pick([name for name, spec in channels.items() if spec.kind != "hand_off"])  # an hour has room for so many
    item = f"{{id: {_new_id(draft, pick)}, name: {quoted(pick(WORDS))}, channel: {channel}, cap: 3}}"
    draft.insert_items(("community", "groups", pick([0, 99])), [item])


@sound
def one_more_of_the_team(draft, pick):
    role = pick(["host", "operator", "support", "engineer", "bot"])
    draft.insert_items(("team", "staff", 99), [f"{{name: {quoted(pick(WORDS))}, role: {role}}}"])


@sound
def a_fact_that_nobody_tells(draft, pick):
    draft.add(
        ("facts",), f"spare_{pick(range(1_000))}", pick([quoted(pick(WORDS)), '{at: "T+3h"}', '{at: "D-2 07:00"}'])
    )


@sound
def one_more_prompt(draft, pick):
    spot = pick(draft.example.spots[1:])
    draft.templates[f"{draft.example.locale}/extra.md.j2"] = pick(
        ["And you?", "你呢？{{ opens | when }}", "{{ left }}?"]
    )
    item = f"{{id: {_new_id(draft, pick)}, at: {draft.value(*spot.path, 'at')}, kind: prompt, template: extra}}"
    draft.insert_items((*spot.path[:-1], 99), [item])


@sound
def another_moment_within_its_room(draft, pick):
    order = draft.example.in_time
    clocks = [place for place in range(1, len(order) - 1) if ":" in draft.value(*order[place].path, "at")]  # no T-2h
    place = pick(clocks)
    before, step, after = (spot.planned for spot in order[place - 1 : place + 2])
    path, phase = order[place].path, draft.example.plan.phase(step.phase)
    day, hour, minute = re.fullmatch(r"""["'](.*) (\d\d):(\d\d)["']""", draft.value(*path, "at")).groups()
    room = []
    for shift in {*range(-5, 6)} - {0}:
        due, minutes = step.due + timedelta(minutes=shift), int(hour) * 60 + int(minute) + shift
        in_phase = phase.starts <= due <= phase.gate_at and due < (step.counts_to or after.due)
        if before.due < due < after.due and in_phase and 8 * 60 <= minutes < 23 * 60 + 30:
            room.append(f'"{day} {minutes // 60:02d}:{minutes % 60:02d}"')
    draft.set((*path, "at"), pick(room))


@sound
def another_topic(draft, pick):
    path = pick([spot.path for spot in draft.example.spots if spot.step.topic])
    draft.set((*path, pick([key for key in ("topic", "mystery") if draft.has(*path, key)])), quoted(pick(WORDS)))


@sound
def another_goal(draft, pick):
    draft.set(("phases", pick(list(draft.example.launch.phases)), "goal"), quoted(pick(WORDS)))


@sound
def more_words(draft, pick):
    template = pick(draft.example.spots).planned.template
    more = ["\nOne more line.", "\n{# not for members #}", "\n{{ '{' }}{ x", "\n\t", "\r\nA line.\r\n", "\n多一句。"]
    if template in draft.templates:  # a step may have been renamed
        draft.templates[template] += pick(more)


@sound
def comments_and_blank_lines(draft, pick):
    for _ in range(pick([1, 2, 5])):
        line = pick(range(1, len(draft.lines)))
        draft.lines.insert(line, pick(["", "   ", "# a comment", "          # phases: {at: no}", "#"]))


@sound
def keys_in_another_order(draft, pick):
    path = pick(draft.example.spots).path
    where = draft.block(*path)
    keys = [key for key in ("kind", "at", "topic", "keeps", "serial", "segment") if draft.has(*path, key)]
    key = pick(keys)
    line = draft.lines[draft.block(*path, key).start]
    draft.remove(*path, key)
    draft.lines.insert(where.stop - 1, line)


@sound
def parts_in_another_order(draft, pick):
    part = pick([part for part in ("fit", "persona", "facts", "promises", "product", "team") if draft.has(part)])
    where = draft.block(part)
    lines = draft.lines[where.start : where.stop]
    del draft.lines[where.start : where.stop]
    draft.lines += lines


@sound
def quotes_of_another_kind(draft, pick):
    path = (*pick(draft.example.spots).path, "at")
    draft.set(path, draft.value(*path).replace('"', "'"))


@sound
def line_ends_of_another_kind(draft, pick):
    draft.ending = pick(["\r\n", "\r"])


@sound
def the_right_number(draft, pick):
    spot = pick(draft.example.serial)
    draft.add(spot.path, "number", str(spot.planned.number))


@sound
def more_generous_limits(draft, pick):
    draft.add(("team",), "hand_offs_per_hour", str(pick([40, 200])))
    draft.add((), "approval", pick(["required", "none"]))
    draft.add((), "quiet_hours", pick(['{starts: "23:45", ends: "07:00"}', '{starts: "03:00", ends: "04:00"}']))


@sound
def a_higher_cap(draft, pick):
    path = ("community", "groups", pick(range(len(draft.example.launch.community.groups))))
    draft.add(path, "cap", str(pick([300, 500, 100_000])))


@sound
def a_rule_that_is_waived(draft, pick):
    spot = pick([spot for spot in draft.example.serial if spot.step.reveals])
    rule = pick(["serial/contiguous", "quiet/hours"])
    if rule == "serial/contiguous":
        draft.add(spot.path, "number", "999")
    else:
        local = spot.planned.due.astimezone(draft.example.zone)
        draft.add((), "quiet_hours", f'{{starts: "{local:%H:%M}", ends: "{local + timedelta(minutes=1):%H:%M}"}}')
    if not any(is_content(line) and line.startswith("waive:") for line in draft.lines):
        draft.lines += [
            "waive:",
            f"  serial/contiguous: {quoted(pick(WORDS))}",
            f"  quiet/hours: {quoted(pick(WORDS))}",
        ]
