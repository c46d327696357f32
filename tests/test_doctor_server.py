"""What the doctor says of Prefect's server."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import prefect
import pytest

from drumroll.ledger.crowd import CEILING
from tasks.health import clock_sign, database_sign, deployment_signs, server_signs, version_sign

NOW = datetime(2026, 12, 12, 12, tzinfo=UTC)
PROJECT = Path("/srv/drumroll")


def test_a_server_of_another_version_is_a_warning():
    assert version_sign(prefect.__version__).state == "ok"
    assert version_sign("3.9.1").state == "warning"


@pytest.mark.parametrize(
    ("seconds", "state"), [(0, "ok"), (-1, "ok"), (1, "ok"), (5, "warning"), (-5, "warning"), (60, "problem")]
)
def test_two_clocks_that_disagree_are_told_by_the_seconds_they_can_be_known_to(seconds, state):
    theirs = f"{NOW + timedelta(seconds=seconds):%a, %d %b %Y %H:%M:%S GMT}"
    assert clock_sign(theirs, NOW, NOW + timedelta(milliseconds=20)).state == state


def test_a_server_that_is_ahead_is_called_so():
    assert "5 s ahead" in clock_sign("Sat, 12 Dec 2026 12:00:05 GMT", NOW, NOW).what
    assert "4 s behind" in clock_sign("Sat, 12 Dec 2026 11:59:55 GMT", NOW, NOW).what


@pytest.mark.parametrize(
    ("kind", "crowd", "state"),
    [
        ("sqlite", CEILING, "ok"),
        ("sqlite", CEILING + 1, "warning"),
        (None, CEILING + 1, "warning"),
        (None, CEILING, "ok"),
        ("postgresql", 500, "ok"),
    ],
)
def test_sqlite_has_a_ceiling_and_postgresql_none_that_is_near(kind, crowd, state):
    assert database_sign(kind, crowd).state == state


def deployment(name, directory, *, paused=False):
    steps = [{"prefect.deployments.steps.set_working_directory": {"directory": directory}}]
    return SimpleNamespace(name=name, path=None, pull_steps=steps, paused=paused)


def test_without_a_deployed_launch_nothing_can_be_started():
    [sign] = deployment_signs([], PROJECT)
    assert sign.state == "problem"


def test_a_launch_that_is_deployed_from_another_directory_is_a_warning_that_names_it():
    [sign] = deployment_signs([deployment("launch", "/srv/older")], PROJECT)
    assert (sign.state, "/srv/older" in sign.what) == ("warning", True)


def test_of_several_releases_one_from_here_is_enough():
    [sign] = deployment_signs([deployment("launch", "/srv/older"), deployment("launch-2", "/srv/drumroll")], PROJECT)
    assert (sign.state, sign.what) == ("ok", "deployed from here: launch-2")


def test_a_paused_deployment_is_told_with_the_command_that_resumes_it():
    paused, _ = deployment_signs([deployment("launch", "/srv/drumroll", paused=True)], PROJECT)
    assert paused.remedy == "`prefect deployment resume launch/launch`"


async def test_a_server_that_is_away_is_one_problem_with_its_address():
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: "http://ann:hush@127.0.0.1:9/api"}):
        [sign] = [sign async for sign in server_signs(PROJECT, crowd=0)]
    assert (sign.state, "http://127.0.0.1:9" in sign.what, "hush" in sign.what) == ("problem", True, False)


@pytest.mark.e2e
@pytest.mark.xdist_group("prefect")
async def test_a_real_server_is_there_of_our_version_and_on_time(prefect_api):
    signs = {sign.subject: sign.state async for sign in server_signs(PROJECT, crowd=0)}
    assert [signs[name] for name in ("server", "server.clock", "server.database")] == ["ok", "ok", "ok"]
    assert {"server.deployments", "server.watch"} <= set(signs)
