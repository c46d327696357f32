"""An approval binds to one plan: what begins live is what somebody looked at, and who it was is on record."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drumroll.errors import DrumrollError, UsageError
from drumroll.ledger.ledger import open_ledger
from drumroll.ledger.model import DecisionRow
from drumroll.operate import opening
from drumroll.operate.approval import Call
from drumroll.operate.edition import begin
from drumroll.operate.opening import open_edition
from tests.launch_files import drumroll, new_project

OPENS = "2100-01-16 12:00"  # live launches go by the wall clock
EDITION = "kettle@2100-01-16"
STAFF = "  staff:\n    - {name: Ann, role: host, ids: [ann]}\n"


@pytest.fixture
def project(tmp_path):
    return new_project(tmp_path)


@pytest.fixture
def strict(project):
    """The same launch, which needs approval; Ann is its only person, beside a bot."""
    project.change(STAFF, STAFF + "    - {name: Robo, role: bot}\n")
    return project.change("locale: en\n", "locale: en\napproval: required\n")


def ledger_of(project):
    return f"sqlite:///{project.root / 'ledger.db'}"


def begun(project):
    """Ids of the editions that have begun."""
    return [row.id for row in open_ledger(ledger_of(project)).editions()]


def decisions(project):
    found = open_ledger(ledger_of(project)).decisions(EDITION)
    return [(each.subject, each.choice, each.by) for each in found]


async def launch(project, approved=None, by=None):
    await open_edition(project.file, opens=OPENS, ledger=ledger_of(project), approved=approved, by=by)


def run(project, *arguments):
    """`drumroll run`, as far as the refusals that come before Prefect is started."""
    return drumroll("run", project.file, "--opens", OPENS, "--ledger", ledger_of(project), *arguments)


def change_text(project):
    project.template("en/recruit/prompt.md.j2", "Who is there?\n")


# ── the beginning ──


async def test_the_approved_plan_begins_and_the_approval_is_on_record_once(strict):
    plan = strict.plan(OPENS)
    await launch(strict, plan.hash[:8], "Ann")
    await launch(strict, plan.hash[:8], "Ann")
    assert decisions(strict) == [("plan", f"approved {plan.hash[:12]}", "Ann")]


async def test_the_whole_hash_in_capitals_approves_as_well(strict):
    await launch(strict, strict.plan(OPENS).hash.upper(), "Ann")
    assert begun(strict) == [EDITION]


async def test_a_plan_that_changed_after_its_approval_does_not_begin(project):
    before = project.plan(OPENS).hash
    change_text(project)
    after = project.plan(OPENS).hash
    with pytest.raises(DrumrollError) as refused:
        await launch(project, before, "Ann")
    assert refused.value.message == f"approved {before[:12]}…, but this file compiles to {after[:12]}…"
    assert f"look at `drumroll plan {project.file} --opens '{OPENS}'`, then approve that" in str(refused.value)
    assert begun(project) == []


async def test_another_opening_is_another_plan_to_approve(project):
    with pytest.raises(DrumrollError, match="but this file compiles to"):
        await launch(project, project.plan().hash, "Ann")


@pytest.mark.parametrize("given", ["", "a1b2c3d", "not a hash", "a1b2c3d4…", "a" * 65])
async def test_what_is_no_hash_is_refused_as_such(project, given):
    with pytest.raises(UsageError, match="is no hash of a plan"):
        await launch(project, given, "Ann")
    assert begun(project) == []


async def test_a_name_alone_approves_nothing(project):
    with pytest.raises(UsageError, match='"Ann" approves nothing; add the plan\'s hash with --approved HASH'):
        await launch(project, by="Ann")


# ── approval: required ──


async def test_a_launch_that_needs_approval_does_not_begin_without(strict):
    with pytest.raises(DrumrollError, match=f"{EDITION}: nobody has approved this plan"):
        await launch(strict)
    assert begun(strict) == []


async def test_an_approval_that_is_required_needs_a_name(strict):
    with pytest.raises(UsageError, match=r"an approval goes on record; say whose with --by NAME, of team\.staff: Ann"):
        await launch(strict, strict.plan(OPENS).hash)


@pytest.mark.parametrize(
    ("name", "remedy"), [("Anne", 'did you mean "Ann"?'), ("Robo", "known: Ann"), (" ", "known: Ann")]
)
async def test_only_people_of_the_team_can_give_it(strict, name, remedy):
    with pytest.raises(UsageError, match=r"is nobody of team\.staff who can approve it") as refused:
        await launch(strict, strict.plan(OPENS).hash, name)
    assert refused.value.remedy == remedy
    assert begun(strict) == []


def test_a_rehearsal_needs_none(strict, tmp_path):
    plan, ledger = strict.plan(OPENS), open_ledger(ledger_of(strict))
    begin(plan, ledger=ledger, rehearsal=True, now=plan.phases[0].starts)
    asyncio.run(launch(strict))
    assert decisions(strict) == []


# ── approval: none ──


async def test_a_launch_that_needs_no_approval_begins_without_and_records_none(project):
    await launch(project)
    assert (begun(project), decisions(project)) == ([EDITION], [])


async def test_anybody_may_approve_it_by_any_name(project):
    plan = project.plan(OPENS)
    await launch(project, plan.hash[:10], "a client")
    assert decisions(project) == [("plan", f"approved {plan.hash[:12]}", "a client")]


async def test_it_is_recorded_by_the_login_name_when_nobody_is_named(project, monkeypatch):
    monkeypatch.setenv("LOGNAME", "bea")
    await launch(project, project.plan(OPENS).hash)
    assert [by for _, _, by in decisions(project)] == ["bea"]


# ── going on ──


async def test_an_edition_goes_on_by_its_stored_plan_and_needs_no_second_approval(strict):
    await launch(strict, strict.plan(OPENS).hash, "Ann")
    change_text(strict)
    await launch(strict)
    assert len(decisions(strict)) == 1


async def test_what_goes_on_is_held_against_the_plan_that_it_runs_not_the_file(strict):
    runs = strict.plan(OPENS).hash
    await launch(strict, runs, "Ann")
    change_text(strict)
    await launch(strict, runs, "Ann")
    with pytest.raises(DrumrollError) as refused:
        await launch(strict, strict.plan(OPENS).hash, "Ann")
    approved = strict.plan(OPENS).hash[:12]
    assert refused.value.message == f"approved {approved}…, but this edition runs plan {runs[:12]}…"
    assert f"drumroll plan {strict.file} --diff" in refused.value.remedy


async def test_a_plan_that_another_engine_began_meanwhile_is_held_against_the_approval_too(project, monkeypatch):
    approved, url = project.plan(OPENS), ledger_of(project)
    change_text(project)
    other = project.plan(OPENS)
    project.template("en/recruit/prompt.md.j2", "Who is here?\n")

    async def meanwhile(_plan, _project):
        begin(other, ledger=open_ledger(url), rehearsal=False, now=datetime.now(UTC))

    monkeypatch.setattr(opening, "try_channels", meanwhile)
    with pytest.raises(DrumrollError, match=f"but this edition runs plan {other.hash[:12]}"):
        await launch(project, approved.hash, "Ann")
    assert decisions(project) == []


def test_the_approval_is_written_with_the_edition_or_not_at_all(project):
    plan, ledger = project.plan(OPENS), open_ledger(ledger_of(project))
    now = datetime.now(UTC)
    for name in ("Ann", "Bea"):
        approval = DecisionRow(plan.edition, "plan", "approved", name, "", now)
        begin(plan, ledger=ledger, rehearsal=False, now=now, approval=approval)
    assert [by for _, _, by in decisions(project)] == ["Ann"]


# ── the command and the flow ──


def test_the_command_refuses_before_anything_is_started_and_says_what_to_run(strict):
    ran, digits = run(strict), strict.plan(OPENS).hash[:12]
    command = f"drumroll run {strict.file} --opens '{OPENS}' --approved {digits} --by Ann --ledger {ledger_of(strict)}"
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.endswith(f"then run `{command}`\n")


def test_with_several_people_it_lists_them(strict):
    strict.change(STAFF, STAFF + "    - {name: Bea, role: support}\n")
    assert run(strict).err.endswith("`, NAME being of team.staff: Ann, Bea\n")


def test_a_ledger_that_may_hold_a_password_is_not_repeated():
    call = Call(Path("x.yaml"), ledger="postgresql://u:secret@db/x")
    assert call.where_it_writes() == ["--ledger", "URL"]


def test_the_command_refuses_another_plan_too(project):
    ran = run(project, "--approved", "deadbeef")
    assert (ran.code, ran.out) == (1, "")
    assert "approved deadbeef…, but this file compiles to" in ran.err


def test_a_rehearsals_ledger_is_never_run_live(project):
    plan, ledger = project.plan(OPENS), open_ledger(ledger_of(project))
    begin(plan, ledger=ledger, rehearsal=True, now=plan.phases[0].starts)
    ran = run(project)
    assert (ran.code, ran.err) == (
        2,
        f"error: {EDITION}: is a rehearsal: nothing of it would be sent; drop --ledger\n",
    )


@pytest.mark.prefect
@pytest.mark.xdist_group("prefect")
async def test_the_launch_flow_refuses_what_was_not_approved(strict, prefect_api):
    from flows.launch import launch as flow

    for words in ({}, {"approved": "deadbeef", "approved_by": "Ann"}):
        with pytest.raises(DrumrollError, match=r"nobody has approved this plan|but this file compiles to"):
            await flow(str(strict.file), OPENS, ledger_of(strict), **words)
    assert begun(strict) == []
