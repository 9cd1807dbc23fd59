"""What `deploy/` holds is true: one set of commands wherever processes are started, and no figure that is not there."""

import configparser
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

from fulfillment.models import Heartbeat, StripeEvent
from tests.fulfillment.test_webhook_served import serving

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SYSTEMD = shutil.which("systemd-analyze")
PROCESSES = {"web", "worker", "mail", "beat", "sweep"}
DEFAULTS = {"${PORT:-8000}": "8000", "${PORT}": "8000", "${WEB_CONCURRENCY:-2}": "2", "${WEB_CONCURRENCY}": "2"}

Command = tuple[dict[str, str], list[str]]


def yaml(path: Path) -> Any:
    return YAML(typ="safe").load(path.read_text())


def command(line: str) -> Command:
    """The variables that are set before a command, and its words, with the defaults of what the environment may say."""
    for name, value in DEFAULTS.items():
        line = line.replace(name, value)
    words = shlex.split(line)
    set_ones = [word for word in words if re.fullmatch(r"[A-Z_]+=\S+", word)]
    return dict(word.split("=", 1) for word in set_ones), words[len(set_ones) :]


def procfile() -> dict[str, Command]:
    lines = [line for line in (ROOT / "Procfile").read_text().splitlines() if line and not line.startswith("#")]
    return {name: command(rest) for name, _, rest in (line.partition(":") for line in lines)}


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml(DEPLOY / "compose.yaml")
    return found


def unit(path: Path) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(path.read_text())
    return parser


def test_compose_starts_what_the_procfile_says() -> None:
    services = compose()["services"]
    shared = compose()["x-shop"]["environment"]
    for name, (variables, words) in procfile().items():
        own = {key: value for key, value in services[name]["environment"].items() if key not in shared}
        assert (own, command(services[name]["command"])[1]) == (variables, words), name
    assert set(procfile()) == PROCESSES
    assert set(services) == PROCESSES | {"migrate", "postgres", "valkey", "nginx", "backup"}


def test_units_start_what_the_procfile_says() -> None:
    """But listen on this machine alone: nginx stands before them, and no container does."""
    for name, (variables, words) in procfile().items():
        service = unit(DEPLOY / "systemd" / f"shop-{name}.service")["Service"]
        started = command(service["ExecStart"].replace("%%", "%"))[1]
        started[0] = started[0].removeprefix("/srv/shop/app/.venv/bin/")
        expected = ["127.0.0.1" if word == "0.0.0.0" else word for word in words]  # noqa: S104
        own = dict(word.split("=", 1) for word in service.get("Environment", "").split())
        assert {key: own[key] for key in own if key not in ("PORT", "WEB_CONCURRENCY")} == variables, name
        assert started == expected, name
    wanted = unit(DEPLOY / "systemd" / "shop.target")["Unit"]["Wants"].split()
    assert set(wanted) == {f"shop-{name}.service" for name in PROCESSES}


def test_image_starts_the_web_process() -> None:
    last = (DEPLOY / "Dockerfile").read_text().strip().splitlines()[-1]
    assert json.loads(last.removeprefix("CMD ")) == procfile()["web"][1]


def test_every_process_of_the_shop_is_locked_down_and_comes_back() -> None:
    for name, service in compose()["services"].items():
        assert service["restart"] == ("no" if name in ("migrate", "backup") else "unless-stopped"), name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["logging"]["options"] == {"max-size": "20m", "max-file": "5"}, name
        if name in PROCESSES | {"migrate", "nginx", "valkey"}:
            assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name
    for name in PROCESSES:
        service = unit(DEPLOY / "systemd" / f"shop-{name}.service")["Service"]
        assert (service["Restart"], service["User"], service["NoNewPrivileges"]) == ("always", "shop", "yes"), name


def test_only_nginx_listens_to_the_world_and_the_database_is_inside() -> None:
    services = compose()["services"]
    assert [name for name, service in services.items() if "ports" in service] == ["nginx"]
    assert {name for name, service in services.items() if service["networks"] == ["inside"]} == {
        "postgres", "valkey", "backup",
    }  # fmt: skip
    assert compose()["networks"]["inside"] == {"internal": True}


def test_every_volume_is_declared_and_every_service_waits_for_the_migrations() -> None:
    services = compose()["services"]
    named = {volume.split(":")[0] for service in services.values() for volume in service.get("volumes", [])}
    assert {name for name in named if re.fullmatch(r"[a-z]+", name)} == set(compose()["volumes"])
    for name in PROCESSES:
        assert services[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}, name


def test_variables_of_the_compose_file_are_settings() -> None:
    read = set(re.findall(r'(?:required|optional|number|words)\(\s*"([A-Z_]+)"', settings_source()))
    assert set(compose()["x-shop"]["environment"]) <= read


def settings_source() -> str:
    return (ROOT / "storefront" / "settings.py").read_text()


def test_s62_no_secret_goes_into_the_image() -> None:
    """Only what is named is copied, and that is in the repository."""
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    kept = {line[1:].rstrip("/") for line in lines if line.startswith("!")}
    assert lines[1] == "*"
    assert {name for name in kept - {"locale"} if not (ROOT / name).exists()} == set()  # locale/: once there is one
    apps = {path.parent.name for path in ROOT.glob("*/apps.py")}
    assert kept >= apps | {"templates", "static", "manage.py", "requirements.txt", "requirements.lock"}
    assert not {"sandbox", "tests", ".env", "var"} & kept
    left_out = {"benchmarks", "deploy", "docs", "sandbox", "staticfiles", "tests", "var"}
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith((".", "_"))}
    assert folders - left_out <= kept  # a new one has to be thought of
    image = (DEPLOY / "Dockerfile").read_text()
    assert re.findall(r"^(?:ENV|ARG) .*(?:SECRET|PASSWORD|KEY|TOKEN).*$", image, re.MULTILINE) == []
    assert re.findall(r"^USER (\d+)$", image, re.MULTILINE) == ["10001"]
    assert compose()["services"]["nginx"]["user"] == "10001:10001"


@pytest.mark.skipif(SYSTEMD is None, reason="no systemd here")
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    binaries = tmp_path / "bin"
    binaries.mkdir()
    for name in ("granian", "celery", "python"):
        (binaries / name).symlink_to("/bin/true")
    for path in (DEPLOY / "systemd").iterdir():
        if path.suffix != ".tmpfiles":
            text = path.read_text().replace("/srv/shop/app/.venv/bin", str(binaries))
            (tmp_path / path.name).write_text(text.replace("/srv/shop/app/deploy", str(DEPLOY)))
    units = sorted(str(path) for path in tmp_path.glob("shop*"))
    checked = subprocess.run([str(SYSTEMD), "verify", *units], capture_output=True, text=True, check=False)
    ours = [line for line in checked.stderr.splitlines() if "shop" in line]
    assert (checked.returncode, ours) == (0, []), checked.stderr


def figures(client: Client) -> set[str]:
    """The names of all series that /metrics may hold, in a shop where something waits."""
    Heartbeat.objects.get_or_create(name="sweep")
    StripeEvent.objects.get_or_create(event_id="evt_1", type="x")
    text = client.get("/metrics").content.decode()
    found = set()
    for family in text_string_to_metric_families(text):
        found |= {sample.name for sample in family.samples}
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}.get(family.type, ("",))
        found |= {family.name + suffix for suffix in suffixes}
    return found


def selectors(node: Any) -> Iterator[str]:
    """The name of each series that an expression reads."""
    if isinstance(node, promql_parser.VectorSelector):
        yield str(node.name)
    elif isinstance(node, promql_parser.MatrixSelector):
        yield from selectors(node.vector_selector)
    else:
        children = [getattr(node, name, None) for name in ("expr", "lhs", "rhs", "param")]
        for child in [*children, *getattr(node, "args", [])]:
            if child is not None and type(child).__module__.startswith("promql_parser"):
                yield from selectors(child)


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml(DEPLOY / "alerts.yaml")["groups"] for rule in group["rules"]]


def expressions() -> list[str]:
    panels = json.loads((DEPLOY / "grafana.json").read_text())["panels"]
    shown = [target["expr"] for panel in panels for target in panel["targets"]]
    return [*shown, *(rule["expr"] for rule in rules())]


@pytest.mark.django_db
def test_every_figure_of_a_rule_or_a_panel_is_one_of_the_shop(client: Client) -> None:
    known = figures(client) | {"up"}
    read = {expression: list(selectors(promql_parser.parse(expression))) for expression in expressions()}
    assert [expression for expression, names in read.items() if not names] == []
    assert {name for names in read.values() for name in names} - known == set()
    ours = {name for name in known if name.startswith("shop_") and not name.endswith(("_sum", "_created"))}
    assert ours - {name for names in read.values() for name in names} == set()  # nothing is measured for nobody


def test_selectors_are_found_wherever_they_stand() -> None:
    """Does it bite?"""
    expression = 'histogram_quantile(0.9, sum by (le) (rate(a_bucket[5m]))) > 1 and on() (b{c="d"} offset 5m) * -e'
    assert set(selectors(promql_parser.parse(expression))) == {"a_bucket", "b", "e"}


def test_rules_have_a_name_a_sentence_and_a_paragraph_each() -> None:
    named = [rule["alert"] for rule in rules()]
    assert len(set(named)) == len(named)
    operations = (ROOT / "docs" / "operations.md").read_text()
    headings = set(re.findall(r"^### `?([\w-]+)`?", operations, re.MULTILINE))
    for rule in rules():
        assert rule["labels"]["severity"] in ("page", "ticket"), rule["alert"]
        assert rule["annotations"]["summary"].endswith("."), rule["alert"]
        assert rule["annotations"]["paragraph"] in headings, rule["alert"]


def test_panels_have_numbers_of_their_own_and_do_not_overlap() -> None:
    panels = json.loads((DEPLOY / "grafana.json").read_text())["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in panels}) == len(panels)


@pytest.mark.parametrize("tool", ["hadolint", "check-jsonschema", "shellcheck"])
def test_linters_of_make_check_are_there(tool: str) -> None:
    assert (Path(sys.executable).parent / tool).exists()
    assert f"$(BIN)/{tool} " in (ROOT / "Makefile").read_text()


@pytest.mark.django_db(transaction=True)
def test_health_of_the_image_asks_under_the_name_of_the_shop() -> None:
    def healthy(**environment: str) -> int:
        command = [sys.executable, str(DEPLOY / "healthy.py")]
        return subprocess.run(command, env=environment, capture_output=True, check=False).returncode

    with serving() as port:
        assert healthy(PORT=str(port), SITE_URL="http://localhost:8000") == 0
        assert healthy(PORT=str(port), SITE_URL="https://another.example.com") == 1
    assert healthy(PORT=str(port), SITE_URL="http://localhost") == 1
