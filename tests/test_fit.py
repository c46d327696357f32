"""The fit check: conditions, unit economics, an override by name, and what `check` says of them."""

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from drumroll.cli.fit import fit_lines
from drumroll.errors import LaunchRefusedError
from drumroll.fit import (
    CONDITIONS,
    SHORTEST,
    STARTER_RATES,
    UnitEconomics,
    break_even,
    judge_fit,
    money,
    unit_economics,
)
from drumroll.launchfile.load import load_launch
from drumroll.launchfile.models import Launch
from drumroll.launchfile.strict import read
from drumroll.ledger.ledger import open_ledger
from drumroll.operate.edition import begin
from drumroll.operate.opening import open_edition
from tests.launch_files import LAUNCH, drumroll, new_project

NO_FIT = re.sub(r"^fit:\n(?: .*\n)+", "", LAUNCH, flags=re.MULTILINE)
FIT = """\
fit:
  needs_selling: nobody believes that a kettle can be silent
  buyers: [parents of babies, people who work at night]
  impulse: the baby wakes up with the kettle; this one lets it sleep
  decision: days
  economics: {conversion: 3%, margin: 40%, team_cost: 100}
"""
OVERRIDE = "  override: {by: Ann, reason: the next batch carries it}\n"


@pytest.fixture
def project(tmp_path):
    return new_project(tmp_path, NO_FIT + FIT)


def fit_findings(project):
    return [finding for finding in project.check().findings if finding.rule.startswith("fit/")]


def judged(project):
    launch, _ = load_launch(project.file)
    return judge_fit(launch)


def condition(project, name):
    (found,) = [each for each in judged(project).conditions if each.name == name]
    return found


def economics(**changed):
    given = {
        "places": 400,
        "fill": Fraction(1),
        "conversion": Fraction("0.03"),
        "price": Fraction(3980),
        "margin": Fraction("0.4"),
        "team_cost": Fraction(15_000),
        "currency": "TWD",
    }
    return UnitEconomics(**{**given, **changed})


# The economics


def test_the_economics_of_four_hundred_places():
    case = economics(fill=Fraction("0.5"))
    assert (case.members, case.buyers, case.revenue) == (200, 6, 23_880)
    assert (case.contribution, case.surplus) == (9552, -5448)
    assert case.break_even_conversion == Fraction(15_000, 200 * 1592)
    assert case.break_even_members == ceil(Fraction(15_000) / (Fraction("0.03") * 1592)) == 315


shares = st.integers(1, 10_000).map(lambda hundredths: Fraction(hundredths, 10_000))
amounts = st.integers(1, 10**9).map(lambda cents: Fraction(cents, 100))
cases = st.builds(
    UnitEconomics,
    places=st.integers(1, 100_000),
    fill=shares,
    conversion=shares,
    price=amounts,
    margin=shares,
    team_cost=st.one_of(st.just(Fraction(0)), amounts),
    currency=st.just("TWD"),
)


def with_(case, **changed):
    fields = {name: getattr(case, name) for name in UnitEconomics.__dataclass_fields__}
    return UnitEconomics(**{**fields, **changed})


@given(cases)
def test_at_the_break_even_conversion_the_contribution_is_the_cost(case):
    needed = case.break_even_conversion
    assert with_(case, conversion=needed).contribution == case.team_cost
    assert (case.surplus >= 0) == (case.conversion >= needed)


@given(cases)
def test_the_break_even_members_are_the_fewest_that_carry_the_cost(case):
    def left(members):
        return members * case.conversion * case.price * case.margin

    assert left(case.break_even_members) >= case.team_cost
    assert case.break_even_members == 0 or left(case.break_even_members - 1) < case.team_cost


@given(cases, st.sampled_from(["places", "fill", "conversion", "price", "margin"]), st.integers(2, 9))
def test_more_of_anything_but_cost_leaves_more_and_breaks_even_earlier(case, name, times):
    better = with_(case, **{name: getattr(case, name) * times})
    assert better.surplus > case.surplus
    assert better.break_even_members <= case.break_even_members
    assert better.break_even_conversion <= case.break_even_conversion


@given(cases, amounts)
def test_a_dearer_team_leaves_less_and_breaks_even_later(case, more):
    worse = with_(case, team_cost=case.team_cost + more)
    assert worse.surplus == case.surplus - more
    assert worse.break_even_members >= case.break_even_members
    assert worse.break_even_conversion > case.break_even_conversion


@given(cases)
def test_the_conversion_that_is_shown_does_carry_the_team(case):
    said = break_even(case)
    assume("about" in said)
    shown = Fraction(said.removeprefix("at a conversion of about ").partition("%")[0]) / 100
    assert with_(case, conversion=shown).surplus >= 0


@given(st.integers(1, 10**9), st.integers(0, 6))
def test_a_percentage_of_the_file_is_exact(digits, decimals):
    written = Decimal(digits).scaleb(-decimals) % 100
    assume(written >= Decimal("0.0001"))
    text = (NO_FIT + FIT).replace("conversion: 3%", f"conversion: {written:f}%")
    launch = Launch.model_validate(read(text).value)
    assert unit_economics(launch, launch.fit.economics).conversion == Fraction(written) / 100


def test_only_conversion_groups_count(project):
    project.change("channel: by_hand}", "channel: by_hand, kind: value}")
    assert judged(project).economics.places == 200


def test_without_a_conversion_group_nobody_buys(project):
    project.change("channel: screen}", "channel: screen, kind: value}")
    project.change("channel: by_hand}", "channel: by_hand, kind: value}")
    assert judged(project).economics.break_even_conversion is None
    (finding,) = fit_findings(project)
    assert finding.what == "not fit: no group is there for members before they pay, so nobody buys"
    assert finding.remedy.startswith("add a group of kind conversion, or ")


def test_a_team_that_costs_nothing_passes_no_price_but_somebody_may_take_it_on(project):
    project.change("team_cost: 100}", "team_cost: 0}")
    (finding,) = fit_findings(project)
    assert finding.what == "not fit: a team that costs nothing is no team, and any price would carry it"
    assert finding.remedy.startswith("write what the team costs, hours that nobody is paid for as well, or ")
    project.write(project.text + OVERRIDE)
    assert [found.severity for found in fit_findings(project)] == ["waived"]


def test_cents_are_shown_only_where_there_are_any():
    assert [money(Fraction(amount), "USD") for amount in ("1234567", "12.5", "-0.125")] == [
        "USD 1,234,567",
        "USD 12.50",
        "USD -0.12",
    ]


def test_a_cost_that_no_conversion_carries_says_so():
    said = break_even(economics(team_cost=Fraction(10**6)))
    assert said == "at no conversion, only with 20,939 members (the groups hold 400)"


# The conditions

BROKEN = {
    "needs_selling": ("needs_selling: nobody believes that a kettle can be silent", "needs_selling: false"),
    "universal": ("buyers: [parents of babies, people who work at night]", "buyers: [a, b, c, d, e, f]"),
    "impulse": ("impulse: the baby wakes up with the kettle; this one lets it sleep", "impulse: false"),
    "price": ("team_cost: 100}", "team_cost: 19105}"),
    "decision": ("decision: days", "decision: months"),
    "same_batch": ("  decision: days", "  decision: days\n  same_batch: false"),
}


def test_a_launch_that_answers_everything_well_is_fit(project):
    assert judged(project).verdict == "fit"
    assert [each.name for each in judged(project).conditions] == list(CONDITIONS) == list(BROKEN)
    assert fit_findings(project) == []


@pytest.mark.parametrize("name", BROKEN)
def test_one_failed_condition_refuses_the_launch_at_its_line(project, name):
    old, new = BROKEN[name]
    project.change(old, new)
    (finding,) = fit_findings(project)
    assert (finding.rule, finding.severity) == ("fit/refused", "error")
    assert finding.line == project.line(new.splitlines()[-1])
    assert finding.what == f"not fit: {condition(project, name).reason}"
    assert "`fit.override: {by: NAME, reason: WHY}`" in finding.remedy
    assert [each.name for each in judged(project).conditions if each.ok is False] == [name]
    assert judged(project).verdict == "refused"
    with pytest.raises(LaunchRefusedError):
        project.plan()


def test_the_price_carries_the_team_when_what_is_left_is_just_its_cost(project):
    project.change("team_cost: 100}", "team_cost: 19104}")
    assert condition(project, "price").ok is True


def test_a_flat_is_refused_because_it_needs_one_to_one_service(project):
    project.change("decision: days", "decision: months")
    assert "one-to-one service" in condition(project, "decision").reason


def test_five_classes_of_buyers_are_few_enough_and_a_repeated_one_counts_once(project):
    project.change("[parents of babies, people who work at night]", "[a, b, c, d, e, a]")
    assert condition(project, "universal").reason == "5 classes of buyers: a, b, c, d, e"
    assert condition(project, "universal").ok is True


def test_a_launch_that_says_nothing_is_asked_at_its_product(project):
    project.write(NO_FIT)
    (finding,) = fit_findings(project)
    assert (finding.rule, finding.severity, finding.line) == ("fit/unanswered", "warning", project.line("product:"))
    assert judged(project).verdict == "unanswered"
    assert project.plan().edition == "kettle@2027-01-16"


def test_the_block_in_the_remedy_answers_everything(project):
    project.write(NO_FIT)
    (finding,) = fit_findings(project)
    block = finding.remedy.removeprefix("write ").removesuffix(f" ({STARTER_RATES})")
    assert block == SHORTEST
    project.write(f"{NO_FIT}\n{block}\n")
    assert fit_findings(project) == []
    assert judged(project).verdict == "fit"


def test_missing_economics_are_asked_for_at_the_fit_block_and_their_remedy_answers(project):
    line = FIT.splitlines()[-1]
    project.change(line, "")
    (finding,) = fit_findings(project)
    assert (finding.rule, finding.line) == ("fit/unanswered", project.line("fit:"))
    assert condition(project, "price").ok is None
    block = finding.remedy.removeprefix("add ").removesuffix(f" ({STARTER_RATES})")
    project.write(f"{project.text}  {block}\n")
    assert fit_findings(project) == []


def test_what_is_unanswered_does_not_hide_what_is_refused(project):
    project.change(FIT.splitlines()[-1], "").change("decision: days", "decision: months")
    assert [finding.rule for finding in fit_findings(project)] == ["fit/unanswered", "fit/refused"]
    assert judged(project).verdict == "refused"


def test_a_launch_that_sells_nothing_is_not_judged(project):
    project.write(NO_FIT).change("  price: 3980\n  currency: TWD\n", "")
    project.template("en/ignite/announcement.md.j2", "{{ step.label }} {{ teaser.when }}: {{ teaser.topic }}")
    assert fit_findings(project) == []
    assert project.check().fit is None
    assert json.loads(drumroll("check", "--json", project.file).out)["files"][0]["fit"] is None
    assert "fit for a community launch" not in drumroll("check", project.file).out


# The override


def test_an_override_by_name_lets_a_refused_launch_through_on_record(project):
    project.change("decision: days", "decision: months").write(project.text + OVERRIDE)
    (finding,) = fit_findings(project)
    assert (finding.rule, finding.severity) == ("fit/refused", "waived")
    assert finding.what.endswith("(overridden by Ann: the next batch carries it)")
    assert project.plan().edition == "kettle@2027-01-16"
    assert judged(project).verdict == "refused"


def test_an_override_by_a_stranger_is_an_error_and_overrides_nothing(project):
    project.change("decision: days", "decision: months").write(project.text + OVERRIDE.replace("Ann", "Anne"))
    refused, stranger = fit_findings(project)
    assert (refused.rule, refused.severity) == ("fit/refused", "error")
    assert (stranger.rule, stranger.severity, stranger.line) == ("fit/override", "error", project.line("override:"))
    assert (stranger.what, stranger.remedy) == (
        '"Anne" is nobody of team.staff who can answer for it',
        'did you mean "Ann"?',
    )


def test_a_bot_cannot_answer_for_a_launch(project):
    project.change("ids: [ann]}", "ids: [ann]}\n    - {name: Robo, role: bot}")
    project.change("decision: days", "decision: months").write(project.text + OVERRIDE.replace("Ann", "Robo"))
    assert [finding.rule for finding in fit_findings(project)] == ["fit/refused", "fit/override"]


def test_an_override_that_nothing_needs_is_warned_of(project):
    project.write(project.text + OVERRIDE)
    (finding,) = fit_findings(project)
    assert (finding.rule, finding.severity, finding.remedy) == ("fit/override", "warning", "remove it")


def test_no_waiver_helps(project):
    project.write(project.text + "waive: {fit/refused: we want to}\n").change("decision: days", "decision: months")
    found = {finding.rule: finding for finding in project.check().findings if finding.severity == "error"}
    assert set(found) == {"fit/refused", "waive/unknown"}
    assert "only somebody of the team takes that on" in found["waive/unknown"].remedy


OPENS = "2100-01-16 12:00"  # live launches go by the wall clock


async def live(project, tmp_path):
    """Begin the edition, or pick it up; its ledger."""
    where = await open_edition(project.file, opens=OPENS, ledger=f"sqlite:///{tmp_path / 'ledger.db'}")
    return where.open()


async def test_a_refused_launch_does_not_begin(project, tmp_path):
    project.change("decision: days", "decision: months")
    with pytest.raises(LaunchRefusedError, match="not fit: buyers take months to decide"):
        await live(project, tmp_path)


async def test_beginning_a_refused_launch_records_who_overrode_it_once(project, tmp_path):
    project.change("decision: days", "decision: months").write(project.text + OVERRIDE)
    await live(project, tmp_path)
    (decision,) = (await live(project, tmp_path)).decisions("kettle@2100-01-16", "fit")
    assert (decision.choice, decision.by, decision.reason) == ("override", "Ann", "the next batch carries it")


async def test_the_record_is_made_good_when_a_process_died_before_it(project, tmp_path):
    project.change("decision: days", "decision: months").write(project.text + OVERRIDE)
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    begin(project.plan(OPENS), ledger=ledger, rehearsal=False, now=datetime.now(UTC))
    assert ledger.decisions("kettle@2100-01-16") == []
    await live(project, tmp_path)
    assert [each.by for each in ledger.decisions("kettle@2100-01-16", "fit")] == ["Ann"]


async def test_a_rehearsal_records_no_override(project, tmp_path):
    project.change("decision: days", "decision: months").write(project.text + OVERRIDE)
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    begin(project.plan(OPENS), ledger=ledger, rehearsal=True, now=datetime.now(UTC))
    await live(project, tmp_path)
    assert ledger.decisions("kettle@2100-01-16") == []


async def test_an_override_that_nothing_needs_is_not_recorded(project, tmp_path):
    project.write(project.text + OVERRIDE)
    assert (await live(project, tmp_path)).decisions("kettle@2100-01-16") == []


# The command


def fit_text(ran):
    """The lines that are not about a place in a file."""
    return [line for line in ran.out.splitlines() if "kettle.yaml:" not in line]


def test_check_prints_the_conditions_and_where_it_breaks_even(project):
    project.change("margin: 40%, team_cost: 100}", "margin: 40%, team_cost: 6000, fill: 70%}")
    assert fit_text(drumroll("check", project.file)) == [
        "fit for a community launch: yes",
        "  needs selling  yes  nobody believes that a kettle can be silent",
        "  universal      yes  2 classes of buyers: parents of babies, people who work at night",
        "  impulse        yes  the baby wakes up with the kettle; this one lets it sleep",
        "  price          yes  what buyers leave, about TWD 13,372.80, carries the team's TWD 6,000",
        "  decision       yes  buyers decide in days",
        "  same batch     yes  members come in one batch and hear the same story",
        "  members        about 280 (70% of 400 places)",
        "  buyers         about 8.4 (3% of the members)",
        "  revenue        about TWD 33,432 (at TWD 3,980)",
        "  contribution   about TWD 13,372.80 (40% of the revenue)",
        "  team cost      TWD 6,000",
        "  surplus        about TWD 7,372.80",
        "  breaks even    at a conversion of about 1.35%, or with 126 members (the groups hold 400)",
    ]


def test_check_prints_a_refusal_and_who_overrode_it(project):
    project.change("decision: days", "decision: months")
    ran = drumroll("check", project.file)
    assert (ran.code, fit_text(ran)[0]) == (1, "fit for a community launch: no")
    project.write(project.text + OVERRIDE)
    ran = drumroll("check", project.file)
    said = "fit for a community launch: no, overridden by Ann: the next batch carries it"
    assert (ran.code, fit_text(ran)[0]) == (0, said)


def test_check_prints_one_line_where_nothing_is_answered(project):
    assert fit_text(drumroll("check", project.write(NO_FIT).file)) == ["fit for a community launch: not answered"]
    assert list(fit_lines(None)) == []


def test_check_prints_a_question_mark_where_only_the_economics_are_missing(project):
    project.change(FIT.splitlines()[-1], "")
    assert (
        fit_text(drumroll("check", project.file))[4]
        == "  price          ?    not answered: it follows from `economics`"
    )


def test_check_as_json_has_the_verdict_and_the_figures(project):
    project.change("margin: 40%, team_cost: 100}", "margin: 40%, team_cost: 25000, fill: 70%}")
    project.write(project.text + OVERRIDE)
    (file,) = json.loads(drumroll("check", "--json", project.file).out)["files"]
    fit = file["fit"]
    assert list(fit) == ["verdict", "override", "conditions", "economics"]
    assert (fit["verdict"], fit["override"]) == ("refused", {"by": "Ann", "reason": "the next batch carries it"})
    assert [each["name"] for each in fit["conditions"]] == list(CONDITIONS)
    assert fit["conditions"][3] == {
        "name": "price",
        "ok": False,
        "reason": "what buyers leave, about TWD 13,372.80, does not carry the team's TWD 25,000",
    }
    assert fit["economics"] == {
        "members": 280,
        "conversion": 0.03,
        "buyers": 8.4,
        "price": 3980,
        "margin": 0.4,
        "revenue": 33432,
        "contribution": 13372.8,
        "team_cost": 25000,
        "surplus": -11627.2,
        "break_even_conversion": 0.056084,
        "break_even_members": 524,
        "currency": "TWD",
    }


def test_an_unanswered_fit_is_null_three_times_in_the_json(project):
    (file,) = json.loads(drumroll("check", "--json", project.write(NO_FIT).file).out)["files"]
    assert (file["fit"]["verdict"], file["fit"]["override"], file["fit"]["economics"]) == ("unanswered", None, None)
    assert {each["ok"] for each in file["fit"]["conditions"]} == {None}


# What people may write

WRONG = {
    "the reason left out": (
        "needs_selling: nobody believes that a kettle can be silent",
        "needs_selling: true",
        "fit.needs_selling: expected text or false, found true; say it in words, or write false",
    ),
    "a number for a reason": (
        "impulse: the baby wakes up with the kettle; this one lets it sleep",
        "impulse: 3",
        "fit.impulse: expected text or false, found 3; say it in words, or write false",
    ),
    "no buyers": (
        "buyers: [parents of babies, people who work at night]",
        "buyers: []",
        "fit.buyers: is empty; write at least one",
    ),
    "a decision by the month": (
        "decision: days",
        "decision: month",
        'fit.decision: unknown value "month"; did you mean "months"?',
    ),
    "percent forgotten": (
        "margin: 40%",
        "margin: 40",
        "fit.economics.margin: 40 is more than the whole; write 40% if that is meant",
    ),
    "more than all": (
        "margin: 40%",
        "margin: 140%",
        "fit.economics.margin: 140% is no share between 0.0001% and 100%; write one like 3%",
    ),
    "no conversion": (
        "conversion: 3%",
        "conversion: 0",
        "fit.economics.conversion: 0 is no share between 0.0001% and 100%; write one like 3%",
    ),
    "a conversion below nothing": (
        "conversion: 3%",
        "conversion: -3%",
        "fit.economics.conversion: -3% is no share between 0.0001% and 100%; write one like 3%",
    ),
    "a share that is text": (
        "conversion: 3%",
        "conversion: some",
        'fit.economics.conversion: "some" is text; write a number without quotes',
    ),
    "a team that pays": (
        "team_cost: 100",
        "team_cost: -5",
        "fit.economics.team_cost: -5 should be greater than or equal to 0",
    ),
    "a team for all the money": (
        "team_cost: 100",
        "team_cost: 1e300",
        "fit.economics.team_cost: 1e+300 is beyond all money; write less than 1,000,000,000,000",
    ),
    "a price for all the money": (
        "price: 3980",
        'price: "9e999999"',
        "product.price: 9e+999999 is beyond all money; write less than 1,000,000,000,000",
    ),
    "a price for nothing": (
        "price: 3980",
        'price: "1e-999999"',
        "product.price: 1e-999999 has too many decimals; write at most four",
    ),
    "an override without a reason": (
        "  decision: days",
        "  decision: days\n  override: {by: Ann}",
        'fit.override: "reason" is missing; add it',
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_answer_is_refused_with_line_reason_and_remedy(project, case):
    old, new, expected = WRONG[case]
    line = project.change(old, new).line(new.splitlines()[-1])
    ran = drumroll("check", project.file)
    assert ran.code == 1
    assert [text.rpartition(" [")[0] for text in ran.out.splitlines()] == [f"{project.file}:{line}: {expected}"]


def test_the_greatest_numbers_are_printed(project):
    project.change("price: 3980", "price: 999999999999").change("channel: screen}", f"channel: screen, cap: {10**17}}}")
    project.change("conversion: 3%", "conversion: 0.0001%").change("margin: 40%", "margin: 0.0001%")
    ran = drumroll("check", project.file)
    assert (ran.code, "\n  breaks even    at a conversion of about " in ran.out) == (0, True)
