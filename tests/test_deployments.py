"""`prefect.yaml` and the flows agree with each other and with the launch model."""

import importlib
import inspect
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from drumroll.check import check_file
from drumroll.launchfile.models import PHASES

ROOT = Path(__file__).parents[1]
DEPLOYMENTS = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]


def flow_of(entrypoint):
    module, _, name = entrypoint.rpartition(".")
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment["name"])
def test_a_deployments_parameters_fit_its_flows_signature(deployment):
    flow = flow_of(deployment["entrypoint"])
    flow.validate_parameters(deployment["parameters"])
    assert set(deployment["parameters"]) == set(inspect.signature(flow.fn).parameters)


def test_launch_every_phase_question_and_watch_are_deployed():
    deployed = {deployment["entrypoint"].rpartition(".")[2] for deployment in DEPLOYMENTS}
    assert deployed == {"launch", *PHASES, "question", "watch"}


def test_entrypoints_are_module_paths_and_nothing_is_pulled():
    config = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    assert "pull" not in config
    assert all("/" not in deployment["entrypoint"] for deployment in DEPLOYMENTS)


def test_the_watch_runs_by_cron():
    [watch] = [deployment for deployment in DEPLOYMENTS if deployment["name"] == "watch"]
    assert watch["schedules"][0]["cron"] == "*/5 * * * *"


def test_no_slot_that_a_reboot_would_take_for_good_stands_before_the_watch():
    [watch] = [deployment for deployment in DEPLOYMENTS if deployment["name"] == "watch"]
    assert "concurrency_limit" not in watch


def test_the_examples_start_nothing_before_somebody_has_adapted_them():
    assert [
        (deployment["name"], schedule["cron"])
        for deployment in DEPLOYMENTS
        for schedule in deployment.get("schedules", [])
        if schedule.get("active", True)
    ] == [("watch", "*/5 * * * *")]
    triggers = [trigger for deployment in DEPLOYMENTS for trigger in deployment.get("triggers", [])]
    assert triggers
    assert not any(trigger["enabled"] for trigger in triggers)


def test_the_monthly_example_opens_a_fortnight_after_it_was_called():
    [monthly] = [deployment for deployment in DEPLOYMENTS if deployment["name"] == "monthly"]
    file = ROOT / monthly["parameters"]["file"]
    checked = check_file(file, opens=monthly["parameters"]["opens"], called=datetime(2027, 1, 1, 1, tzinfo=UTC))
    assert checked.accepted().edition == "learning-phone@2027-01-15"


def test_what_an_event_brings_are_parameters_of_the_launch():
    for deployment in DEPLOYMENTS:
        for trigger in deployment.get("triggers", []):
            assert set(trigger["parameters"]) <= set(inspect.signature(flow_of(deployment["entrypoint"]).fn).parameters)


def test_every_flow_and_task_is_async():
    for deployment in DEPLOYMENTS:
        assert inspect.iscoroutinefunction(flow_of(deployment["entrypoint"]).fn), "a sync subflow costs a second"
    for module in ("announce", "edition", "gate", "render"):
        tasks = [
            value for value in vars(importlib.import_module(f"tasks.{module}")).values() if hasattr(value, "task_key")
        ]
        assert tasks
        assert all(inspect.iscoroutinefunction(task.fn) for task in tasks)


def test_the_launch_flow_knows_every_phase_in_order():
    from flows.launch import PHASES as FLOWS

    assert tuple(FLOWS) == PHASES
    assert all(flow.name == name for name, flow in FLOWS.items())
