"""Forms in the Prefect UI: a flow run without a process, which goes on once a person has filled one in.

A form is three inputs of its run, by the keys `QUESTION-N-schema`, `…-description` and `…-response`; N counts how often
the question was asked, because an answer may be refused. Measured on Prefect 3.8: the schema has to be there before the
state that names it, and `RunInput.load` makes an answer up from defaults when there is none, so it is not used.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import State
from prefect.exceptions import PrefectHTTPStatusError
from prefect.input.run_input import keyset_from_base_key
from pydantic import ConfigDict, Field, create_model

from drumroll.operate.questions import Answer, Question
from tasks.releasing import suspend

_KEY = re.compile(r"(?P<question>.+)-(?P<number>\d+)-(?P<part>schema|response)")
_MOST = 200  # Prefect's API gives no more at a time
_TAKEN = 409


@dataclass(frozen=True, slots=True)
class Form:
    """The last form of one question: how often it was asked with this one, and what was answered to it, if anything."""

    question: str
    number: int
    answer: Answer | None

    @property
    def keys(self) -> dict[str, str]:
        """The run's inputs that this form is made of."""
        return {str(part): key for part, key in keyset_from_base_key(f"{self.question}-{self.number}").items()}


async def forms(client: PrefectClient, run: UUID, beginning: str) -> list[Form]:
    """The last form of every question that the run asked and whose key begins so."""
    found: dict[str, dict[int, Answer | None]] = {}
    inputs = await client.filter_flow_run_input(run, beginning, limit=_MOST, exclude_keys=set())
    for each in inputs:
        if (match := _KEY.fullmatch(each.key)) is None:
            continue
        asked, number = found.setdefault(match["question"], {}), int(match["number"])
        answer = _answer(each.value) if match["part"] == "response" else None
        asked[number] = answer or asked.get(number)
    return [Form(question, number := max(asked), asked[number]) for question, asked in found.items()]


async def save_form(client: PrefectClient, run: UUID, question: Question, refused: str | None = None) -> Form:
    """Write down the form of `question`, with why its last answer was `refused`; one that is still open stays it."""
    known = next((each for each in await forms(client, run, f"{question.key}-") if each.question == question.key), None)
    form = known or Form(question.key, 1, None)
    if form.answer is not None:
        form = Form(question.key, form.number + 1, None)
    if form is not known:
        text = f"**The last answer was not taken: {refused}.**\n\n{question.text}" if refused else question.text
        for part, value in (
            ("description", text),
            ("schema", schema_of(question)),
        ):  # the schema says that all is there
            await _save(client, run, form.keys[part], value)
    return form


async def pose(client: PrefectClient, run: UUID, question: Question, refused: str | None = None) -> State | None:
    """Running → Suspended, with a form to fill in; the new state, or None when the run is not running."""
    form = await save_form(client, run, question, refused)
    return await suspend(client, run, what=question.title, form=form.keys)


async def tear_up(client: PrefectClient, run: UUID, form: Form) -> None:
    """Forget an answer that was acted on, or came too late."""
    await client.delete_flow_run_input(run, form.keys["response"])


def schema_of(question: Question) -> dict[str, Any]:
    """The JSON schema of the form: what may be chosen is a list, and nothing may be left empty."""
    written = Annotated[str, Field(pattern=r"\S", max_length=2000)]
    choice, name = Literal[tuple(question.choices)], Literal[tuple(question.names)] if question.names else written
    fields: Mapping[str, Any] = {
        "choice": (choice, Field(title="Decision")),
        "reason": (written, Field(title="Reason", description="Why: kept in the ledger with the decision.")),
        "name": (name, Field(title="Name", description="Who decides.")),
    }
    form = create_model("Decision", __config__=ConfigDict(extra="forbid"), **fields)
    return dict(form.model_json_schema())


async def _save(client: PrefectClient, run: UUID, key: str, value: object) -> None:
    try:
        await client.create_flow_run_input(run, key, json.dumps(value))
    except PrefectHTTPStatusError as error:
        if error.response.status_code != _TAKEN:  # then a process before us came as far as this
            raise


def _answer(text: str) -> Answer:
    given = json.loads(text)
    return Answer(*(str(given.get(name, "")) for name in ("choice", "reason", "name")))
