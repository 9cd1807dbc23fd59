"""What the README and the pages under docs/ tell people to type works: it is run, or parsed by what runs it."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command, get_commands, load_command_class
from django.test import Client
from django.utils import timezone
from pytest_django import Settings
from ruamel.yaml import YAML

from fulfillment.conditions import CONDITIONS
from fulfillment.delivery_models import Delivery
from sandbox.world.server import World
from tests.factories import ProductFactory
from tests.steps import buy, report

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
COMPOSE = "docker compose --env-file .env -f deploy/compose.yaml "
# Programs of the system, which no test can run: written as their own manuals say.
SYSTEM = {
    "cp", "chmod", "chown", "mkdir", "install", "useradd", "df", "dig", "timedatectl", "journalctl", "systemd-tmpfiles",
    "stripe", "certbot", "gunicorn", "pip", "/srv/shop/app/.venv/bin/pip", "python3", "rclone",
}  # fmt: skip
# Parsed and not run here: they ask a person, or are run by tests of their own.
ONLY_PARSED = {"createsuperuser", "check", "collectstatic", "migrate", "load_demo", "check_production"}


def typed(page: Path) -> Iterator[str]:
    """Each line that a page tells people to type, without what stands before the shell."""
    for indent, language, block in BLOCK.findall(page.read_text()):
        if language not in ("", "sh") or (not language and page.name != "README.md"):
            continue
        for line in block.splitlines():
            if text := line.removeprefix(indent).strip():
                yield text


def commands() -> list[tuple[str, str]]:
    return [(page.name, line) for page in PAGES for line in typed(page)]


def management(line: str) -> list[str]:
    """The words behind manage.py in a line, [] where there are none."""
    _, found, rest = line.partition("manage.py ")
    return shlex.split(rest) if found else []


def every_management_command() -> list[list[str]]:
    lines = {tuple(words) for _, line in commands() if (words := management(line))}
    quoted = {
        tuple(shlex.split(found))
        for page in PAGES
        for found in re.findall(r"`python manage\.py ([^`]+)`", page.read_text())
    }
    return [list(words) for words in sorted(lines | quoted)]


def test_pages_tell_people_to_type_something() -> None:
    """Does it read them at all?"""
    assert {"README.md", "deploying.md", "going-live.md", "operations.md", "sending-domain.md"} <= {
        page for page, _ in commands()
    }
    assert ["stuck"] in every_management_command()
    assert len(commands()) > 40


@pytest.mark.parametrize("page, line", commands())
def test_line_is_one_that_a_shell_understands_and_begins_with_a_program_that_is_known(page: str, line: str) -> None:
    parsed = subprocess.run(["/bin/bash", "-n", "-c", line], capture_output=True, text=True, check=False)
    assert (parsed.returncode, parsed.stderr) == (0, "")
    for part in re.split(r" && | \| ", line):
        program = shlex.split(part)[0]
        if program.startswith("deploy/"):
            assert (ROOT / program).stat().st_mode & 0o111, program
        elif program == "docker":
            assert_compose(part)
        elif program == "systemctl":
            assert_units(part)
        elif program == "make":
            assert re.search(rf"^{shlex.split(part)[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), part
        elif program == "python":
            assert shlex.split(part)[1] == "manage.py", part
        else:
            assert program in SYSTEM | {"grep"}, part


def assert_compose(line: str) -> None:
    """The options before the verb are always the same, and what stands behind `exec` or `logs` is a service."""
    assert line.startswith(COMPOSE), line
    verb, *words = shlex.split(line.removeprefix(COMPOSE))
    services = YAML(typ="safe").load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
    taking_values = {"--since"}
    plain = [
        word
        for before, word in zip(["", *words], words, strict=False)
        if not word.startswith("-") and before not in taking_values
    ]
    assert verb in ("up", "ps", "exec", "run", "restart", "logs"), line
    named = plain[:1] if verb in ("exec", "run") else plain
    assert set(named) <= set(services), line


def assert_units(line: str) -> None:
    units = [word for word in shlex.split(line)[2:] if not word.startswith("-")]
    assert [unit for unit in units if not (ROOT / "deploy" / "systemd" / unit).exists()] == [], line


def test_gunicorn_takes_the_options_that_stand_there_for_who_prefers_it() -> None:
    [line] = {line for _, line in commands() if line.startswith("gunicorn ")}
    words = [sys.executable, "-m", "gunicorn", "--check-config", *shlex.split(line)[1:]]
    checked = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("words", every_management_command(), ids=" ".join)
def test_command_exists_and_takes_these_options(words: list[str]) -> None:
    name, *options = words
    command = load_command_class(get_commands()[name], name)
    command.create_parser("manage.py", name).parse_args(options)


@pytest.mark.django_db(transaction=True)
def test_commands_of_the_operators_are_run_and_end_well(smtp: World, client: Client, settings: Settings) -> None:
    """On a shop that has sold something: what the pages name as a placeholder is put in."""
    order = buy(smtp, client, ProductFactory())
    report(smtp, client)
    call_command("sweep", stdout=StringIO())
    real = {"ORDER": order.reference, "REFERENCE": order.reference, "ADDRESS": "another@example.com"}
    lines = [words for _, line in commands() if (words := management(line)) and words[0] not in ONLY_PARSED]
    ran = set()
    for words in lines:
        said = StringIO()
        earlier = timezone.now() - timedelta(minutes=5)  # nobody sends two mails in a minute
        Delivery.objects.update(created_at=earlier)
        Delivery.objects.exclude(sent_at=None).update(sent_at=earlier)
        call_command(*(real.get(word, word) for word in words), stdout=said, stderr=said)
        ran.add(words[0])
    assert ran >= {"stuck", "sweep", "books", "reconcile", "replay", "resend", "purge_events"}


def test_every_alert_has_its_paragraph_and_every_paragraph_its_alert() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    part = text[text.index("## Alerts") : text.index("## The log")]
    headings = re.findall(r"^### `(\w+)`$", part, re.MULTILINE)
    outside = {"shopdown", "shopdatabasedown"}  # only Prometheus can tell those
    assert set(headings) == {kind.value for kind in CONDITIONS} | outside
    assert len(headings) == len(set(headings))


@pytest.mark.parametrize("kind", CONDITIONS)
def test_paragraph_of_an_alert_names_the_commands_of_its_mail(kind: str) -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    paragraph = text[text.index(f"### `{kind}`") :].split("\n### ", 1)[0]
    mailed = re.findall(r"manage\.py (\w+)", CONDITIONS[kind].mend())  # type: ignore[index]
    assert [name for name in mailed if f"manage.py {name}" not in paragraph and kind != "silence"] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_links_to_and_names_is_there(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\(([^)h#][^)#]*)", text):
        place = page.parent / target
        assert place.exists() or place.with_suffix(".md").exists(), target
    for name in re.findall(r"`((?:deploy|docs|tests|templates|static|storefront|fulfillment|orders)/[\w./-]+)`", text):
        if not name.startswith(("docs/figures/", "deploy/certificates/", "deploy/acme")):  # made later
            assert (ROOT / name).exists(), name


def test_every_environment_variable_of_the_pages_is_read_somewhere() -> None:
    known = set(re.findall(r"^#? ?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    known |= set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "deploy" / "compose.yaml").read_text()))
    known |= {"FILES", "DATABASES"}  # of the scripts, and of Django
    for page in PAGES:
        if page.name in ("README.md", "deploying.md", "operations.md", "going-live.md", "customising.md"):
            named = set(re.findall(r"`([A-Z]+_[A-Z_]+)[=`]", page.read_text()))
            assert named <= known, (page.name, named - known)
