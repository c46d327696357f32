"""The commands that read the ledger, and the few that write a person's word into it."""

import json
import sys
from datetime import timedelta
from types import SimpleNamespace

import pytest
import small_launch
from small_launch import EDITION, NOW, STARTS, begun, halfway, held, ledger_of, send

from drumroll.activity import Event
from drumroll.cli.main import main
from drumroll.clock import VirtualClock, using_clock
from drumroll.ledger.model import Settlement
from drumroll.ledger.schema import HEAD
from drumroll.ledger.states import STATES
from drumroll.operate.gating import decide
from drumroll.report.standing import answers

CLUE_ONE, CLUE_TWO = f"{EDITION}/clue/1/one", f"{EDITION}/clue/1/two"


@pytest.fixture
def drumroll(tmp_path, monkeypatch, capsys):
    """Runs the command in the project at NOW: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DRUMROLL_LEDGER", raising=False)

    def run(*arguments, now=NOW):
        monkeypatch.setattr(sys, "argv", ["drumroll", *arguments])
        with using_clock(VirtualClock(now)), pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return run


@pytest.fixture
def as_json(drumroll):
    def run(*arguments, **more):
        code, out, err = drumroll(*arguments, "--json", **more)
        assert err == ""
        return code, json.loads(out)

    return run


# status


def test_status_tells_machines_where_it_stands(tmp_path, as_json, snapshot):
    halfway(tmp_path)
    code, document = as_json("status")
    assert code == 1
    assert document == snapshot


def test_status_is_content_while_nothing_needs_a_person(tmp_path, drumroll):
    begun(tmp_path)
    code, out, _ = drumroll("status", "spring", now=STARTS)
    assert code == 0
    assert "in recruit, 0 of 6 deliveries sent, opens Sat 2027-03-06 12:00 UTC" in out
    assert "next: hello, number 1, Wed 2027-03-03 10:00" in out


def test_status_names_the_engine_that_runs_an_edition_as_long_as_it_lives(tmp_path, drumroll, as_json):
    token = halfway(tmp_path).open().take_lease(EDITION, owner="process 7", now=NOW, ttl=timedelta(seconds=12))
    assert token == 1
    _, out, _ = drumroll("status", now=NOW + timedelta(seconds=5))
    assert "run by process 7 since Thu 2027-03-04 12:10" in out
    _, document = as_json("status", now=NOW + timedelta(seconds=5))
    assert document["editions"][0]["engine"] == {"owner": "process 7", "since": "2027-03-04T12:10:00Z"}
    _, document = as_json("status", now=NOW + timedelta(seconds=12))
    assert document["editions"][0]["engine"] is None


def test_status_ends_with_1_for_a_held_gate_and_says_how_to_decide(tmp_path, as_json):
    held(tmp_path)
    ledger_of(tmp_path).resolve(CLUE_ONE, "sent", by="Ann", reason="seen", now=NOW)
    code, document = as_json("status", now=NOW + timedelta(hours=2))
    gate = document["editions"][0]["needs"][0]
    assert (code, gate["what"], gate["key"]) == (1, "gate", "recruit")
    assert gate["command"] == f"drumroll gate {EDITION} recruit --decide pass --by NAME --reason TEXT"
    assert "active_rate" in gate["why"]


def test_an_overdue_hand_off_is_listed_but_no_failure(tmp_path, as_json):
    halfway(tmp_path)
    ledger_of(tmp_path).resolve(CLUE_ONE, "sent", by="Ann", reason="seen", now=NOW)
    code, document = as_json("status")
    assert code == 0
    assert document["editions"][0]["needs"] == [
        {"what": "hand-off", "key": CLUE_TWO, "why": "overdue by 10 m", "command": f"drumroll done {CLUE_TWO}"}
    ]


def test_an_ended_edition_has_neither_a_phase_nor_a_next_step(tmp_path, as_json):
    halfway(tmp_path)
    ledger_of(tmp_path).set_edition_state(EDITION, "done", now=NOW)
    _, document = as_json("status")
    edition = document["editions"][0]
    assert (edition["state"], edition["phase"], edition["next"]) == ("done", None, None)
    assert [need["what"] for need in edition["needs"]] == ["unknown", "hand-off"]


def test_status_without_a_ledger_says_what_to_do(tmp_path, drumroll):
    (tmp_path / "templates").mkdir()
    code, out, err = drumroll("status")
    assert (code, out) == (1, "")
    assert "there is no ledger yet; start a launch first" in err


def test_an_unknown_launch_names_the_known_ones(tmp_path, drumroll):
    begun(tmp_path)
    for command in (["status"], ["metrics"], ["gate"], ["today"], ["deliveries"], ["report"]):
        extra = ["recruit"] if command == ["gate"] else []
        code, _, err = drumroll(*command, "sprong", *extra)
        assert code == 1
        assert f'no edition or launch "sprong"; known: {EDITION}' in err


def test_a_retry_that_is_late_is_listed_with_its_error(tmp_path, as_json):
    begun(tmp_path)
    ledger, at = ledger_of(tmp_path), STARTS + timedelta(hours=1)
    (claim,) = ledger.claim(EDITION, "hello", 1, now=at, limit=5, lease=timedelta(seconds=9), channel="log")
    again = at + timedelta(minutes=8)
    ledger.settle([Settlement(claim, "retry", error="503 [busy]", retry_at=again)], now=at)

    def needs(minutes):
        code, document = as_json("status", now=at + timedelta(minutes=minutes))
        return code, [need for need in document["editions"][0]["needs"] if need["what"] == "retry"]

    assert needs(5) == (0, [])
    assert needs(6) == (
        0,
        [
            {
                "what": "retry",
                "key": claim.key,
                "why": "503 [busy] (tried again at 10:08)",
                "command": f"drumroll deliveries {EDITION} --state retry",
            }
        ],
    )


@pytest.mark.parametrize(("state", "offered"), [("unknown", "sent|resend|skip"), ("failed", "resend|skip")])
def test_status_offers_the_answers_that_fit(tmp_path, drumroll, state, offered):
    begun(tmp_path)
    ledger, at = ledger_of(tmp_path), STARTS + timedelta(hours=1)
    (claim,) = ledger.claim(EDITION, "hello", 1, now=at, limit=1, lease=timedelta(seconds=9), channel="log")
    ledger.settle([Settlement(claim, state, error="gone")], now=at)
    _, out, _ = drumroll("status", now=at)
    assert f"drumroll resolve {claim.key} --as {offered} --by NAME --reason TEXT" in out


# metrics


def test_metrics_tells_machines_every_value(tmp_path, as_json, snapshot):
    halfway(tmp_path)
    code, document = as_json("metrics", EDITION)
    assert code == 0
    assert document == snapshot


def test_metrics_of_one_group_are_that_groups(tmp_path, as_json):
    halfway(tmp_path)
    _, document = as_json("metrics", "spring", "--group", "two")
    assert {value["group"] for value in document["values"]} == {"two"}
    assert next(value["value"] for value in document["values"] if value["metric"] == "members") == 4


def test_metrics_names_the_group_that_was_meant(tmp_path, drumroll):
    begun(tmp_path)
    code, _, err = drumroll("metrics", "spring", "--group", "too")
    assert code == 2
    assert 'has no group "too"; did you mean "two"?' in err


def test_metrics_prints_names_as_they_are(tmp_path, drumroll):
    halfway(tmp_path)
    _, out, _ = drumroll("metrics", "spring")
    assert "Room [one] <b>" in out
    assert "75.0%  40.9–92.9%" in out
    assert "Staff (1) and bots (1) are outside every number" in out


def test_a_group_in_which_nothing_happened_is_one_line(tmp_path, drumroll):
    begun(tmp_path)
    ledger_of(tmp_path).take_in(EDITION, [], [Event("t", "j", "join", STARTS, "one", "m0")])
    _, out, _ = drumroll("metrics", "spring")
    assert out.endswith("\nRoom two: nothing to measure\n")
    assert "\nWhole\n" in out
    assert "\nRoom [one] <b>\n" in out


# gate


def test_gate_tells_machines_why_it_stands_where_it_stands(tmp_path, as_json, snapshot):
    held(tmp_path)
    code, document = as_json("gate", "spring", "recruit", now=NOW + timedelta(hours=2))
    assert code == 1
    assert document == snapshot


def test_a_gate_that_was_not_read_yet_says_what_it_would_be(tmp_path, drumroll):
    halfway(tmp_path)
    code, out, _ = drumroll("gate", "spring", "recruit")
    assert code == 0
    assert "not read yet; planned for Thu 2027-03-04 14:00 UTC" in out
    assert "now it would be: hold\n  members 8 (all counted) ≥ 4 ✓" in out


def test_a_decision_is_kept_with_name_and_reason_and_frees_the_gate(tmp_path, drumroll):
    held(tmp_path)
    choice = ["--decide", "pass", "--by", "Ann", "--reason", "loud [enough]"]
    code, out, _ = drumroll("gate", "spring", "recruit", *choice, now=NOW + timedelta(hours=3))
    assert code == 0
    assert out.startswith("passed by Ann: loud [enough]\nspring@2027-03-06 · gate of recruit")
    assert "Thu 2027-03-04 15:10  pass by Ann: loud [enough]" in out
    (decision,) = ledger_of(tmp_path).decisions(EDITION, "gate recruit")
    assert (decision.choice, decision.by, decision.reason) == ("pass", "Ann", "loud [enough]")


@pytest.mark.parametrize(
    "options",
    [
        ["--decide", "pass"],
        ["--decide", "pass", "--by", "Ann"],
        ["--decide", "pass", "--by", " ", "--reason", "x"],
        ["--by", "Ann"],
        ["--decide", "maybe", "--by", "Ann", "--reason", "x"],
    ],
)
def test_a_decision_without_all_of_it_is_a_usage_error(tmp_path, drumroll, options):
    held(tmp_path)
    code, _, _ = drumroll("gate", "spring", "recruit", *options)
    assert code == 2
    assert ledger_of(tmp_path).decisions(EDITION, "gate recruit") == []


def test_only_a_held_gate_can_be_decided(tmp_path, drumroll):
    halfway(tmp_path)
    code, _, err = drumroll("gate", "spring", "recruit", "--decide", "pass", "--by", "Ann", "--reason", "x")
    assert code == 1
    assert "the gate of recruit has not been read yet" in err


def test_gate_takes_a_phase_with_a_dash_and_corrects_a_slip(tmp_path, drumroll):
    begun(tmp_path)
    code, _, err = drumroll("gate", "spring", "re-crut")
    assert code == 2
    assert 'has no phase "re-crut"; did you mean "recruit"?' in err


# today and done


def test_today_tells_machines_what_to_post(tmp_path, as_json, snapshot):
    halfway(tmp_path)
    code, document = as_json("today", "--all")
    assert code == 0
    assert document == snapshot


def test_today_prints_the_text_to_copy_as_it_is(tmp_path, drumroll):
    begun(tmp_path)
    code, out, _ = drumroll("today", "spring", now=STARTS)
    assert code == 0
    assert "Wed 2027-03-03 10:00 UTC, to come (preview) · to Room two, by Ann" in out
    assert (
        "\nNo. 01 · Hello <script>alert(1)</script> [bold]all[/bold]\nSecond line\nNext: tomorrow at 12:00, a clue\n"
        in out
    )
    assert "doors" not in out


def test_today_shows_nothing_from_behind_a_gate_that_has_not_passed(tmp_path, as_json):
    held(tmp_path)
    later = NOW + timedelta(days=2)
    assert [item["step"] for item in as_json("today", "--all", now=later)[1]["items"]] == ["clue"]
    choice = ["--decide", "pass", "--by", "Ann", "--reason", "x"]
    as_json("gate", "spring", "recruit", *choice, now=later)
    assert [item["step"] for item in as_json("today", "--all", now=later)[1]["items"]] == ["clue", "doors"]


def test_what_is_still_to_come_is_never_overdue(tmp_path, as_json):
    begun(tmp_path)
    late = STARTS + timedelta(hours=3)
    items = as_json("today", "--all", now=late)[1]["items"]
    assert [(item["step"], item["state"], item["overdue_seconds"]) for item in items] == [
        ("hello", "due", 0),
        ("clue", "due", 0),
    ]


def test_today_asks_for_a_decision_about_what_is_held(tmp_path, drumroll, as_json):
    begun(tmp_path)
    at = STARTS + timedelta(hours=7)
    ledger_of(tmp_path).set_aside(EDITION, "hello", 1, to="held", reason="6h late; a person decides", now=at)
    key = f"{EDITION}/hello/1/two"
    _, out, _ = drumroll("today", now=at)
    assert "Wed 2027-03-03 10:00 UTC, held: needs a decision · to Room two, by Ann\n" in out
    assert f"6h late; a person decides\n  drumroll resolve {key} --as resend|skip --by NAME --reason TEXT\n" in out
    assert "Hello" not in out
    item = as_json("today", now=at)[1]["items"][0]
    assert (item["state"], item["text"], item["note"]) == ("held", None, "6h late; a person decides")


def test_the_order_link_is_never_shown_before_the_step_that_reveals_it_is_handed_over(tmp_path, drumroll, monkeypatch):
    link = "https://kettle.example/order"
    launch = small_launch.LAUNCH.replace("phases:", f"facts: {{link: {link}}}\nphases:", 1)
    launch = launch.replace("topic: the doors}", "topic: the doors, reveals: [link]}")
    last = '      - {id: last, at: "D 18:00", kind: prompt}\n'
    monkeypatch.setattr(small_launch, "LAUNCH", launch + last)
    monkeypatch.setitem(small_launch.TEMPLATES, "ignite/doors", "{{ step.label }} {{ facts.link }}")
    monkeypatch.setitem(small_launch.TEMPLATES, "ignite/last", "Again: {{ facts.link }}")
    where = held(tmp_path)
    decide(where, "recruit", "pass", by="Ann", reason="x", now=NOW + timedelta(hours=3))
    eve = where.plan().opens - timedelta(hours=1)
    _, out, _ = drumroll("today", "--all", now=eve)
    assert link not in out
    assert out.count("(its text tells link, and is shown when it is handed over)") == 2
    send(where, "doors", where.plan().opens)
    assert drumroll("today", "--all", now=where.plan().opens)[1].count(link) == 2


def test_today_says_how_overdue_a_hand_off_is(tmp_path, drumroll):
    halfway(tmp_path)
    _, out, _ = drumroll("today", now=NOW + timedelta(minutes=2))
    assert "overdue by 12 m · to Room two, by Ann" in out
    assert CLUE_TWO in out


def test_today_without_a_launch_leaves_out_what_has_ended(tmp_path, as_json):
    halfway(tmp_path)
    ledger_of(tmp_path).set_edition_state(EDITION, "aborted", now=NOW)
    assert as_json("today")[1] == {"items": []}
    assert [item["key"] for item in as_json("today", "spring")[1]["items"]] == [CLUE_TWO]


def test_no_text_can_move_the_cursor_of_the_terminal(tmp_path, drumroll):
    where = begun(tmp_path)
    ledger, at = ledger_of(tmp_path), STARTS + timedelta(minutes=30)
    sha = ledger.keep_wording(EDITION, "hello", 1, "a\x1b[2Jb 👩\u200d👧", now=at)
    (claim,) = ledger.claim(EDITION, "hello", 1, now=at, limit=5, lease=timedelta(seconds=9))
    ledger.settle([Settlement(claim, "awaiting", wording=sha)], now=at)
    _, out, _ = drumroll("today", where.edition, now=at)
    assert "a[2Jb 👩\u200d👧" in out
    assert "\x1b" not in out


def test_done_ticks_off_and_says_how_late(tmp_path, as_json, snapshot):
    halfway(tmp_path)
    code, document = as_json("done", CLUE_TWO, "--by", "Ann")
    assert code == 0
    assert document == snapshot
    assert ledger_of(tmp_path).delivery(CLUE_TWO).state == "sent"


def test_a_proof_goes_on_record_with_the_tick(tmp_path, as_json, drumroll):
    halfway(tmp_path)
    code, document = as_json("done", CLUE_TWO, "--by", "Ann", "--proof", " https://example.org/shot.png ")
    assert (code, document["proof"]) == (0, "https://example.org/shot.png")
    [decided] = ledger_of(tmp_path).decisions(EDITION, CLUE_TWO)
    assert (decided.choice, decided.by, decided.reason) == ("done", "Ann", "https://example.org/shot.png")


def test_a_proof_is_printed_with_the_tick(tmp_path, drumroll):
    halfway(tmp_path)
    _, out, _ = drumroll("done", CLUE_TWO, "--by", "Ann", "--proof", "shot-7.png")
    assert out == f"{CLUE_TWO}: sent, 10 m late, ticked off by Ann (shot-7.png)\n"


def test_done_takes_the_login_name(tmp_path, drumroll, monkeypatch):
    halfway(tmp_path)
    monkeypatch.setenv("LOGNAME", "jonah")
    code, out, _ = drumroll("done", CLUE_TWO, CLUE_TWO)
    assert code == 0
    assert out == f"{CLUE_TWO}: sent, 10 m late, ticked off by jonah\n"


def test_done_ticks_off_nothing_when_one_key_is_wrong(tmp_path, drumroll):
    halfway(tmp_path)
    hello = f"{EDITION}/hello/1/two"
    code, _, err = drumroll("done", CLUE_TWO, hello, "--by", "Ann")
    assert code == 1
    assert f"{hello}: is sent, and only what is awaiting can be ticked off; `drumroll today` lists what waits" in err
    assert ledger_of(tmp_path).delivery(CLUE_TWO).state == "awaiting"


def test_done_names_the_answers_of_an_open_question(tmp_path, drumroll):
    halfway(tmp_path)
    code, _, err = drumroll("done", CLUE_ONE)
    assert code == 1
    answer = f"`drumroll resolve {CLUE_ONE} --as sent|resend|skip --by NAME --reason TEXT`"
    assert (
        err == f"error: {CLUE_ONE}: is unknown, and only what is awaiting can be ticked off; answer it with {answer}\n"
    )


def test_done_finds_the_key_that_was_meant(tmp_path, drumroll):
    halfway(tmp_path)
    code, _, err = drumroll("done", f"{EDITION}/clue/1/too")
    assert code == 1
    assert f"did you mean {CLUE_TWO}" in err


# deliveries and resolve


def test_deliveries_tells_machines_every_state(tmp_path, as_json, snapshot):
    halfway(tmp_path)
    code, document = as_json("deliveries", "spring")
    assert code == 1
    assert document == snapshot


def test_deliveries_of_one_step_or_state(tmp_path, as_json):
    halfway(tmp_path)
    _, of_step = as_json("deliveries", "spring", "--step", "clue")
    _, of_state = as_json("deliveries", "spring", "--state", "unknown")
    assert [row["key"] for row in of_step["deliveries"]] == [CLUE_ONE, CLUE_TWO]
    assert [row["key"] for row in of_state["deliveries"]] == [CLUE_ONE]


def test_deliveries_ends_with_0_when_none_is_unknown(tmp_path, drumroll):
    begun(tmp_path)
    assert drumroll("deliveries", "spring")[0] == 0


def test_the_table_shows_whole_keys_where_it_is_piped(tmp_path, drumroll):
    halfway(tmp_path)
    _, out, _ = drumroll("deliveries", "spring")
    (line,) = [line for line in out.splitlines() if CLUE_ONE in line]
    assert "unknown" in line
    assert line.rstrip().endswith("the answer [never] came")


def test_deliveries_names_the_step_that_was_meant(tmp_path, drumroll):
    begun(tmp_path)
    code, _, err = drumroll("deliveries", "spring", "--step", "clu")
    assert code == 2
    assert 'has no step "clu"; did you mean "clue"?' in err


def test_resolve_records_the_answer(tmp_path, as_json, snapshot):
    halfway(tmp_path)
    code, document = as_json("resolve", CLUE_ONE, "--as", "sent", "--by", "Ann", "--reason", "seen in the room")
    assert code == 0
    assert document == snapshot
    (decision,) = ledger_of(tmp_path).decisions(EDITION, CLUE_ONE)
    assert (decision.choice, decision.by, decision.reason) == ("sent", "Ann", "seen in the room")


@pytest.mark.parametrize(
    ("key", "says"),
    [
        (f"{EDITION}/hello/1/one", "is sent, which no answer fits; only held, unknown and failed deliveries take one"),
        (CLUE_TWO, f"is awaiting, which no answer fits; tick it off with `drumroll done {CLUE_TWO}`"),
    ],
)
def test_resolve_refuses_what_asks_nothing(tmp_path, drumroll, key, says):
    halfway(tmp_path)
    code, _, err = drumroll("resolve", key, "--as", "sent", "--by", "Ann", "--reason", "x")
    assert code == 1
    assert says in err


def test_resolve_offers_the_answers_that_a_state_allows(tmp_path, drumroll):
    begun(tmp_path)
    ledger, at = ledger_of(tmp_path), STARTS + timedelta(hours=1)
    claims = ledger.claim(EDITION, "hello", 1, now=at, limit=5, lease=timedelta(seconds=9))
    ledger.settle([Settlement(claim, "failed", error="gone") for claim in claims], now=at)
    code, _, err = drumroll("resolve", claims[0].key, "--as", "sent", "--by", "Ann", "--reason", "x")
    assert code == 1
    assert 'is failed, which "sent" does not answer; answer with --as resend or --as skip' in err


def test_what_is_sent_again_after_the_end_sets_the_launch_going_again(tmp_path, drumroll):
    halfway(tmp_path)
    ledger_of(tmp_path).set_edition_state(EDITION, "done", now=NOW)
    code, out, _ = drumroll("resolve", CLUE_ONE, "--as", "resend", "--by", "Ann", "--reason", "not there")
    assert code == 0
    assert "the launch was done: run it with `drumroll start FILE`" in out
    assert (ledger_of(tmp_path).edition(EDITION).state, ledger_of(tmp_path).delivery(CLUE_ONE).state) == (
        "running",
        "due",
    )


def test_an_aborted_launch_sends_nothing_again(tmp_path, drumroll):
    halfway(tmp_path)
    ledger_of(tmp_path).set_edition_state(EDITION, "aborted", now=NOW)
    code, _, err = drumroll("resolve", CLUE_ONE, "--as", "resend", "--by", "Ann", "--reason", "not there")
    assert code == 1
    assert "its launch is aborted, and sends nothing any more; answer with --as skip" in err
    assert ledger_of(tmp_path).delivery(CLUE_ONE).state == "unknown"
    assert drumroll("resolve", CLUE_ONE, "--as", "sent", "--by", "Ann", "--reason", "seen")[0] == 0


def test_resolve_documents_the_answers_of_every_state(drumroll):
    help_text = " ".join(drumroll("resolve", "--help")[1].split())
    for state in STATES:
        row = SimpleNamespace(state=state)
        *some, last = answers(row) or ["", ""]
        told = f"{state.capitalize()}: {', '.join(some)} or {last}."
        assert (told in help_text) == bool(answers(row))
        assert (f"{state.capitalize()}:" in help_text) == bool(answers(row))


def test_resolve_wants_a_name_and_a_reason(tmp_path, drumroll):
    halfway(tmp_path)
    assert drumroll("resolve", CLUE_ONE, "--as", "sent")[0] == 2
    assert drumroll("resolve", CLUE_ONE, "--as", "sent", "--by", "", "--reason", "x")[0] == 2
    assert ledger_of(tmp_path).delivery(CLUE_ONE).state == "unknown"


# report and db


def test_report_prints_its_path_last(tmp_path, drumroll):
    halfway(tmp_path)
    code, out, _ = drumroll("report", "spring")
    path = out.splitlines()[-1]
    assert code == 0
    assert path == str(tmp_path / ".drumroll" / "reports" / f"{EDITION}.html")
    assert "At a glance" in (tmp_path / path).read_text(encoding="utf-8")


def test_report_tells_machines_its_head(tmp_path, as_json, snapshot):
    halfway(tmp_path)
    out = tmp_path / "spring.html"
    code, document = as_json("report", EDITION, "--out", str(out))
    assert code == 0
    assert document.pop("path") == str(out)
    assert len(document.pop("plan")) == 64
    assert document == snapshot


def test_report_makes_no_folders(tmp_path, drumroll):
    halfway(tmp_path)
    code, out, err = drumroll("report", "spring", "--out", "deep/er/spring.html")
    assert (code, out) == (2, "")
    assert err == "error: deep/er: no such folder; create it, or give another path with --out\n"
    assert not (tmp_path / "deep").exists()


def test_db_upgrade_makes_a_ledger_and_says_so_once(tmp_path, drumroll, as_json):
    url = f"sqlite:///{tmp_path}/new/ledger.db"
    code, document = as_json("db", "upgrade", "--ledger", url)
    assert (code, document) == (0, {"ledger": f"{tmp_path}/new/ledger.db", "before": None, "after": HEAD})
    code, out, _ = drumroll("db", "upgrade", "--ledger", url)
    assert (code, out) == (0, f"{tmp_path}/new/ledger.db: already at {HEAD}\n")


def test_db_upgrade_leaves_another_programs_database_alone(tmp_path, drumroll):
    import sqlite3

    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE theirs (x)")
    code, _, err = drumroll("db", "upgrade", "--ledger", f"sqlite:///{tmp_path}/other.db")
    assert code == 1
    assert "holds another program's tables" in err
