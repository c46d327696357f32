"""Pages: HTML from the project's own page templates. Everything that goes in is data and is escaped."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateNotFound, TemplateSyntaxError
from jinja2.exceptions import TemplateError

from drumroll.errors import UsageError
from drumroll.words.render import WordsError
from drumroll.words.sandbox import message_of

FOLDER = "pages"


def render_page(project: Path, name: str, /, **values: Any) -> str:
    """The page `templates/pages/NAME` of the project, filled with `values`.

    Escapes always: `select_autoescape()` goes by the file's ending and leaves `.html.j2` alone. Raises UsageError for a
    missing template, WordsError for one that is broken or names something that is not there.
    """
    environment = Environment(
        loader=FileSystemLoader(project / "templates" / FOLDER),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    try:
        return environment.get_template(name).render(values)
    except TemplateNotFound as error:
        raise UsageError(
            "no such page template",
            where=str(project / "templates" / FOLDER / str(error.name)),
            remedy="copy templates/pages from a fresh project",
        ) from error
    except TemplateSyntaxError as error:
        where = f"{FOLDER}/{error.name or name}"
        raise WordsError(f"template syntax: {message_of(error)}", template=where, line=error.lineno) from error
    except TemplateError as error:
        raise WordsError(f"cannot be rendered: {message_of(error)}", template=f"{FOLDER}/{name}") from error
