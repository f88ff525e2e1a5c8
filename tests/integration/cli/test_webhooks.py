"""`windlass webhooks` against a control plane in memory."""

import json

import pytest

from windlass.access.v1 import webhook_pb2
from windlass.jobs.v1.job_notification_pb2 import JobNotification

URL = "https://example.com/hook"


def test_a_webhook_is_made_shown_changed_and_deleted(windlass, plane):
    made = windlass(
        "webhooks", "create", URL, "--type", "job.failed", "--reason", "nonzero_exit",
        "-l", "team=vision", "--description", "chat",
    )  # fmt: skip
    assert (made.exit_code, made.stdout) == (0, "whsec_c2VjcmV0\n"), made.stderr
    assert "webhook-0; the secret is not shown again" in made.stderr
    (request,) = plane.state.requests["CreateWebhook"]
    assert request.webhook == webhook_pb2.Webhook(
        url=URL,
        types=["job.failed"],
        reasons=["NONZERO_EXIT"],
        labels={"team": "vision"},
        description="chat",
        enabled=True,
    )
    (_, line) = windlass("webhooks").stdout.splitlines()
    assert line.split()[:2] == ["webhook-0", URL]
    assert "job.failed, NONZERO_EXIT, team=vision" in " ".join(line.split())
    shown = windlass("webhooks", "get", "webhook-0")
    assert "enabled" in shown.stdout
    assert "whsec" not in shown.stdout + windlass("webhooks", "list", "-o", "json").stdout
    changed = windlass("webhooks", "update", "webhook-0", "--disable", "--type", "job.*")
    assert changed.exit_code == 0, changed.stderr
    (update,) = plane.state.requests["UpdateWebhook"]
    assert (list(update.webhook.types), sorted(update.update_mask.paths)) == (
        ["job.*"],
        ["enabled", "types"],
    )
    assert "disabled" in windlass("webhooks").stdout
    assert windlass("webhooks", "update", "webhook-0").exit_code == 2
    rotated = windlass("webhooks", "rotate-secret", "webhook-0", "--overlap", "7d")
    assert rotated.stdout == "whsec_bmV3\n"
    assert plane.state.requests["RotateWebhookSecret"][0].overlap.seconds == 7 * 86_400
    assert windlass("webhooks", "delete", "webhook-0").stdout == "webhook-0 deleted\n"
    assert windlass("webhooks", "get", "webhook-0").exit_code == 4
    assert windlass("webhooks").stderr == "no webhooks\n"


def test_a_test_waits_for_what_becomes_of_it(windlass, plane):
    windlass("webhooks", "create", URL)
    done = windlass("webhooks", "test", "webhook-0")
    assert done.exit_code == 0, done.stderr
    assert "SUCCEEDED" in done.stdout
    assert len(plane.state.requests["GetWebhookDelivery"]) == 0 or "200" in done.stdout


def test_deliveries_are_listed_and_sent_again_one_or_all_that_failed(windlass, plane):
    listed = windlass("webhooks", "deliveries", "webhook-0", "--status", "failed")
    assert "FAILED" in listed.stdout
    assert plane.state.requests["ListWebhookDeliveries"][0].status == 3
    as_json = json.loads(windlass("webhooks", "deliveries", "webhook-0", "-o", "json").stdout)
    assert as_json["deliveries"][0]["attempts"][0]["http_status"] == 500
    again = windlass("webhooks", "redeliver", "webhook-0", "delivery-1")
    assert again.exit_code == 0, again.stderr
    failed = windlass("webhooks", "redeliver", "webhook-0", "--failed")
    assert failed.stdout == "delivery-1\n"
    assert windlass("webhooks", "redeliver", "webhook-0").exit_code == 2
    assert windlass("webhooks", "deliveries", "webhook-0", "--status", "x").exit_code == 2


@pytest.mark.parametrize(
    ("words", "on"),
    [
        ("webhook-0", []),
        ("webhook-0=failed", [JobNotification.FAILED]),
        ("webhook-0=STARTED,succeeded", [JobNotification.STARTED, JobNotification.SUCCEEDED]),
    ],
)
def test_a_job_names_webhooks(windlass, plane, words, on):
    done = windlass("submit", "--notify", words, "--", "true")
    assert done.exit_code == 0, done.stderr
    (request,) = plane.state.requests["SubmitJob"]
    assert list(request.job.notifications) == [JobNotification(webhook_id="webhook-0", on=on)]


@pytest.mark.parametrize("words", ["webhook-0=", "webhook-0=lost", "webhook-0=failed,"])
def test_moments_that_there_are_not_are_refused(windlass, plane, words):
    done = windlass("submit", "--notify", words, "--", "true")
    assert (done.exit_code, "is none of started" in done.stderr) == (2, True)
