"""Ways to make a sound launch wrong: each edits a draft and tells which rule finds it on which line.

An operator takes a draft and `pick`, which chooses one of several places or values; `pick` of nothing says that the
draft has no such place. Most change one thing and nothing else may hide it; that more is found beside it is allowed.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from drumroll.launchfile.method import MomentValue
from drumroll.metrics.registry import METRICS
from drumroll.suspense.sentences import plain, says
from tests.drafts import Draft, Example, Spot, quoted, without

Pick = Callable[[Sequence], object]
BEFORE_TRUST = ("recruit", "build_up", "nurture")
SERIAL_TEXT = "{{ step.label }}{% if teaser %} {{ teaser.when }} {{ teaser.topic }}{% endif %}"


@dataclass(frozen=True)
class Expected:
    """A finding that there must be: its rule, its line, and how grave it is."""

    rule: str
    line: int
    severity: str = "error"


Operator = Callable[[Draft, Pick], Expected]
OPERATORS: dict[str, Operator] = {}


def operator(change: Operator) -> Operator:
    OPERATORS[change.__name__] = change
    return change


# The file


@operator
def unknown_key(draft, pick):
    places = [("product",), ("team",), ("community",), ("fit",), *(spot.path for spot in draft.example.spots)]
    places += [("phases", name) for name in draft.example.launch.phases] + draft.example.remedies
    path = pick([path for path in [(), *places] if draft.has(*path)])
    draft.add(path, "zigzag", "1")
    return Expected("file/unknown-key", draft.line(*path, "zigzag"))


@operator
def misspelt_key(draft, pick):
    keys = {"topic": "topci", "kind": "knid", "keeps": "keep", "reveals": "reveal", "mystery": "mistery", "vars": "var"}
    path = pick([(*spot.path, key) for spot in draft.example.spots for key in keys if draft.has(*spot.path, key)])
    line = draft.line(*path)
    draft.rename(path, keys[path[-1]])
    return Expected("file/unknown-key", line)


@operator
def duplicate_key(draft, pick):
    places = [("opens",), ("locale",), ("product", "name"), *_goals(draft)]
    places += [
        (*spot.path, key)
        for spot in draft.example.spots
        for key in ("at", "kind", "topic")
        if draft.has(*spot.path, key)
    ]
    at = draft.block(*pick(places)).start
    draft.lines.insert(at + 1, draft.lines[at])
    return Expected("file/yaml", at + 2)


@operator
def unquoted_time(draft, pick):
    path = pick([("opens",), *((*spot.path, "at") for spot in draft.example.spots)])
    draft.set(path, pick(["12:30", "1:05", "23:00:00"]))
    return Expected("file/yaml", draft.line(*path))


@operator
def a_word_that_yaml_takes_for_something_else(draft, pick):
    path = pick([("title",), ("product", "name"), ("team", "name"), *_goals(draft)])
    draft.set(path, pick(["no", "on", "0200", "&name one", "*name", "!!str one", "1e999", '"\\0"']))
    return Expected("file/yaml", draft.line(*path))


def _goals(draft):
    return [("phases", name, "goal") for name in draft.example.launch.phases]


@operator
def missing_key(draft, pick):
    top = [(key,) for key in ("name", "title", "locale", "timezone", "opens", "product", "team", "community", "phases")]
    path = pick(
        top
        + [("product", key) for key in ("name", "promise", "result")]
        + [("phases", name, key) for name in draft.example.launch.phases for key in ("goal", "starts", "ends")]
        + [(*spot.path, "at") for spot in draft.example.spots]
        + [(*path, "after") for path in draft.example.remedies]
    )
    draft.remove(*path)
    return Expected("file/missing-key", draft.line(*path[:-1]) if len(path) > 1 else draft.line("drumroll"))


@operator
def wrong_type(draft, pick):
    step, phase = pick(draft.example.spots).path, ("phases", pick(list(draft.example.launch.phases)))
    parent, key, value = pick(
        [
            ((), "title", "[a, b]"),
            ((), "name", "2027"),
            ((), "facts", "none"),
            ((), "drumroll", "2"),
            (("product",), "price", "cheap"),
            (("product",), "price", "-1"),
            (("team",), "staff", "[]"),
            (("community", "groups", 0), "cap", "many"),
            (("community", "groups", 0), "cap", "0"),
            (("community", "groups", 0), "name", "{a: b}"),
            (step, "to", "[]"),
            (step, "to", "3"),
            (step, "serial", "maybe"),
            (step, "topic", "7"),
            (step, "reveals", "price"),
            (step, "number", '"3"'),
            (step, "vars", "[a]"),
            (step, "id", "Not A Name"),
            (step, "on_late", "sometimes"),
            (phase, "steps", "none"),
            (phase, "slack", "12"),
            (phase, "gate", "[1]"),
        ]
    )
    draft.add(parent, key, value)
    return Expected("file/value", draft.line(*parent, key))


@operator
def a_price_without_a_currency(draft, pick):
    draft.remove("product", pick(["price", "currency"]))
    return Expected("file/value", draft.line("product"))


@operator
def bad_moment(draft, pick):
    launch = draft.example.launch
    phases = [("phases", name, key) for name in launch.phases for key in ("starts", "ends")]
    facts = [("facts", name, "at") for name, value in launch.facts.items() if isinstance(value, MomentValue)]
    steps = [(*spot.path, key) for spot in draft.example.spots for key in ("at", "counts_to")]
    path = pick([path for path in [("opens",), *phases, *facts, *steps] if draft.has(*path)])
    wrong = ['"tomorrow"', '"D-1"', '"D-1 25:00"', '"2026-02-30 10:00"', '"T-"', '"D- 10:00"', '"1026-12-01 10:00"']
    draft.set(path, pick(wrong))
    return Expected("moment", draft.line(*path))


@operator
def an_hour_that_the_clocks_skip(draft, pick):
    zone, opens = pick([("America/New_York", "2027-03-14 02:30"), ("Europe/London", "2027-03-28 01:15")])
    draft.set(("timezone",), zone)
    draft.set(("opens",), quoted(opens))
    return Expected("moment", draft.line("opens"))


@operator
def bad_duration(draft, pick):
    slack = [("phases", name, "slack") for name in draft.example.launch.phases]
    gates = [("phases", name, "gate", "recheck") for name in draft.example.launch.phases]
    path = pick(
        [path for path in slack + gates + [(*each, "after") for each in draft.example.remedies] if draft.has(*path)]
    )
    draft.set(path, pick(["soon", "1x", "12", "30 m", "[1h]", "1h 30m"]))
    return Expected("file/value", draft.line(*path))


@operator
def bad_zone(draft, pick):
    draft.set(("timezone",), pick(["Asia/Taipeh", "CET+1", "Mars", "../etc/passwd", '"  "']))
    return Expected("file/value", draft.line("timezone"))


# Names that point at names


@operator
def unknown_group(draft, pick):
    path = pick([spot.path for spot in draft.example.spots] + draft.example.remedies)
    draft.add(path, "to", "[nowhere]")
    return Expected("name/group", draft.line(*path, "to"))


@operator
def unknown_channel(draft, pick):
    path = ("community", "groups", pick(range(len(draft.example.launch.community.groups))), "channel")
    draft.set(path, "pigeon")
    return Expected("name/channel", draft.line(*path))


@operator
def unknown_channel_kind(draft, pick):
    path = ("community", "channels", pick(list(draft.example.launch.community.channels)), "kind")
    draft.set(path, pick(["pigeon", "web_hook", "telegraph"]))
    return Expected("name/channel-kind", draft.line(*path))


@operator
def unknown_segment(draft, pick):
    path = pick([spot.path for spot in draft.example.spots] + [path for path, _ in _thresholds(draft.example)])
    draft.add(path, "segment", "nobody")
    return Expected("name/segment", draft.line(*path, "segment"))


def _thresholds(example):
    return [
        (("phases", name, "gate", "thresholds", index), threshold)
        for name, phase in example.launch.phases.items()
        for index, threshold in enumerate(phase.gate.thresholds if phase.gate else ())
    ]


@operator
def unknown_metric(draft, pick):
    path = (*pick(_thresholds(draft.example))[0], "metric")
    line = draft.line(*path)
    draft.lines[line - 1] = re.sub(r"metric: \w+", f"metric: {pick(['membrs', 'luck'])}", draft.lines[line - 1])
    return Expected("name/metric", line)


@operator
def unknown_fact(draft, pick):
    path = pick(draft.example.spots).path
    draft.add(path, "reveals", "[secret]")
    return Expected("name/fact", draft.line(*path, "reveals"))


@operator
def unknown_promise(draft, pick):
    path = pick(draft.example.spots).path
    draft.add(path, "keeps", "secret")
    return Expected("name/promise", draft.line(*path, "keeps"))


@operator
def unknown_template(draft, pick):
    path = pick([spot.path for spot in draft.example.spots] + draft.example.remedies)
    draft.add(path, "template", pick(["nowhere/at-all", "welcom", "recruit/welcome.txt"]))
    return Expected("name/template", draft.line(*path, "template"))


@operator
def a_template_that_is_gone(draft, pick):
    spot = pick([spot for spot in draft.example.spots if spot.step.template is None])
    served = (f"/{spot.path[1]}/{spot.step.id}.md.j2", f"{draft.example.locale}/{spot.path[1]}/{spot.step.kind}.md.j2")
    draft.templates = {name: source for name, source in draft.templates.items() if not name.endswith(served)}
    return Expected("name/template", draft.line(*spot.path))


def _is_own(spot):
    return spot.planned.template.endswith(f"/{spot.step.id}.md.j2") and spot.step.template is None


@operator
def unknown_locale(draft, pick):
    draft.set(("locale",), pick(["klingon", "zh", "EN"]))
    return Expected("name/locale", draft.line("locale"))


@operator
def unknown_currency(draft, pick):
    draft.set(("product", "currency"), pick(["ABC", "QQQ"]))
    return Expected("name/currency", draft.line("product", "currency"))


@operator
def unknown_kind(draft, pick):
    path = pick(draft.example.spots).path
    draft.add(path, "kind", pick(["anouncement", "secret"]))
    return Expected("file/value", draft.line(*path, "kind"))


@operator
def duplicate_step_id(draft, pick):
    second = pick(range(1, len(draft.example.spots)))
    path = draft.example.spots[second].path
    other = draft.example.spots[pick(range(second))].path
    draft.set((*path, "id"), draft.value(*other, "id"))
    return Expected("name/duplicate", draft.line(*path, "id"))


@operator
def duplicate_group_id(draft, pick):
    second = pick(range(1, len(draft.example.launch.community.groups)))
    path = ("community", "groups", second, "id")
    draft.set(path, draft.value("community", "groups", pick(range(second)), "id"))
    return Expected("name/duplicate", draft.line(*path))


@operator
def a_name_that_no_template_can_say(draft, pick):
    draft.add(("facts",), pick(["9lives", "two-words"]), "x")
    return Expected(
        "file/value", next(n for n, line in enumerate(draft.lines, 1) if re.match(r"\s+(9lives|two-words):", line))
    )


# Phases and moments


@operator
def a_step_outside_its_phase(draft, pick):
    path = (*pick(draft.example.spots).path, "at")
    draft.set(path, pick(['"D-90 10:00"', '"D+90 10:00"']))
    return Expected("step/outside-phase", draft.line(*path))


@operator
def overlapping_phases(draft, pick):
    names = list(draft.example.launch.phases)
    second = pick(range(1, len(names)))
    path = ("phases", names[second], "starts")
    draft.set(path, draft.value("phases", names[second - 1], "starts"))
    return Expected("phase/overlap", draft.line(*path))


@operator
def phases_out_of_order(draft, pick):
    names = list(draft.example.launch.phases)
    first = pick(range(len(names) - 1))
    one, two = draft.block("phases", names[first]), draft.block("phases", names[first + 1])
    draft.lines[one.start : two.stop] = draft.lines[two.start : two.stop] + draft.lines[one.start : one.stop]
    return Expected("phase/order", draft.line("phases"))


@operator
def a_phase_that_ends_before_it_starts(draft, pick):
    path = ("phases", pick(list(draft.example.launch.phases)), "ends")
    draft.set(path, draft.value(*path[:-1], "starts"))
    return Expected("phase/empty", draft.line(*path))


@operator
def a_countdown_to_the_past(draft, pick):
    path = pick([spot.path for spot in draft.example.spots if spot.planned.counts_to is not None])
    draft.add(path, "counts_to", draft.value(*path, "at"))
    return Expected("step/countdown", draft.line(*path, "at"))


@operator
def a_gate_that_may_extend_into_nothing(draft, pick):
    phases = draft.example.launch.phases
    path = ("phases", pick([name for name, phase in phases.items() if phase.slack and _may_extend(phase)]))
    draft.remove(*path, "slack")
    return Expected("gate/slack", draft.line(*path, "gate", "otherwise"), "warning")


def _may_extend(phase):
    return phase.gate is not None and {"extend", "remedy"} & set(phase.gate.otherwise)


# Gates and fit


@operator
def a_share_out_of_range(draft, pick):
    shares = [(path, t) for path, t in _thresholds(draft.example) if METRICS[t.metric].unit == "share"]
    path, threshold = pick(shares)
    path = (*path, "at_most" if threshold.at_least is None else "at_least")
    draft.set(path, pick(["25", "150%", "-0.1"]))
    return Expected("gate/share", draft.line(*path))


@operator
def two_bounds(draft, pick):
    path, threshold = pick(_thresholds(draft.example))
    draft.add(path, "at_least" if threshold.at_least is None else "at_most", "0.5")
    return Expected("gate/threshold", draft.line(*path))


@operator
def no_bound(draft, pick):
    path, threshold = pick(_thresholds(draft.example))
    draft.remove(*path, "at_most" if threshold.at_least is None else "at_least")
    return Expected("gate/threshold", draft.line(*path))


@operator
def a_remedy_that_is_not_there(draft, pick):
    path = pick(list({path[:-1] for path in draft.example.remedies}))
    draft.remove(*path)
    return Expected("gate/remedy", draft.line(*path[:-1], "otherwise"))


@operator
def a_remedy_that_is_never_asked_for(draft, pick):
    path = pick(list(dict.fromkeys(path[:-1] for path in draft.example.remedies)))
    draft.set((*path[:-1], "otherwise"), "[hold]")
    return Expected("gate/remedy", draft.line(*path), "warning")


@operator
def not_fit(draft, pick):
    classes = "[a, b, c, d, e, f]"
    answers = [("needs_selling", "false"), ("impulse", "false"), ("decision", "months"), ("buyers", classes)]
    answers += [("same_batch", "false"), ("economics", "{conversion: 1%, margin: 1%, team_cost: 90000000}")]
    key, value = pick(answers)
    draft.add(("fit",), key, value)
    return Expected("fit/refused", draft.line("fit", key))


@operator
def fit_not_answered(draft, pick):
    path = pick([("fit",), ("fit", "economics")])
    draft.remove(*path)
    return Expected("fit/unanswered", draft.line("product" if path == ("fit",) else "fit"), "warning")


@operator
def an_override_by_nobody(draft, pick):
    draft.add(("fit",), "override", "{by: Nobody, reason: because}")
    return Expected("fit/override", draft.line("fit", "override"))


@operator
def an_override_of_nothing(draft, pick):
    name = next(person.name for person in draft.example.launch.team.staff if person.role != "bot")
    draft.add(("fit",), "override", f"{{by: {name}, reason: because}}")
    return Expected("fit/override", draft.line("fit", "override"), "warning")


@operator
def a_waiver_of_no_rule(draft, pick):
    draft.lines += ["waive:", f"  {pick(['quiet/hour', 'moment', 'fit/refused', 'x'])}: because"]
    return Expected("waive/unknown", len(draft.lines))


@operator
def a_waiver_of_nothing(draft, pick):
    draft.lines += ["waive:", f"  {pick(['quiet/hours', 'serial/label', 'words/too-long', 'rates/daily'])}: because"]
    return Expected("waive/unused", len(draft.lines), "warning")


# Words


@operator
def a_template_with_bad_syntax(draft, pick):
    template = pick(draft.example.spots).planned.template
    wrong = ["{% if %}", "{{ step.label", "{% endfor %}", "{{ 1 + }}", "{% unknown %}", "{{ (" + "(" * 3_000]
    draft.templates[template] += pick(wrong)
    return Expected("template/syntax", draft.line(*draft.example.first_use(template)))


@operator
def an_include_of_nothing(draft, pick):
    template = pick(draft.example.spots).planned.template
    draft.templates[template] += '{% include "en/nowhere.md.j2" %}'
    return Expected("name/template", draft.line(*draft.example.first_use(template)))


@operator
def an_include_of_a_computed_name(draft, pick):
    template = pick(draft.example.spots).planned.template
    draft.templates[template] += "{% include step.kind %}"
    return Expected("template/dynamic", draft.line(*draft.example.first_use(template)))


@operator
def a_template_that_cannot_be_rendered(draft, pick):
    spot = pick(draft.example.spots)
    wrong = ["{{ nonsense }}", "{{ vars.nonsense }}", "{{ facts.nonsense }}", "{{ 1 / 0 }}", "{{ 'x' | nonsense }}"]
    wrong += ["{{ ''.__class__ }}", "{{ opens }}", "{{ none }}", "{{ 'x' * 10 ** 9 }}", "\x07", "{{ 5 | when }}"]
    draft.templates[spot.planned.template] += pick(wrong)
    return Expected("template/render", draft.line(*spot.path))


@operator
def an_empty_template(draft, pick):
    spot = pick(draft.example.spots)
    draft.templates[spot.planned.template] = pick(["", "\n \n", "{# later #}", "{% if false %}x{% endif %}"])
    return Expected("template/empty", draft.line(*spot.path))


@operator
def a_text_that_is_too_long(draft, pick):
    spot = pick([spot for spot in draft.example.spots if not spot.step.to])
    channels = draft.example.launch.community.channels
    name = pick([name for name, spec in channels.items() if spec.kind in {"hand_off", "webhook"}])
    longest = len(draft.example.checked.subject.worst[spot.step.id].encode())
    draft.add(("community", "channels", name), "max_bytes", str(pick([longest - 1, longest // 2, 1])))
    return Expected("words/too-long", draft.line(*spot.path))


@operator
def braces_in_a_fact(draft, pick):
    told = [
        (name, spot)
        for name, value in draft.example.launch.facts.items()
        for spot in draft.example.spots
        if isinstance(value, str)
        and value in draft.example.text_of(spot)
        and f"facts.{name}" in draft.example.source(spot)
    ]
    name, spot = pick(told)
    draft.set(("facts", name), quoted(pick(["{{ vars.x }}", "now {% if x %}", "a {{ b"])))
    return Expected("template/braces", draft.line(*spot.path), "warning")


@operator
def a_time_written_by_hand(draft, pick):
    plain_steps = [spot for spot in draft.example.spots if not spot.step.vars]
    clock = f"{draft.example.plan.opens.astimezone(draft.example.zone):%H:%M}"
    spot = pick([spot for spot in plain_steps if clock not in draft.example.text_of(spot)])
    draft.templates[spot.planned.template] += f"\n{clock}\n"
    return Expected("words/literal-time", draft.line(*spot.path), "warning")


# The series


@operator
def a_wrong_number(draft, pick):
    spot = pick(draft.example.spots)
    draft.add(spot.path, "number", str((spot.planned.number or 0) + pick([1, 2, 90])))
    return Expected("serial/contiguous", draft.line(*spot.path, "number"))


@operator
def no_label(draft, pick):
    spot = pick(draft.example.serial)
    label = draft.example.checked.subject.labels[spot.step.id]
    draft.templates[spot.planned.template] = without(label, draft.example.source(spot))
    return Expected("serial/label", draft.line(*spot.path))


@operator
def nothing_to_tease(draft, pick):
    spot = pick(draft.example.serial[1:])
    for key in ("topic", "mystery"):
        if draft.has(*spot.path, key):
            draft.remove(*spot.path, key)
    draft.templates[spot.planned.template] = SERIAL_TEXT  # its own might miss the topic and not be read
    return Expected("teaser/topic", draft.line(*spot.path))


@operator
def two_at_one_instant(draft, pick):
    pairs = list(zip(draft.example.serial, draft.example.serial[1:], strict=False))
    one, two = pick([(one, two) for one, two in pairs if one.path[1] == two.path[1]])
    draft.set((*two.path, "at"), draft.value(*one.path, "at"))
    return Expected("teaser/order", draft.line(*two.path, "at"))


@operator
def no_teaser(draft, pick):
    spot = pick(draft.example.serial[:-1])
    teaser = draft.example.checked.subject.teasers[spot.step.id]
    draft.templates[spot.planned.template] = without(teaser[pick(["when", "topic"])], draft.example.source(spot))
    return Expected("teaser/missing", draft.line(*spot.path))


# What is revealed


def _revealed(example: Example) -> list[tuple[str, Spot]]:
    return [(fact, spot) for spot in example.in_time for fact in spot.step.reveals]


def _use(example: Example, fact: str) -> str:
    return f"{{{{ facts.{fact} | when }}}}" if fact in example.plan.moments else f"{{{{ facts.{fact} }}}}"


def _tell_early(draft: Draft, pick: Pick, forms: Sequence[str]) -> Expected:
    """Add one of `forms` to an earlier text: USE in it is a use of the fact, LEAK a template that uses it."""
    example = draft.example
    fact, by = pick(_revealed(example))
    spot = pick([spot for spot in example.spots if spot.planned.due < by.planned.due])
    use, leak = _use(example, fact), f"{example.locale}/library/leak.md.j2"
    draft.templates[leak] = pick([use, f"{{% macro x() %}}{use}{{% endmacro %}}"])
    form = pick(forms).replace("USE", use).replace("LEAK", f'"{leak}"').replace("FACT", fact)
    draft.templates[spot.planned.template] += form
    return Expected("reveal/early", draft.line(*spot.path))


@operator
def a_fact_told_too_early(draft, pick):
    return _tell_early(draft, pick, ["USE", '{{ facts["FACT"] is string }}', "{% set x = facts.FACT %}"])


@operator
def a_fact_told_too_early_in_a_branch_that_is_not_taken(draft, pick):
    forms = [
        "{% if false %}USE{% endif %}",
        "{% if step.number == 999 %}USE{% endif %}",
        "{% macro y() %}USE{% endmacro %}",
    ]
    return _tell_early(draft, pick, forms)


@operator
def a_fact_told_too_early_by_an_include(draft, pick):
    forms = ["{% include LEAK %}", "{% if false %}{% include LEAK %}{% endif %}", "{% from LEAK import x %}"]
    return _tell_early(draft, pick, forms)


@operator
def a_fact_revealed_twice(draft, pick):
    fact, by = pick(_revealed(draft.example))
    later = [spot for spot in draft.example.spots if spot.planned.due > by.planned.due and not spot.step.reveals]
    path = pick(later).path
    draft.add(path, "reveals", f"[{fact}]")
    return Expected("reveal/twice", draft.line(*path, "reveals"))


@operator
def a_fact_that_is_revealed_and_not_told(draft, pick):
    facts = draft.example.launch.facts
    fact, spot = pick([(fact, spot) for fact, spot in _revealed(draft.example) if isinstance(facts[fact], str)])
    draft.templates[spot.planned.template] = without(facts[fact], draft.example.source(spot))
    return Expected("reveal/untold", draft.line(*spot.path, "reveals"), "warning")


# The link and the trust gate


def _link(example: Example) -> str:
    return next(example.launch.facts[fact] for fact, spot in _revealed(example) if spot.step.kind == "link")


@operator
def the_link_before_the_trust_gate(draft, pick):
    spot = pick([spot for spot in draft.example.spots if spot.path[1] in BEFORE_TRUST])
    draft.templates[spot.planned.template] += f"\n{_link(draft.example)}{pick(['', '/', '.', ' !'])}\n"
    return Expected("link/trust-gate", draft.line(*spot.path))


@operator
def a_link_step_before_the_trust_gate(draft, pick):
    early = [spot for spot in draft.example.spots if spot.path[1] in BEFORE_TRUST and _is_own(spot)]
    path = pick(early).path
    draft.add(path, "kind", "link")
    return Expected("link/trust-gate", draft.line(*path))


@operator
def nurture_without_a_gate(draft, pick):
    draft.remove("phases", "nurture", "gate")
    return Expected("link/trust-gate", draft.line("phases", "nurture"))


@operator
def the_link_in_a_welcome(draft, pick):
    spot = pick([spot for spot in draft.example.spots if spot.step.kind == "welcome"])
    draft.templates[spot.planned.template] += f"\n{_link(draft.example)}\n"
    return Expected("link/welcome", draft.line(*spot.path))


# Welcome and promises


@operator
def value_that_keeps_no_promise(draft, pick):
    path = pick([spot for spot in draft.example.spots if spot.step.kind == "value"]).path
    draft.remove(*path, "keeps")
    return Expected("promise/named", draft.line(*path))


@operator
def a_promise_that_the_welcome_does_not_make(draft, pick):
    spot = pick([spot for spot in draft.example.spots if spot.step.keeps])
    welcome = next(spot for spot in draft.example.spots if spot.step.kind == "welcome")
    promise = draft.example.launch.promises[spot.step.keeps].rstrip(" .。")
    draft.templates[welcome.planned.template] = without(promise, draft.example.source(welcome))
    return Expected("promise/told", draft.line(*spot.path, "keeps"))


@operator
def a_promise_that_nobody_keeps(draft, pick):
    draft.add(("promises",), "more", "a second helping of all of it")
    return Expected("promise/unkept", draft.line("promises", "more"), "warning")


@operator
def something_before_the_welcome(draft, pick):
    first = draft.example.in_time[0]
    draft.templates[f"{draft.example.locale}/early.md.j2"] = "Who is there?"
    item = f"{{id: early-bird, at: {draft.value(*first.path, 'at')}, kind: prompt, template: early}}"
    draft.insert_items(first.path, [item])
    return Expected("welcome/first", draft.line(*first.path), "warning")


@operator
def a_welcome_that_leaves_out_a_group(draft, pick):
    path = draft.example.in_time[0].path
    draft.add(path, "to", f"[{pick(list(draft.example.launch.group_ids()))}]")
    return Expected("welcome/first", draft.line(*path, "to"), "warning")


# Persona and voice


@operator
def no_persona(draft, pick):
    draft.remove("persona")
    return Expected("persona/declared", draft.line("product"), "warning")


@operator
def a_phase_that_no_pull_leads(draft, pick):
    path = ("persona", "leads", pick(list(draft.example.launch.phases)))
    draft.remove(*path)
    return Expected("persona/declared", draft.line("persona", "leads"), "warning")


@operator
def texts_that_do_not_carry_the_pull_that_leads(draft, pick):
    example, persona = draft.example, draft.example.launch.persona
    sentence = {"outer": example.launch.product.promise, "inner": example.launch.product.result}
    silent = [
        (phase, pull)
        for phase, pull in persona.leads.items()
        if not any(
            says(plain(example.text_of(spot)), sentence[pull]) for spot in example.spots if spot.path[1] == phase
        )
    ]
    phase, pull = pick(silent)
    draft.add(("persona",), pull, "[zigzag]")
    return Expected("persona/lead", draft.line("persona", "leads", phase), "warning")


def _insert_alike(draft: Draft, pick: Pick, source: str, count: int, *, asking: bool) -> tuple:
    """Steps right behind another one, at its instant, all with one template; the place of the last."""
    spot = pick(draft.example.spots)
    at, path = draft.value(*spot.path, "at"), (*spot.path[:-1], spot.path[-1] + 1)
    draft.templates[f"{draft.example.locale}/same.md.j2"] = source
    draft.templates[f"{draft.example.locale}/question.md.j2"] = "Yes?"
    kinds = [("prompt", "question")] * asking + [("heads_up", "same")] * count
    items = [f"{{id: same-{n}, at: {at}, kind: {kind}, template: {name}}}" for n, (kind, name) in enumerate(kinds)]
    draft.insert_items(path, items)
    return (*path[:-1], path[-1] + len(items) - 1)


@operator
def broadcasts_in_a_row(draft, pick):
    path = _insert_alike(draft, pick, "Nearly there.", 5, asking=True)
    return Expected("voice/broadcasts", draft.line(*path), "warning")


@operator
def a_stock_phrase(draft, pick):
    path = _insert_alike(
        draft, pick, "這是一句每次都會出現而且很長的話。So it goes, on and on and on, again.", 3, asking=False
    )
    return Expected("voice/repeats", draft.line(*path), "warning")


# Hours, rates and work


@operator
def quiet_hours_around_a_step(draft, pick):
    spot = pick(draft.example.spots)
    local = spot.planned.due.astimezone(draft.example.zone)
    starts = local - timedelta(minutes=pick([0, 1, 5]))
    ends = local + timedelta(minutes=pick([1, 5]))
    draft.add((), "quiet_hours", f'{{starts: "{starts:%H:%M}", ends: "{ends:%H:%M}"}}')
    return Expected("quiet/hours", draft.line(*spot.path, "at"))


@operator
def quiet_hours_around_a_remedy(draft, pick):
    path = pick(draft.example.remedies)
    phase = draft.example.launch.phases[path[1]]
    due = draft.example.plan.phase(path[1]).gate_at + phase.gate.remedy[path[-1]].after
    local = due.astimezone(draft.example.zone)
    ends = local + timedelta(minutes=1)
    draft.add((), "quiet_hours", f'{{starts: "{local:%H:%M}", ends: "{ends:%H:%M}"}}')
    return Expected("quiet/hours", draft.line(*path, "after"))


def _add_groups(draft: Draft, channel: str, count: int) -> None:
    items = [f"{{id: more-{n}, name: More {n}, channel: {channel}}}" for n in range(count)]
    draft.insert_items(("community", "groups", len(draft.example.launch.community.groups)), items)


def _by_hand(example: Example) -> str:
    return next(name for name, spec in example.launch.community.channels.items() if spec.kind == "hand_off")


def _to_everyone(example: Example) -> list[Spot]:
    return [spot for spot in example.in_time if spot.step.segment is None and not spot.step.to]


@operator
def a_rate_that_is_too_low(draft, pick):
    name = pick([name for name in draft.example.launch.community.channels if name != _by_hand(draft.example)])
    draft.set(("community", "channels", name), "{kind: webhook, url: https://bridge.example, per_minute: 1}")
    _add_groups(draft, name, 4)
    path = pick(_to_everyone(draft.example)).path
    draft.add(path, "max_late", "0s")
    return Expected("rates/minute", draft.line(*path, "at"))


@operator
def a_daily_cap_that_is_too_low(draft, pick):
    by_day = {}
    for spot in _to_everyone(draft.example):
        by_day.setdefault(spot.planned.due.astimezone(draft.example.zone).date(), []).append(spot)
    days = [spots for spots in by_day.values() if len(spots) > 1]
    spots = pick(days)
    cap = pick(range(1, len(spots)))
    draft.add(("community", "channels", _by_hand(draft.example)), "daily_cap", str(cap))
    return Expected("rates/daily", draft.line(*spots[cap].path, "at"))


@operator
def a_monthly_cap_that_is_too_low(draft, pick):
    by_month = {}
    for spot in _to_everyone(draft.example):
        local = spot.planned.due.astimezone(draft.example.zone)
        by_month.setdefault((local.year, local.month), []).append(spot)
    spots = pick([spots for spots in by_month.values() if len(spots) > 1])
    cap = pick(range(1, len(spots)))
    credentials = "corp_id_env: CORP, secret_env: SECRET, sender: mei"
    limits = f"daily_cap: 99, monthly_cap: {cap}"
    name = _by_hand(draft.example)
    draft.set(("community", "channels", name), f"{{kind: wecom_customer_group, {credentials}, {limits}}}")
    return Expected("rates/monthly", draft.line(*spots[cap].path, "at"))


@operator
def too_many_hand_offs_in_an_hour(draft, pick):
    everyone, hour = _to_everyone(draft.example), timedelta(hours=1)
    alone = [
        spot
        for spot in everyone
        if not any(timedelta(0) < spot.planned.due - other.planned.due <= hour for other in draft.example.spots)
    ]
    _add_groups(draft, _by_hand(draft.example), 9)
    draft.add(("team",), "hand_offs_per_hour", "1")
    return Expected("work/hour", draft.line(*pick(alone).path, "at"))


@operator
def a_stretch_that_sags(draft, pick):
    serial, hour = draft.example.serial, timedelta(hours=1)
    opened = next(n for n, spot in enumerate(serial) if spot.planned.due >= draft.example.plan.opens)
    long = []
    for one in range(2, opened):
        usual = (serial[one].planned.due - serial[0].planned.due) / one
        for two in range(one + 2, opened + 1):
            span = serial[two].planned.due - serial[one].planned.due
            if serial[two].path[1] != "recruit" and 0.6 * span - 9 * hour > 2 * usual:  # nights are no waking time
                long.append((one, two))
    one, two = pick(long)
    for spot in serial[one + 1 : two]:
        draft.add(spot.path, "serial", "false")
    return Expected("rhythm/sag", draft.line(*serial[two].path), "warning")
