"""`prefect deploy --all` against a real server: everything is deployed, and the server's cron really schedules."""

import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import yaml

from tests.prefect_server import prefect_server

ROOT = Path(__file__).parents[1]


@pytest.mark.e2e
@pytest.mark.xdist_group("server")
def test_every_deployment_is_accepted_and_the_watch_is_scheduled(tmp_path):
    names = {deployment["name"] for deployment in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]}
    with prefect_server(tmp_path) as environ:
        prefect(environ, "work-pool", "create", "drumroll", "--type", "process")
        prefect(environ, "--no-prompt", "deploy", "--all")
        api = environ["PREFECT_API_URL"]
        deployed = {deployment["name"]: deployment["id"] for deployment in ask(api, "deployments/filter", {})}
        assert set(deployed) == names
        wanted = {
            "deployments": {"id": {"any_": [deployed["watch"]]}},
            "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
        }
        for _ in range(90):
            if runs := ask(api, "flow_runs/filter", wanted):
                break
            time.sleep(1)
        assert runs, "the server never scheduled the watch"


def prefect(environ, *arguments):
    command = [sys.executable, "-m", "prefect", *arguments]
    ran = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def ask(api, path, body):
    request = urllib.request.Request(
        f"{api}/{path}", data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)
