"""Every way to get a launch file wrong that we know of: the exact line, words and remedy of each."""

import pytest

from drumroll.errors import UsageError
from drumroll.launchfile.load import load_launch
from tests.launch_files import LAUNCH, drumroll, new_project

# What is wrong: (in the valid launch file, this, becomes that), and what `check` says after the file's name.
REFUSED = {
    "duplicate key": (
        "title: The quiet kettle",
        "title: The quiet kettle\ntitle: again",
        ['4: duplicate key "title"; the first one is on line 3; keep one [file/yaml]'],
    ),
    "anchor": (
        "host: Ann Boil",
        "host: &h Ann Boil",
        ["35: anchors (&) and aliases (*) are not allowed; write the value out [file/yaml]"],
    ),
    "alias": (
        "host: Ann Boil",
        "host: *h",
        ["35: anchors (&) and aliases (*) are not allowed; write the value out [file/yaml]"],
    ),
    "merge key": (
        "  host: Ann Boil",
        "  <<: {host: Ann Boil}",
        ["35: facts: merge keys (<<) are not allowed; write the keys out [file/yaml]"],
    ),
    "tag": (
        "title: The",
        "title: !!str The",
        ["3: tags (!) are not allowed; remove it, or put the text in quotes [file/yaml]"],
    ),
    "unknown key at the top": (
        "title: The",
        "titel: The",
        [
            '1: "title" is missing; add it [file/missing-key]',
            '3: titel: unknown key "titel"; did you mean "title"? [file/unknown-key]',
        ],
    ),
    "unknown key in a step": (
        '        at: "D-6 10:00"',
        '        att: "D-6 10:00"',
        [
            '45: phases.recruit.steps[0]: "at" is missing; add it [file/missing-key]',
            '46: phases.recruit.steps[0].att: unknown key "att"; did you mean "at"? [file/unknown-key]',
        ],
    ),
    "time without quotes": (
        'at: "D-6 10:00"',
        "at: 12:30",
        [
            '46: phases.recruit.steps[0].at: 12:30 without quotes is a number in base 60 to YAML; write "12:30" [file/yaml]'
        ],
    ),
    "leading zero": (
        "title: The quiet kettle",
        "title: 0123",
        [
            '3: title: 0123 without quotes is an octal number to YAML; write 123, or "0123" in quotes where text is meant [file/yaml]'
        ],
    ),
    "leading zero in a number": (
        "    - {id: east, name: East, channel: screen}",
        "    - {id: east, name: East, channel: screen, cap: 0200}",
        [
            '28: community.groups[0].cap: 0200 without quotes is an octal number to YAML; write 200, or "0200" in quotes where text is meant [file/yaml]'
        ],
    ),
    "no without quotes": (
        "title: The quiet kettle",
        "title: no",
        [
            '3: title: no without quotes means true or false to YAML; write true or false, or "no" for the word [file/yaml]'
        ],
    ),
    "yes without quotes": (
        "serial: true",
        "serial: yes",
        [
            '48: phases.recruit.steps[0].serial: yes without quotes means true or false to YAML; write true or false, or "yes" for the word [file/yaml]'
        ],
    ),
    "true in quotes": (
        "serial: true",
        "serial: 'true'",
        [
            '48: phases.recruit.steps[0].serial: expected true or false, found "true"; write true or false without quotes [file/value]'
        ],
    ),
    "number for a title": (
        "title: The quiet kettle",
        "title: 2027",
        ["3: title: expected text, found 2027; put it in quotes [file/value]"],
    ),
    "nothing for a title": (
        "title: The quiet kettle",
        "title:",
        ["3: title: expected text, found nothing; write text [file/value]"],
    ),
    "number without end": (
        "at_least: 30",
        "at_least: 1e999",
        [
            "58: phases.recruit.gate.thresholds[0].at_least: 1e999 is too large a number; write a smaller one, or put it in quotes [file/yaml]"
        ],
    ),
    "number in quotes": (
        "at_least: 30",
        "at_least: '30'",
        ['58: phases.recruit.gate.thresholds[0].at_least: "30" is text; write a number without quotes [file/value]'],
    ),
    "true for a number": (
        "at_least: 30",
        "at_least: true",
        ["58: phases.recruit.gate.thresholds[0].at_least: true is no number; write one [file/value]"],
    ),
    "word for a number": (
        "at_least: 30",
        "at_least: many",
        ['58: phases.recruit.gate.thresholds[0].at_least: "many" is text; write a number without quotes [file/value]'],
    ),
    "share above one": (
        "at_least: 10%",
        "at_least: 10",
        [
            "82: phases.nurture.gate.thresholds[0].at_least: active_rate is a share, and 10 is not between 0 and 1; write 10% if that is meant [gate/share]"
        ],
    ),
    "more than everybody": (
        "at_least: 10%",
        "at_least: 110%",
        [
            "82: phases.nurture.gate.thresholds[0].at_least: active_rate is a share, and 110% is not between 0% and 100%; write a share of the members, like 25% [gate/share]"
        ],
    ),
    "share below nothing": (
        "at_least: 10%",
        "at_least: -0.5",
        [
            "82: phases.nurture.gate.thresholds[0].at_least: active_rate is a share, and -0.5 is not between 0 and 1; write a share of the members, like 25% [gate/share]"
        ],
    ),
    "both at_least and at_most": (
        "at_least: 30",
        "at_least: 30\n          at_most: 40",
        [
            "57: phases.recruit.gate.thresholds[0]: needs exactly one of at_least and at_most; keep one of them [gate/threshold]"
        ],
    ),
    "neither at_least nor at_most": (
        "          at_least: 30\n",
        "",
        [
            "57: phases.recruit.gate.thresholds[0]: needs exactly one of at_least and at_most; keep one of them [gate/threshold]"
        ],
    ),
    "unknown metric": (
        "metric: members",
        "metric: membrs",
        [
            '57: phases.recruit.gate.thresholds[0].metric: unknown metric "membrs"; did you mean "members"? [name/metric]'
        ],
    ),
    "unknown channel": (
        "channel: screen}",
        "channel: scren}",
        ['28: community.groups[0].channel: unknown channel "scren"; did you mean "screen"? [name/channel]'],
    ),
    "unknown channel kind": (
        "kind: console",
        "kind: consol",
        [
            '23: community.channels.screen.kind: unknown channel kind "consol"; did you mean "console"? [name/channel-kind]'
        ],
    ),
    "unlike any channel kind": (
        "kind: hand_off",
        "kind: carrier_pigeon",
        [
            "25: community.channels.by_hand.kind: unknown channel kind (not shown: it may be a secret); known: apprise, console, dingtalk, discord, email, feishu, file, hand_off, matrix, slack, telegram, webhook, wecom_customer_group, wecom_robot [name/channel-kind]"
        ],
    ),
    "unknown channel option": (
        "lead: 30m",
        "leed: 30m",
        ['26: community.channels.by_hand.leed: unknown key "leed"; did you mean "lead"? [file/unknown-key]'],
    ),
    "unknown segment of a step": (
        "segment: silent\n        to",
        "segment: silnt\n        to",
        ['77: phases.nurture.steps[1].segment: unknown segment "silnt"; did you mean "silent"? [name/segment]'],
    ),
    "unknown segment of a threshold": (
        "          segment: silent\n",
        "          segment: silnt\n",
        [
            '83: phases.nurture.gate.thresholds[0].segment: unknown segment "silnt"; did you mean "silent"? [name/segment]'
        ],
    ),
    "unknown group": (
        "to: [east]",
        "to: [est]",
        ['78: phases.nurture.steps[1].to[0]: unknown group "est"; did you mean "west"? [name/group]'],
    ),
    "group named twice in a step": (
        "to: [east]",
        "to: [east, east]",
        ['78: phases.nurture.steps[1].to[1]: the group "east" is named twice; remove one [name/duplicate]'],
    ),
    "no group at all": (
        "to: [east]",
        "to: []",
        ["78: phases.nurture.steps[1].to: is empty; write at least one [file/value]"],
    ),
    "group without a list": (
        "to: [east]",
        "to: east",
        [
            '78: phases.nurture.steps[1].to: expected a list, found "east"; write one item per line, each after a dash [file/value]'
        ],
    ),
    "unknown fact": (
        "reveals: [host]",
        "reveals: [hst]",
        ['73: phases.nurture.steps[0].reveals[0]: unknown fact "hst"; did you mean "host"? [name/fact]'],
    ),
    "unknown locale": (
        "locale: en",
        "locale: fr",
        ['4: locale: unknown locale "fr"; known: zh-Hant, zh-Hans, en [name/locale]'],
    ),
    "locale in small letters": (
        "locale: en",
        "locale: zh-hant",
        ['4: locale: unknown locale "zh-hant"; did you mean "zh-Hant"? [name/locale]'],
    ),
    "unknown time zone": (
        "timezone: Asia/Taipei",
        "timezone: Asia/Taipai",
        ['5: timezone: unknown time zone "Asia/Taipai"; use an IANA name such as Asia/Taipei [file/value]'],
    ),
    "path as a time zone": (
        "timezone: Asia/Taipei",
        "timezone: ../../etc/passwd",
        ['5: timezone: unknown time zone "../../etc/passwd"; use an IANA name such as Asia/Taipei [file/value]'],
    ),
    "unknown source kind": (
        "facts:",
        "  sources:\n    - {kind: slak, path: x}\n\nfacts:",
        ['35: community.sources[0].kind: unknown source kind "slak"; did you mean "slack"? [name/source-kind]'],
    ),
    "unknown time zone of a source": (
        "facts:",
        "  sources:\n    - {kind: slack, path: x, timezone: Mars/One, map: {general: est}}\n\nfacts:",
        [
            '35: community.sources[0].timezone: unknown time zone "Mars/One"; use an IANA name such as Asia/Taipei [file/value]'
        ],
    ),
    "overlap by slack": (
        "slack: 12h",
        "slack: 36h",
        [
            "66: phases.nurture.starts: overlaps recruit, which may last until 2027-01-14 08:00 with its slack; start nurture later, or shorten recruit or its slack [phase/overlap]"
        ],
    ),
    "step before its phase": (
        'at: "D-6 10:00"',
        'at: "D-6 08:59"',
        [
            "46: phases.recruit.steps[0].at: 2027-01-10 08:59 is before recruit starts (2027-01-10 09:00); move the step, or start the phase earlier [step/outside-phase]"
        ],
    ),
    "step after its phase": (
        'at: "D-6 10:00"',
        'at: "D-4 20:01"',
        [
            "46: phases.recruit.steps[0].at: 2027-01-12 20:01 is after recruit ends (2027-01-12 20:00); move the step, or end the phase later [step/outside-phase]"
        ],
    ),
    "no such hour": (
        'at: "D-6 10:00"',
        'at: "D-6 25:00"',
        ['46: phases.recruit.steps[0].at: "D-6 25:00" is no time of day: hour must be in 0..23 [moment]'],
    ),
    "unknown moment": (
        'at: "D-6 10:00"',
        'at: "tomorrow"',
        [
            '46: phases.recruit.steps[0].at: "tomorrow" is not a moment; write "T-2h", "D-1 23:00" or "2026-12-11 23:00" [moment]'
        ],
    ),
    "moment without a length": (
        'at: "D-6 10:00"',
        'at: "T-"',
        [
            '46: phases.recruit.steps[0].at: "T-" has no length; write "T-2h", "D-1 23:00" or "2026-12-11 23:00" [moment]'
        ],
    ),
    "empty moment": (
        'at: "D-6 10:00"',
        'at: ""',
        ["46: phases.recruit.steps[0].at: is empty; write something [file/value]"],
    ),
    "no such day": (
        'at: "D-6 10:00"',
        'at: "2027-02-30 10:00"',
        ['46: phases.recruit.steps[0].at: "2027-02-30 10:00" is no date: day is out of range for month [moment]'],
    ),
    "moment at the end of time": (
        'at: "D-6 10:00"',
        'at: "9999-12-31 23:59"',
        [
            '46: phases.recruit.steps[0].at: "9999-12-31 23:59" is not in this age; write a year from 2000 to 2199 [moment]'
        ],
    ),
    "relative opening": (
        'opens: "2027-01-16 12:00"',
        'opens: "T-2h"',
        ['6: opens: "T-2h" is not an absolute local time; write it like "2026-12-11 23:00" [moment]'],
    ),
    "phase ends before it starts": (
        'ends: "D-4 20:00"',
        'ends: "D-6 08:00"',
        [
            "42: phases.recruit.ends: the phase ends before it starts; move `ends` after `starts` [phase/empty]",
            "46: phases.recruit.steps[0].at: 2027-01-10 10:00 is after recruit ends (2027-01-10 08:00); move the step, or end the phase later [step/outside-phase]",
            "50: phases.recruit.steps[1].at: 2027-01-11 19:00 is after recruit ends (2027-01-10 08:00); move the step, or end the phase later [step/outside-phase]",
            "53: phases.recruit.steps[2].at: 2027-01-12 19:00 is after recruit ends (2027-01-10 08:00); move the step, or end the phase later [step/outside-phase]",
        ],
    ),
    "unknown phase": (
        "  nurture:",
        "  nurtur:",
        ['64: phases.nurtur: unknown value "nurtur"; did you mean "nurture"? [file/value]'],
    ),
    "step id used twice": (
        "      - id: roll-call",
        "      - id: welcome",
        [
            '49: phases.recruit.steps[1].id: the step id "welcome" is used twice; rename this one or that on line 45 [name/duplicate]'
        ],
    ),
    "group id used twice": (
        "{id: west, name",
        "{id: east, name",
        ['29: community.groups[1].id: the group "east" is declared twice; rename one [name/duplicate]'],
    ),
    "step id used again by a remedy": (
        "        - id: invite",
        "        - id: welcome",
        [
            '61: phases.recruit.gate.remedy[0].id: the step id "welcome" is used twice; rename this one or that on line 45 [name/duplicate]'
        ],
    ),
    "remedy without remedy steps": (
        "      remedy:\n        - id: invite\n          after: 30m\n",
        "",
        [
            "59: phases.recruit.gate.otherwise: names a remedy but no remedy steps are declared; add `remedy:` [gate/remedy]"
        ],
    ),
    "unknown last resort": (
        "otherwise: [remedy, extend, hold]",
        "otherwise: [hlod]",
        ['59: phases.recruit.gate.otherwise[0]: unknown value "hlod"; did you mean "hold"? [file/value]'],
    ),
    "unknown step kind": (
        "kind: welcome",
        "kind: welcom",
        ['47: phases.recruit.steps[0].kind: unknown value "welcom"; did you mean "welcome"? [file/value]'],
    ),
    "path out of the templates": (
        "kind: welcome",
        "kind: welcome\n        template: ../../x",
        [
            '48: phases.recruit.steps[0].template: "../../x" is no template name; name a file below templates/<locale>/, like nurture/three-checks [file/value]'
        ],
    ),
    "unknown template": (
        "kind: welcome",
        "kind: welcome\n        template: recruit/welcme",
        [
            '48: phases.recruit.steps[0].template: unknown template "recruit/welcme"; did you mean "recruit/welcome"? [name/template]'
        ],
    ),
    "step id with spaces": (
        "id: roll-call",
        "id: Roll Call",
        [
            '49: phases.recruit.steps[1].id: "Roll Call" has the wrong form; use lower-case letters, digits and single dashes, like spring-course [file/value]'
        ],
    ),
    "name too long": (
        "name: kettle",
        "name: kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk",
        [
            '2: name: "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk" is too long; use at most 64 characters [file/value]'
        ],
    ),
    "currency sign": (
        "currency: TWD",
        "currency: NT$",
        [
            '13: product.currency: "NT$" has the wrong form; use the three capital letters of ISO 4217, like TWD [file/value]'
        ],
    ),
    "currency of nowhere": (
        "currency: TWD",
        "currency: ZZZ",
        [
            '13: product.currency: unknown currency "ZZZ"; use the three capital letters of ISO 4217, like TWD [name/currency]'
        ],
    ),
    "currency of the tests": (
        "currency: TWD",
        "currency: XXX",
        [
            '13: product.currency: unknown currency "XXX"; use the three capital letters of ISO 4217, like TWD [name/currency]'
        ],
    ),
    "currency of metal": (
        "currency: TWD",
        "currency: XAU",
        ['13: product.currency: unknown currency "XAU"; did you mean "XAF"? [name/currency]'],
    ),
    "currency with a slip": (
        "currency: TWD",
        "currency: EUO",
        ['13: product.currency: unknown currency "EUO"; did you mean "EUR"? [name/currency]'],
    ),
    "negative price": ("price: 3980", "price: -1", ["12: product.price: -1 should be greater than 0 [file/value]"]),
    "word for a price": (
        "price: 3980",
        "price: cheap",
        ['12: product.price: expected a number, found "cheap"; write a number [file/value]'],
    ),
    "true for a price": (
        "price: 3980",
        "price: true",
        ["12: product.price: expected a number, found true; write a number [file/value]"],
    ),
    "list for a price": (
        "price: 3980",
        "price: [1]",
        ["12: product.price: expected a number, found a list; write a number [file/value]"],
    ),
    "price that is not a number": (
        "price: 3980",
        "price: .nan",
        ['12: product.price: expected a number, found ".nan"; write a number [file/value]'],
    ),
    "cap in quotes": (
        "    - {id: east, name: East, channel: screen}",
        "    - {id: east, name: East, channel: screen, cap: '200'}",
        [
            '28: community.groups[0].cap: expected a whole number, found "200"; write a whole number without quotes [file/value]'
        ],
    ),
    "true for a cap": (
        "    - {id: east, name: East, channel: screen}",
        "    - {id: east, name: East, channel: screen, cap: true}",
        [
            "28: community.groups[0].cap: expected a whole number, found true; write a whole number without quotes [file/value]"
        ],
    ),
    "half a seat": (
        "    - {id: east, name: East, channel: screen}",
        "    - {id: east, name: East, channel: screen, cap: 2.5}",
        [
            "28: community.groups[0].cap: expected a whole number, found 2.5; write a whole number without quotes [file/value]"
        ],
    ),
    "no length of time": (
        "silent_for: 3d",
        "silent_for: 0s",
        ["32: community.segments.silent.silent_for: is no time at all; write a longer duration [file/value]"],
    ),
    "segment without a condition": (
        "silent_for: 3d",
        "silent_for:",
        [
            "31: community.segments.silent: a segment needs at least one condition; write silent_for, active_within or another [file/value]"
        ],
    ),
    "absurd duration": (
        "silent_for: 3d",
        "silent_for: 99999999999d",
        [
            '32: community.segments.silent.silent_for: "99999999999d" is not a duration; write days, hours, minutes, seconds like "1d12h", "90m" or "30s" [file/value]'
        ],
    ),
    "list in vars": (
        "serial: true",
        "vars: {x: [1]}",
        [
            '48: phases.recruit.steps[0].vars.x: expected text, a number, true or false, or {at: "D+1 20:00"}, found a list; write text, a number, true or false, or {at: "D+1 20:00"} [file/value]'
        ],
    ),
    "nothing in vars": (
        "serial: true",
        "vars: {x: }",
        [
            '48: phases.recruit.steps[0].vars.x: expected text, a number, true or false, or {at: "D+1 20:00"}, found nothing; write text, a number, true or false, or {at: "D+1 20:00"} [file/value]'
        ],
    ),
    "var with a dash": (
        "serial: true",
        "vars: {order-link: a}",
        [
            '48: phases.recruit.steps[0].vars.order-link: "order-link" cannot be used in a template; write a word of letters, digits and _ [file/value]'
        ],
    ),
    "fact with a dash": (
        "  host: Ann Boil",
        "  the-host: Ann Boil",
        [
            '35: facts.the-host: "the-host" cannot be used in a template; write a word of letters, digits and _ [file/value]'
        ],
    ),
    "number for a fact": (
        "  host: Ann Boil",
        "  host: 7",
        ['35: facts.host: expected text or {at: "D+1 20:00"}, found 7; put it in quotes [file/value]'],
    ),
    "text for a product": (
        "product:",
        "product: kettle\nx:",
        [
            '8: product: expected keys and values, found "kettle"; write them below it, indented, as "key: value" [file/value]',
            '9: x: unknown key "x"; known: drumroll, name, title, locale, timezone, opens, product, team, community, facts, promises, persona, fit, quiet_hours, protected_terms, approval, waive, phases [file/unknown-key]',
        ],
    ),
    "no staff": (
        "    - {name: Ann, role: host, ids: [ann]}",
        "    []",
        ["17: team.staff: is empty; write at least one [file/value]"],
    ),
    "escaped control character": (
        "title: The quiet kettle",
        'title: "a\\0b"',
        ["3: title: control character U+0000 in quoted text; remove it [file/yaml]"],
    ),
    "colon in a title": (
        "title: The quiet kettle",
        "title: a: b",
        [
            "3: not valid YAML: mapping values are not allowed in this context; check indentation, colons and quotes [file/yaml]"
        ],
    ),
    "deep nesting": (
        "title: The quiet kettle",
        "title: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
        ["3: nested too deeply; a launch file needs fewer than 10 levels [file/yaml]"],
    ),
    "tab for a space": (
        "title: The quiet kettle",
        "\ttitle: x",
        [
            "3: not valid YAML: while scanning a plain scalar found a tab character that violates indentation; check indentation, colons and quotes [file/yaml]"
        ],
    ),
    "second document": (
        "title: The quiet kettle",
        "title: x\n---\na: b",
        [
            "4: not valid YAML: expected a single document in the stream but found another document; check indentation, colons and quotes [file/yaml]"
        ],
    ),
    "unknown version": ("drumroll: 1", "drumroll: 2", ["1: drumroll: unknown value 2; known: 1 [file/value]"]),
    "version in quotes": (
        "drumroll: 1",
        "drumroll: '1'",
        ['1: drumroll: unknown value "1"; write 1 without quotes [file/value]'],
    ),
    "countdown to the past": (
        "kind: countdown",
        'kind: countdown\n        counts_to: "T-3h"',
        [
            "94: phases.ignite.steps[1].at: counts down to 2027-01-16 09:00, which is not after it; send it earlier, or set `counts_to` to a later moment [step/countdown]"
        ],
    ),
    "countdown at the opening": (
        'at: "T-2h"',
        'at: "T"',
        [
            "94: phases.ignite.steps[1].at: counts down to 2027-01-16 12:00, which is not after it; send it earlier, or set `counts_to` to a later moment [step/countdown]"
        ],
    ),
    "two announcements at once": (
        'at: "D-1 23:00"',
        'at: "T"',
        [
            '97: phases.ignite.steps[2].at: stands at the same instant as announcement 4 ("terms"); leave time between numbered announcements [teaser/order]'
        ],
    ),
}
WARNED = {
    "remedy that is never used": (
        "otherwise: [remedy, extend, hold]",
        "otherwise: [hold]",
        ["60: phases.recruit.gate.remedy: is never used; add remedy to `otherwise` [gate/remedy, warning]"],
    ),
    "slack missing": (
        "    slack: 12h\n",
        "",
        [
            "58: phases.recruit.gate.otherwise: the gate may extend or remedy, but the phase declares no slack to do it in; add `slack:` to the phase [gate/slack, warning]"
        ],
    ),
}


def said(project):
    """Exit code and findings, without the file's name."""
    ran = drumroll("check", project.file)
    place = f"{project.file}:"
    lines = [line.removeprefix(place) for line in ran.out.splitlines() if line.startswith(place)]
    return ran.code, [line for line in lines if not line.startswith(" ok:")]


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_launch_file_is_refused_with_line_reason_and_remedy(tmp_path, case):
    old, new, expected = REFUSED[case]
    assert said(new_project(tmp_path).change(old, new)) == (1, expected)


@pytest.mark.parametrize("case", WARNED)
def test_a_doubtful_launch_file_is_warned_of_and_passes(tmp_path, case):
    old, new, expected = WARNED[case]
    assert said(new_project(tmp_path).change(old, new)) == (0, expected)


def test_the_launch_file_that_all_these_start_from_is_valid(tmp_path):
    assert said(new_project(tmp_path)) == (0, [])


@pytest.mark.parametrize("written", ["25%", "'25%'", "25 %", "0.25", "25.0%"])
def test_percentages_are_shares(tmp_path, written):
    plan = new_project(tmp_path).change("at_least: 10%", f"at_least: {written}").plan()
    assert plan.launch.phases["nurture"].gate.thresholds[0].at_least == 0.25


def test_a_price_in_quotes_is_exact_money(tmp_path):
    plan = new_project(tmp_path).change("price: 3980", "price: '39.90'").plan()
    assert str(plan.launch.product.price) == "39.90"


def test_phases_out_of_order_are_refused(tmp_path):
    head, recruit = LAUNCH.split("  recruit:\n")
    recruit, nurture = recruit.split("  nurture:\n")
    nurture, ignite = nurture.split("  ignite:\n")
    text = f"{head}  nurture:\n{nurture}  recruit:\n{recruit}  ignite:\n{ignite}"
    project = new_project(tmp_path, text)
    assert said(project) == (
        1,
        [
            "38: phases: phases stand in the order nurture, recruit, ignite; the method's is recruit, nurture, ignite [phase/order]"
        ],
    )


BERLIN = {"gap": ("2027-03-28", "02:30"), "fold": ("2027-10-31", "02:30")}


def in_berlin(project, day, clock):
    for old, new in [
        ("Asia/Taipei", "Europe/Berlin"),
        ("2027-01-16 12:00", f"{day} 12:00"),
        ('at: "T-2h"', f'at: "D {clock}"'),
    ]:
        project.change(old, new)
    return project


def test_a_step_in_the_hour_that_summer_time_skips_is_refused(tmp_path):
    project = in_berlin(new_project(tmp_path), *BERLIN["gap"])
    assert said(project) == (
        1,
        [
            '94: phases.ignite.steps[1].at: "D 02:30" does not exist in Europe/Berlin: clocks go forward over it; choose another time [moment]'
        ],
    )


def test_a_step_in_the_hour_that_winter_time_repeats_must_say_which(tmp_path):
    project = in_berlin(new_project(tmp_path), *BERLIN["fold"])
    assert said(project) == (
        1,
        [
            '94: phases.ignite.steps[1].at: "D 02:30" happens twice in Europe/Berlin: clocks go back; add "first" or "second" [moment]'
        ],
    )


@pytest.mark.parametrize(("which", "utc"), [("first", "00:30"), ("second", "01:30")])
def test_a_step_in_the_repeated_hour_that_says_which_is_planned(tmp_path, which, utc):
    project = in_berlin(new_project(tmp_path).at_any_hour(), BERLIN["fold"][0], f"02:30 {which}")
    assert f"{project.plan().step('two-hours').due:%H:%M}" == utc


@pytest.mark.parametrize("text", ["", "# only words\n", "\n\n"])
def test_an_empty_file_is_refused(tmp_path, text):
    assert said(new_project(tmp_path, text)) == (
        1,
        ["1: the file is empty; start from `drumroll new NAME` [file/yaml]"],
    )


@pytest.mark.parametrize("text", ["null\n", "~"])
def test_a_file_that_says_nothing_is_refused(tmp_path, text):
    assert said(new_project(tmp_path, text)) == (
        1,
        ['1: expected keys and values, found nothing; write them below it, indented, as "key: value" [file/value]'],
    )


def test_a_file_that_is_not_utf_8_is_refused_at_its_line(tmp_path):
    text = LAUNCH.replace("Ann Boil", "Änn").encode("latin-1")
    project = new_project(tmp_path, text)
    byte = text.index("Ä".encode("latin-1"))
    assert said(project) == (1, [f"35: not UTF-8 (byte {byte}); save the file as UTF-8 [file/encoding]"])


def test_a_file_in_utf_16_is_refused(tmp_path):
    project = new_project(tmp_path, LAUNCH.encode("utf-16-le"))
    code, (line, *_) = said(project)
    assert (code, line) == (1, "1: control character U+0000; remove it [file/yaml]")


def test_a_byte_order_mark_changes_nothing(tmp_path):
    plain, marked = (
        new_project(tmp_path / "a").plan(),
        new_project(tmp_path / "b", b"\xef\xbb\xbf" + LAUNCH.encode()).plan(),
    )
    assert plain == marked


@pytest.mark.parametrize("ends", [["\r\n"], ["\r"], ["\n", "\r\n"]])
def test_line_ends_of_other_systems_change_nothing_and_count_as_one(tmp_path, ends):
    lines = LAUNCH.splitlines()
    text = "".join(line + ends[number % len(ends)] for number, line in enumerate(lines))
    assert new_project(tmp_path / "a").plan() == new_project(tmp_path / "b", text.encode()).plan()
    wrong = new_project(tmp_path / "c", text.replace("metric: members", "metric: membrs").encode())
    assert said(wrong)[1][0].startswith("57: ")


def test_a_file_larger_than_any_launch_is_refused_without_reading_all_of_it(tmp_path):
    project = new_project(tmp_path, LAUNCH + "#" * 4_000_000)
    assert said(project) == (1, ["1: the file is larger than 4,000,000 bytes; split the launch [file/yaml]"])


def test_a_very_long_value_is_cut_in_the_finding(tmp_path):
    project = new_project(tmp_path).change('"D-6 10:00"', '"' + "ab " * 5000 + '"')
    (line,) = said(project)[1]
    assert line.startswith('46: phases.recruit.steps[0].at: "ab ab')
    assert len(line) < 1000


def test_a_value_of_several_lines_is_told_on_one(tmp_path):
    project = new_project(tmp_path).change("metric: members", 'metric: "mem\\n  bers"')
    assert said(project)[1] == [
        '57: phases.recruit.gate.thresholds[0].metric: unknown metric "mem bers"; did you mean "members"? [name/metric]'
    ]


def test_a_number_of_five_thousand_digits_is_refused(tmp_path):
    project = new_project(tmp_path).change("The quiet kettle", "9" * 5000)
    what = "3: title: this value has more than 18 digits; put it in quotes if it is a name [file/yaml]"
    assert said(project) == (1, [what])


def test_two_mistakes_are_told_in_the_order_of_the_file(tmp_path):
    project = new_project(tmp_path).change("metric: members", "metric: membrs").change("kind: console", "kind: consol")
    assert [line.partition(":")[0] for line in said(project)[1]] == ["23", "57"]


def test_a_missing_file_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match=r"x\.yaml: no such file; create one with `drumroll new NAME`"):
        load_launch(tmp_path / "x.yaml")


def test_a_folder_instead_of_a_file_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match=r"cannot be read: Is a directory"):
        load_launch(tmp_path)
