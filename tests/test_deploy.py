"""The Dockerfile and the manifests, as far as they can be read: what they name is there, and nobody is root."""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from litestar.testing import TestClient
from prometheus_client.parser import text_string_to_metric_families

from recsys.config import load_config
from serving.api import create_app
from serving.commands import serve
from serving.events import EventLog
from serving.keys_file import KeysFile
from serving.server import DRAIN_S
from serving.service import Service
from tests.serving.fake_engine import CONFIG, FakeEngine

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
KUBERNETES = ROOT / "examples" / "kubernetes"
FRAMEWORKS = {"torch", "transformers", "sentence-transformers", "peft", "triton"}


def manifests(folder: str) -> dict[str, dict[str, Any]]:
    """By kind, as its kustomization.yaml lists them."""
    listed = yaml.safe_load((KUBERNETES / folder / "kustomization.yaml").read_text())["resources"]
    files = [KUBERNETES / folder / name for name in listed if name.endswith(".yaml")]
    return {document["kind"]: document for file in files for document in yaml.safe_load_all(file.read_text())}


BASE, MONITORING = manifests("base"), manifests("monitoring")
POD = BASE["Deployment"]["spec"]["template"]["spec"]
(SERVER,) = POD["containers"]
(PORT,) = SERVER["ports"]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("bundles")
    (folder / "fake-1").mkdir()
    (folder / "fake-1" / "manifest.json").write_text('{"created_at": "2024-05-01T00:00:00Z"}')
    with EventLog.open(folder / "events.db") as log:
        service = Service(log, CONFIG, FakeEngine(), bundles=folder)
        with TestClient(create_app(service)) as client:
            client.post("/v1/rank", json={"user_id": "u", "candidates": ["a"]})
            client.post("/v1/recommend", json={"user_id": "stranger"})
            yield client


def instructions(name: str) -> list[str]:
    return re.findall(rf"^{name} (.*)$", DOCKERFILE, re.M)


def test_every_file_that_the_image_is_built_from_is_there_and_is_sent():
    sent = {line[1:].rstrip("/") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [word for line in instructions("COPY") if "--from" not in line for word in line.split()[:-1]]
    for path in copied:
        assert (ROOT / path).exists(), path
        assert path.rstrip("/") in sent, path
    (default,) = re.findall(r"^ARG REQUIREMENTS=(.*)$", DOCKERFILE, re.M)
    assert default == "requirements/serve.txt"
    assert (ROOT / default).exists()


def test_the_image_has_no_training_framework():
    pins = {re.split("[=; ]", line)[0] for line in (ROOT / "requirements" / "serve.txt").read_text().splitlines()}
    assert not pins & FRAMEWORKS
    extras = re.findall(r"^ARG EXTRAS=(.*)$", DOCKERFILE, re.M)[0].split(",")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {re.split(r"[<>=\[; ]", line)[0] for extra in extras for line in project[extra]}
    assert not named & FRAMEWORKS
    # And what the extras bring is pinned.
    assert named <= {line.partition("==")[0] for line in (ROOT / "requirements.txt").read_text().splitlines()}


def test_the_image_does_not_run_as_root_and_says_whether_it_is_alive(client):
    assert [user.partition(":")[0] for user in instructions("USER")] == ["10001"]
    # The last stage: what is before it runs as root, to build.
    assert DOCKERFILE.rindex("\nUSER ") > DOCKERFILE.rindex("\nFROM ")
    (path,) = re.findall(r"127\.0\.0\.1:8000(/\w+)", DOCKERFILE)
    assert client.get(path).status_code == 200
    assert instructions("EXPOSE") == ["8000"]


@pytest.mark.parametrize("arguments", [instructions("CMD")[-1], SERVER["args"]], ids=["Dockerfile", "Deployment"])
def test_the_command_parses(arguments: Any):
    words = arguments if isinstance(arguments, list) else yaml.safe_load(arguments)
    assert words[0] == "serve"
    options = serve.make_context("serve", list(words[1:])).params
    assert (options["host"], options["port"]) == ("0.0.0.0", PORT["containerPort"])
    assert options["config_paths"] == (Path("/project/recsys.toml"),)


def test_probes_ask_routes_that_answer_and_ports_that_are_open(client):
    for probe in ("livenessProbe", "readinessProbe"):
        asked = SERVER[probe]["httpGet"]
        assert asked["port"] == PORT["name"]
        assert client.get(asked["path"]).status_code == 200
    assert [port["targetPort"] for port in BASE["Service"]["spec"]["ports"]] == [PORT["name"]]
    (endpoint,) = MONITORING["ServiceMonitor"]["spec"]["endpoints"]
    assert endpoint["port"] == BASE["Service"]["spec"]["ports"][0]["name"]
    assert client.get(endpoint["path"]).status_code == 200


def test_a_pod_may_end_as_long_as_the_server_drains():
    (pause,) = [word for word in SERVER["lifecycle"]["preStop"]["exec"]["command"] if word.isdigit()]
    assert POD["terminationGracePeriodSeconds"] > int(pause) + DRAIN_S


def test_nobody_is_root_and_the_root_file_system_is_read_only():
    assert (POD["securityContext"]["runAsNonRoot"], POD["securityContext"]["runAsUser"]) == (True, 10001)
    for container in [*POD["initContainers"], SERVER]:
        assert container["securityContext"] == {
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        }


def test_what_is_mounted_is_there_and_what_is_selected_is_labelled():
    volumes = {volume["name"] for volume in POD["volumes"]}
    for container in [*POD["initContainers"], SERVER]:
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
    labels = BASE["Deployment"]["spec"]["template"]["metadata"]["labels"]
    selectors = [
        BASE["Deployment"]["spec"]["selector"]["matchLabels"],
        BASE["Service"]["spec"]["selector"],
        BASE["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        MONITORING["ServiceMonitor"]["spec"]["selector"]["matchLabels"],
    ]
    assert all(selector == labels for selector in selectors)
    assert BASE["Service"]["metadata"]["labels"] == labels
    assert BASE["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == BASE["Deployment"]["metadata"]["name"]
    secrets = [*yaml.safe_load_all((KUBERNETES / "base" / "secrets.example.yaml").read_text())]
    assert {secret["metadata"]["name"] for secret in secrets} == {"recsys-keys", "recsys-redis", "recsys-metrics-key"}


def test_the_files_of_the_config_map_and_of_the_keys_can_be_read(tmp_path):
    toml = (KUBERNETES / "base" / "recsys.toml").read_text()
    (tmp_path / "recsys.toml").write_text(toml)
    config = load_config(tmp_path / "recsys.toml")
    assert config.serving.log_format == "json"
    asked = {entry["name"] for entry in SERVER["env"]}
    assert set(re.findall(r"\$\{(\w+)\}", toml)) <= asked
    keys = next(yaml.safe_load_all((KUBERNETES / "base" / "secrets.example.yaml").read_text()))["stringData"]
    (tmp_path / "keys.json").write_text(keys["keys.json"])
    (tmp_path / "keys.json").chmod(0o440)
    assert KeysFile(tmp_path / "keys.json").read() == ()


def test_alerts_are_about_metrics_and_routes_that_there_are(client):
    text = client.get("/metrics").text
    there = {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}
    rules = [rule for group in MONITORING["PrometheusRule"]["spec"]["groups"] for rule in group["rules"]]
    assert len(rules) == 9
    for rule in rules:
        named = set(re.findall(r"recsys_\w+", rule["expr"]))
        assert named
        assert named <= there, rule["alert"]
    described = client.get("/openapi.json").json()["paths"]
    for expression in [rule["expr"] for rule in rules]:
        for method, path in re.findall(r'route!?="(\w+) (/[\w/]+)"', expression):
            assert method.lower() in described[path]


def test_docs_name_every_alert_and_their_commands_parse():
    text = (ROOT / "docs" / "operations.md").read_text("utf-8")
    for group in MONITORING["PrometheusRule"]["spec"]["groups"]:
        for rule in group["rules"]:
            assert f"`{rule['alert']}`" in text, rule["alert"]
    from serving.doctor.command import doctor

    commands: dict[str, click.Command] = {"serve": serve, "doctor": doctor}
    called = [shlex.split(line)[1:] for line in re.findall(r"^recsys .*$", text, re.M)]
    assert called
    for words in called:
        if words[0] in commands:
            assert commands[words[0]].make_context(words[0], words[1:]).params
    for path in re.findall(r"\]\(([\w./-]+?)(?:#[\w-]*)?\)", text):
        assert (ROOT / "docs" / path).exists(), path
