"""`DRUMROLL_LOG=json`: one JSON object a line on standard error, in whatever process a launch runs."""

import json
import logging
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drumroll import logs
from tests.launch_files import drumroll_process
from tests.prefect_server import prefect_environment

ROOT = Path(__file__).parents[1]
TELL = """
import prefect
prefect.flow  # sets up Prefect's logging
from datetime import UTC, datetime
from drumroll.operate.story import log, tell
at = datetime(2027, 3, 3, 10, tzinfo=UTC)
tell("【公告01】 → 2 sent", at=at, timezone="Asia/Taipei", edition="spring@2027-03-06", phase="recruit", step="hello")
log.warning("no word from %s", "Ann")
"""


def formatted(**of):
    record = logging.makeLogRecord({"msg": "said %s", "args": ("so",), "levelname": "WARNING", "levelno": 30} | of)
    return json.loads(logs.JsonLines().format(record))


@pytest.mark.e2e
def test_each_line_comes_once_also_beside_prefects_own_handlers():
    environ = {"DRUMROLL_LOG": "json", "PREFECT_LOGGING_EXTRA_LOGGERS": "drumroll", "PYTHONPATH": str(ROOT)}
    quiet = {"PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore"}  # there is no flow run here to show them in
    ran = drumroll_process(code=TELL, env=prefect_environment(ROOT) | environ | quiet)
    told, warned = map(json.loads, ran.err.splitlines())
    assert told["message"] == "【公告01】 → 2 sent"
    assert [told[name] for name in ("edition", "phase", "step")] == ["spring@2027-03-06", "recruit", "hello"]
    assert (warned["level"], warned["message"]) == ("warning", "no word from Ann")


def test_a_record_of_nothing_in_particular_has_time_level_and_message():
    at = datetime(2027, 3, 3, 10, 0, 0, 123456, UTC)
    line = {"time": "2027-03-03T10:00:00.123Z", "level": "warning", "message": "said so"}
    assert formatted(created=at.timestamp()) == line


def test_a_record_says_of_what_it_is_as_far_as_it_knows_and_nothing_else():
    line = formatted(edition="a@b", phase="recruit", step=None, key="a@b/hello/1/one", member="Ann")
    assert set(line) == {"time", "level", "message", "edition", "phase", "key"}


def test_of_an_exception_only_its_kind_is_told():
    try:
        json.loads("https://hooks.example/SECRET")
    except ValueError:
        line = formatted(exc_info=sys.exc_info())
    assert line["error"] == "JSONDecodeError"
    assert "SECRET" not in json.dumps(line)


@pytest.mark.parametrize("setting", ["", "text", "xml"])
def test_without_it_the_log_is_for_people(monkeypatch, setting):
    monkeypatch.setenv("DRUMROLL_LOG", setting)
    logs.logger("story")
    assert not any(isinstance(handler.formatter, logs.JsonLines) for handler in logging.getLogger("drumroll").handlers)
    assert logging.getLogger("drumroll").propagate
