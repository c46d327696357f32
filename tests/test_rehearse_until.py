"""A rehearsal that stops in the middle: what is due is done, nothing later, and its ledger can be worked with."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from drumroll.clock import TimeIsUpError, VirtualClock
from drumroll.cli import rehearse
from drumroll.errors import UsageError
from drumroll.ledger.ledger import open_ledger
from drumroll.operate.opening import close_edition
from drumroll.rehearsal.performance import Performance
from drumroll.rehearsal.stage import last_call, set_stage
from tests.driver import drive
from tests.launch_files import drumroll, new_project
from tests.test_flows import prefect_api, project as flowing, rehearse as flow_rehearsal  # noqa: F401

EDITION = "kettle@2027-01-16"


@pytest.fixture
def project(tmp_path):
    return new_project(tmp_path).change("ids: [ann]}", "ids: [ann]}\n    - {name: Bo, role: operator}")
