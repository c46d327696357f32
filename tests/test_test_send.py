"""`drumroll test-send`: the real text, to the team alone, and nothing of it counts."""

import json

import pytest

from drumroll.ledger.ledger import default_url
from drumroll.operate.edition import Where, begin
from tests.launch_files import drumroll, new_project
from tests.prefect_server import free_port

FILE = "configs/kettle.yaml"
STAFF_GROUPS = """\
  staff_groups:
    - {id: lab, name: The lab, channel: log}
    - {id: desk, name: The desk, channel: by_hand}
    - {id: away, name: Away, channel: bridge}
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DRUMROLL_LEDGER", raising=False)
    project = new_project(tmp_path)
    more = f"    log: {{kind: file, path: lab.jsonl}}\n    bridge: {{kind: webhook, url: 'http://127.0.0.1:{free_port()}'}}\n"
    project.change("    screen:\n", more + "    screen:\n")
    return project.change("  segments:\n", STAFF_GROUPS + "  segments:\n")


@pytest.fixture
def begun(project):
    """The edition of the launch, which has begun."""
    plan = project.plan()
    where = Where(plan.edition, default_url(project.root), str(project.root))
    begin(plan, ledger=where.open(), rehearsal=False, now=plan.phases[0].starts)
    yield where
    where.open().close()


def sent(project):
    log = project.root / "lab.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def tries(where):
    found = where.open().decisions(where.edition)
    return [(each.subject, each.choice, each.by, each.reason) for each in found]


def test_the_text_is_that_of_the_steps_own_instant(project):
    ran = drumroll("test-send", FILE, "two-hours", "--to", "lab", "--by", "Ann")
    assert (ran.code, ran.out) == (0, "two-hours was sent to The lab (lab) through log\n")
    [line] = sent(project)
    assert (line["text"], line["group"], line["due"]) == ("2 hours left", "lab", "2027-01-16T02:00:00Z")


def test_a_remedy_can_be_tried_as_well(project):
    assert drumroll("test-send", FILE, "recruit.remedy.invite", "--to", "lab", "--by", "Ann").code == 0
    assert sent(project)[0]["text"] == "Who is here?"


def test_no_two_tests_share_a_key_and_none_has_that_of_a_delivery(project):
    for _ in range(2):
        drumroll("test-send", FILE, "terms", "--to", "lab", "--by", "Ann")
    one, two = (line["key"] for line in sent(project))
    assert one != two
    assert all(key.startswith("drt_") for key in (one, two))


def test_a_running_edition_is_tried_by_its_own_plan_and_nothing_counts_as_sent(project, begun):
    before = begun.open().deliveries(begun.edition)
    project.template("en/ignite/countdown.md.j2", "something else {{ left }}\n")
    assert drumroll("test-send", "kettle", "two-hours", "--to", "lab", "--by", "Ann").code == 0
    assert sent(project)[0]["text"] == "2 hours left"
    assert begun.open().deliveries(begun.edition) == before
    assert begun.open().wordings(begun.edition) == []
    assert tries(begun) == [("test two-hours", "sent", "Ann", "to lab")]


def test_a_file_whose_edition_has_begun_leaves_its_trace_there(project, begun):
    assert drumroll("test-send", FILE, "terms", "--to", "lab", "--by", "Ann").code == 0
    assert tries(begun) == [("test terms", "sent", "Ann", "to lab")]


def test_what_is_posted_by_hand_is_printed(project):
    ran = drumroll("test-send", FILE, "two-hours", "--to", "desk", "--by", "Ann")
    assert (ran.code, ran.out) == (0, "to post by hand in The desk:\n\n2 hours left\n")


def test_what_does_not_arrive_is_said_and_recorded_and_exits_with_1(project, begun):
    ran = drumroll("test-send", "kettle", "terms", "--to", "away", "--by", "Ann")
    assert (ran.code, ran.out) == (1, "")
    assert "terms to away: did not arrive (transient): " in ran.err
    [(subject, choice, _, reason)] = tries(begun)
    assert (subject, choice, reason.startswith("to away: ")) == ("test terms", "failed", True)


def test_the_json_of_a_test(project):
    ran = drumroll("test-send", FILE, "two-hours", "--to", "lab", "--by", "Ann", "--json")
    document = json.loads(ran.out)
    assert document == {
        "edition": "kettle@2027-01-16",
        "step": "two-hours",
        "group": "lab",
        "channel": "log",
        "state": "sent",
        "message_id": sent(project)[0]["key"],
        "text": "2 hours left",
    }


def test_a_console_channel_does_not_print_into_the_json(project):
    project.change("{id: lab, name: The lab, channel: log}", "{id: lab, name: The lab, channel: screen, address: x}")
    ran = drumroll("test-send", FILE, "two-hours", "--to", "lab", "--by", "Ann", "--json")
    assert json.loads(ran.out)["state"] == "sent"
    assert "The lab · two-hours" in ran.err


@pytest.mark.parametrize(
    ("step", "group", "message"),
    [
        (
            "terms",
            "east",
            "east: is a group of members: nothing is tried out on them; choose one of the team's own: lab",
        ),
        ("terms", "labb", 'kettle has no staff group "labb"; did you mean "lab"?'),
        ("term", "lab", 'kettle@2027-01-16 has no step "term"; did you mean "terms"?'),
    ],
)
def test_a_test_that_cannot_be_meant_is_a_usage_error_and_sends_nothing(project, step, group, message):
    ran = drumroll("test-send", FILE, step, "--to", group, "--by", "Ann")
    assert (ran.code, message in ran.err) == (2, True), ran.err
    assert sent(project) == []


def test_without_staff_groups_the_launch_file_is_named(project):
    project.change(STAFF_GROUPS, "")
    ran = drumroll("test-send", FILE, "terms", "--to", "lab")
    assert (ran.code, "name one under community.staff_groups of the launch file" in ran.err) == (2, True)


def test_a_rehearsal_is_not_tried_out(project):
    plan = project.plan()
    where = Where(plan.edition, default_url(project.root), str(project.root))
    begin(plan, ledger=where.open(), rehearsal=True, now=plan.phases[0].starts)
    ran = drumroll("test-send", "kettle", "terms", "--to", "lab")
    assert (ran.code, "is a rehearsal" in ran.err) == (2, True)
    where.open().close()


# The groups of the team's own in the launch file.


@pytest.mark.parametrize(
    "group",
    [
        "{id: lab, name: The lab, channel: screen}",  # where East is
        "{id: lab, name: The lab, channel: mirror}",  # the same by another name
    ],
)
def test_a_staff_group_that_leads_where_members_are_is_refused(project, group):
    project.change("    screen:\n", "    mirror: {kind: console}\n    screen:\n")
    project.change("{id: lab, name: The lab, channel: log}", group)
    finding = project.finding("group/staff")
    assert finding.line == project.line(group)
    assert "leads where the group east is" in finding.what


def test_a_staff_group_has_a_name_and_a_channel_that_are_known(project):
    project.change("id: lab, name: The lab, channel: log", "id: east, name: The lab, channel: logg")
    assert 'the group "east" is declared twice' in project.finding("name/duplicate").what
    assert 'unknown channel "logg"' in project.finding("name/channel").what


def test_a_launch_without_staff_groups_keeps_its_hash_and_one_with_them_speaks_to_the_same_members(project):
    with_them = project.plan()
    without = project.change(STAFF_GROUPS, "").plan()
    assert "staff_groups" not in without.launch.community.model_dump()
    assert with_them.hash != without.hash
    assert [step.groups for step in with_them.steps] == [step.groups for step in without.steps]
