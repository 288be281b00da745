import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.settings import GatewaySettings, variable
from tests.deploy.test_compose import subparser

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
OVERLAYS = ["base", *(f"overlays/{folder.name}" for folder in sorted((FOLDER / "overlays").iterdir()))]
MANIFESTS = [
    pytest.param(manifest, id=f"{file.parent.name}/{file.name}")
    for file in sorted(FOLDER.rglob("*.yaml"))
    for manifest in yaml.safe_load_all(file.read_text())
    if manifest.get("kind") not in ("Kustomization", "ScaledObject", None)  # their schemas are not Kubernetes'
]
OLDEST = "1.30"
"""Oldest Kubernetes that the manifests are checked against; sidecars are on by default since 1.29."""


def validate(manifest: dict[str, Any], version: str) -> None:
    validator = pytest.importorskip("kubernetes_validate", reason="needs kubernetes-validate, of the extra 'test'")
    validator.validate(manifest, version, strict=True)


@pytest.mark.parametrize("version", [OLDEST, "1.37"])
@pytest.mark.parametrize("manifest", MANIFESTS)
def test_the_api_knows_every_field(manifest: dict[str, Any], version: str) -> None:
    validate(manifest, version)


def test_a_field_that_it_does_not_know_is_found() -> None:
    manifest = document("service.yaml")
    manifest["spec"]["clusterIp"] = "None"
    validator = pytest.importorskip("kubernetes_validate")
    with pytest.raises(validator.ValidationError):
        validate(manifest, OLDEST)


@pytest.mark.skipif(not shutil.which("kubectl"), reason="needs kubectl, which has kustomize in it")
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlays_give_what_the_api_knows(overlay: str) -> None:
    done = subprocess.run(
        ["kubectl", "kustomize", FOLDER / overlay],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    manifests = {manifest["kind"]: manifest for manifest in yaml.safe_load_all(done.stdout)}
    for kind, manifest in manifests.items():
        if kind != "ScaledObject":
            validate(manifest, OLDEST)
    deployment, service = manifests["Deployment"], manifests["Service"]
    labels = deployment["spec"]["template"]["metadata"]["labels"].items()
    for selector in (
        service["spec"]["selector"],
        deployment["spec"]["selector"]["matchLabels"],
        manifests["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        manifests["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
    ):
        assert selector.items() <= labels
    assert ("replicas" in deployment["spec"]) == ("hpa" not in overlay and "keda" not in overlay)
    if overlay == "overlays/gpu":
        (torchserve,) = deployment["spec"]["template"]["spec"]["initContainers"]
        assert torchserve["resources"]["limits"]["nvidia.com/gpu"] == 1
        assert manifests["ConfigMap"]["data"]["CAMSERVE_POLL_INTERVAL"] == "15"


def document(name: str) -> Any:
    return yaml.safe_load((FOLDER / "base" / name).read_text())


POD = document("deployment.yaml")["spec"]["template"]["spec"]
(TORCHSERVE,) = POD["initContainers"]
(GATEWAY,) = POD["containers"]


def test_ports_are_those_that_are_listened_on() -> None:
    settings, torchserve = GatewaySettings(), subparser("torchserve").parse_args(TORCHSERVE["args"])
    assert {port["name"]: port["containerPort"] for port in GATEWAY["ports"]} == {
        "grpc": settings.port,
        "metrics": settings.metrics_port,
    }
    assert [port["containerPort"] for port in TORCHSERVE["ports"]] == [torchserve.metrics_port]
    assert torchserve.host == "127.0.0.1"
    assert torchserve.metrics_host == "0.0.0.0"  # noqa: S104
    assert GATEWAY["readinessProbe"]["grpc"]["port"] == settings.port
    allowed = {port["port"] for rule in document("network.yaml")["spec"]["ingress"] for port in rule["ports"]}
    assert allowed == {settings.port, settings.metrics_port, torchserve.metrics_port}
    assert str(torchserve.management_port) in str(TORCHSERVE["startupProbe"])


def test_a_replica_that_goes_has_time_for_its_calls() -> None:
    pause = float(GATEWAY["lifecycle"]["preStop"]["exec"]["command"][1])
    assert POD["terminationGracePeriodSeconds"] > pause + GatewaySettings().drain_timeout
    assert TORCHSERVE["restartPolicy"] == "Always"  # a sidecar, which is stopped last
    assert document("deployment.yaml")["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_containers_are_hardened_and_share_the_scratch() -> None:
    assert POD["securityContext"]["runAsNonRoot"] is True
    for container in (TORCHSERVE, GATEWAY):
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        assert mounts["/run/camserve"] == "scratch"
        assert mounts["/tmp"] == f"tmp-{container['name']}"  # noqa: S108
        assert set(mounts.values()) <= {volume["name"] for volume in POD["volumes"]}
    assert "CAMSERVE_SCRATCH=/run/camserve" in (FOLDER.parent / "Dockerfile").read_text()


def test_the_settings_are_settings() -> None:
    known = {variable(name) for name in GatewaySettings.__dataclass_fields__} | {"CAMSERVE_MODELS"}
    for overlay in OVERLAYS:
        content = yaml.safe_load((FOLDER / overlay / "kustomization.yaml").read_text())
        for generator in content.get("configMapGenerator", []):
            assert {literal.partition("=")[0] for literal in generator["literals"]} <= known


def test_clients_find_every_replica() -> None:
    spec = document("service.yaml")["spec"]
    assert spec["clusterIP"] == "None"
    assert "grpc" in [port["name"] for port in spec["ports"]]
