"""The language-model planner against a fake service on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from clay4d.physics_baseline.planner import (
    PlanError,
    language_model,
    plan,
    plan_with_language_model,
)
from clay4d.physics_baseline.spec import scene_schema

GOOD = plan("a red ball falls onto a box").to_json()


class Service:
    """Gives prepared answers in turn and keeps what it was asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: list[tuple[int, bytes, dict[str, str]]] = []
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []

    def says(self, *texts: str) -> None:
        for text in texts:
            body = {"choices": [{"message": {"role": "assistant", "content": text}}]}
            self.answers.append((200, json.dumps(body).encode(), {}))


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    made: Service

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            made.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            made.keys.append(self.headers.get("Authorization"))
            status, body, headers = made.answers.pop(0)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Service(f"http://127.0.0.1:{server.server_address[1]}/v1")
    thread = threading.Thread(target=lambda: server.serve_forever(0.01), daemon=True)
    thread.start()
    monkeypatch.setattr(language_model.time, "sleep", lambda seconds: None)
    monkeypatch.delenv(language_model.KEY_VARIABLE, raising=False)
    yield made
    server.shutdown()
    server.server_close()


def ask(service: Service, **options: Any) -> Any:
    return plan_with_language_model("a ball", url=service.url, model="m", seed=7, **options)


def test_asks_by_schema_and_gives_the_scene(service: Service) -> None:
    service.says(GOOD)
    scene = ask(service, api_key="secret")
    assert scene.bodies[0].name == "red-ball"
    assert (scene.prompt, scene.seed) == ("a ball", 7)
    request = service.asked[0]
    assert request["response_format"]["json_schema"]["schema"] == scene_schema()
    assert request["model"] == "m" and request["messages"][-1]["content"] == "a ball"
    assert service.keys == ["Bearer secret"]


def test_a_fenced_answer_is_read(service: Service) -> None:
    service.says(f"```json\n{GOOD}```")
    assert ask(service).bodies


def test_errors_go_back_to_the_model(service: Service) -> None:
    wrong = json.loads(GOOD)
    wrong["bodies"][0]["radius"] = -1
    service.says(json.dumps(wrong), "no JSON", GOOD)
    assert ask(service).bodies
    second = service.asked[1]["messages"]
    assert "bodies[0].radius got -1; expected more than 0 metres." in second[-1]["content"]
    assert second[-2] == {"role": "assistant", "content": json.dumps(wrong)}


def test_gives_up_with_the_last_error(service: Service) -> None:
    empty = json.dumps({"bodies": []})
    service.says(empty, empty)
    with pytest.raises(PlanError, match="in 2 answers; .*\nbodies got none"):
        ask(service, attempts=2)


def test_code_is_not_run(service: Service, tmp_path: Any) -> None:
    target = tmp_path / "made"
    service.says(f"__import__('pathlib').Path({str(target)!r}).touch()")
    with pytest.raises(PlanError):
        ask(service, attempts=1)
    assert not target.exists()


def test_a_service_without_schemas_gets_the_schema_in_words(service: Service) -> None:
    service.answers.append((400, b'{"error": "unknown field response_format"}', {}))
    service.says(GOOD)
    assert ask(service).bodies
    assert "response_format" not in service.asked[1]
    assert '"$defs"' in service.asked[1]["messages"][0]["content"]


def test_a_busy_service_is_asked_again(service: Service) -> None:
    service.answers += [(503, b"busy", {}), (429, b"slow down", {})]
    service.says(GOOD)
    assert ask(service).bodies


def test_refusals_of_the_service_are_told(service: Service) -> None:
    service.answers.append((401, b"wrong key", {}))
    with pytest.raises(PlanError, match="answered 401 Unauthorized: wrong key"):
        ask(service)
    service.answers.append((200, b"<html>", {}))
    with pytest.raises(PlanError, match="expected a chat completion"):
        ask(service)


def test_redirects_are_not_followed(service: Service) -> None:
    service.answers.append((307, b"", {"Location": "http://127.0.0.1:9/elsewhere"}))
    with pytest.raises(PlanError, match="answered 307"):
        ask(service, api_key="secret")
    assert len(service.asked) == 1


def test_nobody_there() -> None:
    with pytest.raises(PlanError, match="cannot be reached"):
        plan_with_language_model("a ball", url="http://127.0.0.1:9/v1", model="m", timeout=2)
