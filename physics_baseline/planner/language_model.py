"""Any language model behind the OpenAI-compatible HTTP protocol as a planner.

The model is asked for a SceneSpec by its JSON Schema. Its answer is data: it is parsed as JSON,
checked like any scene file, and never run. Where it is wrong, the model is shown the errors and
asked again. Answers of such a model may differ from run to run; keep the scene it gave as a file.

Protocol: POST {url}/chat/completions with `response_format` of type `json_schema`, as OpenAI's API
reference describes it and llama.cpp, vLLM and Ollama serve it.
"""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from clay4d.physics_baseline.planner.words import PlanError
from clay4d.physics_baseline.spec import SceneSpec, SpecError, scene_schema

KEY_VARIABLE = "CLAY4D_API_KEY"
"""Environment variable from which the key is read where none is given."""
MAX_ANSWER = 4_000_000
"""Bytes of an answer that are read at most."""
BUSY = (408, 429, 500, 502, 503, 504)

INSTRUCTIONS = """\
You turn a description of a physical scene into one JSON object that follows the given JSON Schema.
Answer with the JSON object only.
World: metres, kilograms, seconds; z is up, x to the right and y away from the usual camera;
quaternions are wxyz. The floor is at z = 0 unless you remove it.
Nothing may overlap at the start. What rests touches what it rests on. What falls starts in the air.
Choose sizes, masses, friction and restitution as the named things have them. Give what moves its
velocity, and put what it is to meet in its way. Ramps are fixed meshes or tilted fixed boxes.
Give at least one camera that sees all of the motion, and a duration that shows its outcome.
"""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key to another host."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def plan_with_language_model(
    prompt: str,
    *,
    url: str,
    model: str,
    api_key: str | None = None,
    seed: int = 0,
    attempts: int = 3,
    timeout: float = 120.0,
) -> SceneSpec:
    """The scene that a language model plans for a prompt.

    Args:
        prompt: what to show, in any words.
        url: the service's base, such as `http://localhost:8080/v1`.
        model: its name there.
        api_key: sent as a bearer token; None: the environment variable CLAY4D_API_KEY, if set.
        seed: handed to the service and written into the scene.
        attempts: how often the model may answer before this gives up.
        timeout: seconds to wait for one answer.

    Raises:
        PlanError: a service that cannot be reached or refuses, or no valid scene in `attempts`
            answers; the message holds the last answer's errors.

    >>> plan_with_language_model("a ball", url="file:///etc/passwd", model="m")
    Traceback (most recent call last):
    clay4d.physics_baseline.planner.words.PlanError: url got 'file:///etc/passwd'; expected http:// or https://.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise PlanError(f"url got {url!r}; expected http:// or https://.")
    if attempts < 1:
        raise PlanError(f"attempts got {attempts}; expected 1 or more.")
    key = os.environ.get(KEY_VARIABLE) if api_key is None else api_key
    client = _Client(f"{url.rstrip('/')}/chat/completions", key, timeout)
    messages = [
        {"role": "system", "content": INSTRUCTIONS},
        {"role": "user", "content": prompt},
    ]
    problem = ""
    for _ in range(attempts):
        answer = client.ask(model, messages, seed)
        try:
            return _scene(answer, prompt, seed)
        except SpecError as error:
            problem = str(error)
        messages += [
            {"role": "assistant", "content": answer},
            {
                "role": "user",
                "content": f"That is not a valid scene:\n{problem}\nGive the whole corrected JSON object.",
            },
        ]
    raise PlanError(
        f"language model {model!r} gave no valid scene in {attempts} answers; the last one's errors:\n{problem}"
    )


def _scene(answer: str, prompt: str, seed: int) -> SceneSpec:
    text = answer.strip()
    if text.startswith("```"):  # Some models fence their JSON whatever they are told.
        text = text.partition("\n")[2].rpartition("```")[0]
    scene = SceneSpec.from_json(text)
    if not scene.bodies:
        raise SpecError("bodies got none; expected at least one.")
    if not scene.cameras:
        raise SpecError("cameras got none; expected at least one.")
    return replace(scene, prompt=prompt, seed=seed)


class _Client:
    """One chat endpoint."""

    def __init__(self, url: str, key: str | None, timeout: float) -> None:
        self.url, self.timeout = url, timeout
        self.headers = {"Content-Type": "application/json"}
        if key:
            self.headers["Authorization"] = f"Bearer {key}"
        self.by_schema = True
        self.opener = urllib.request.build_opener(_NoRedirect)

    def ask(self, model: str, messages: list[dict[str, str]], seed: int) -> str:
        """The text of the model's answer."""
        for pause in (1.0, 4.0, None):
            try:
                return self._content(self._post(self._request(model, messages, seed)))
            except urllib.error.HTTPError as error:
                detail = error.read(2000).decode("utf-8", "replace")
                if error.code in (400, 422) and self.by_schema and "response_format" in detail:
                    self.by_schema = False  # An older service: the schema goes into the words.
                    continue
                if error.code not in BUSY or pause is None:
                    raise PlanError(
                        f"{self.url} answered {error.code} {error.reason}: {detail[:300]}"
                    ) from None
                time.sleep(pause)
            except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
                raise PlanError(
                    f"{self.url} cannot be reached ({getattr(error, 'reason', error)}). "
                    "Start the service or correct its url."
                ) from None
        raise PlanError(f"{self.url} gave no answer.")

    def _request(self, model: str, messages: list[dict[str, str]], seed: int) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": model, "messages": messages, "temperature": 0, "seed": seed,
        }  # fmt: skip
        if self.by_schema:
            schema = {"name": "scene", "schema": scene_schema()}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        else:
            words = f"{INSTRUCTIONS}\nJSON Schema:\n{json.dumps(scene_schema())}"
            body["messages"] = [{"role": "system", "content": words}, *messages[1:]]
        return body

    def _post(self, body: dict[str, Any]) -> bytes:
        request = urllib.request.Request(
            self.url, json.dumps(body).encode(), self.headers, method="POST"
        )
        with self.opener.open(request, timeout=self.timeout) as answer:
            content: bytes = answer.read(MAX_ANSWER + 1)
        if len(content) > MAX_ANSWER:
            raise PlanError(f"{self.url} answered more than {MAX_ANSWER} bytes; expected a scene.")
        return content

    def _content(self, raw: bytes) -> str:
        try:
            return str(json.loads(raw)["choices"][0]["message"]["content"] or "")
        except (ValueError, KeyError, IndexError, TypeError, RecursionError):
            raise PlanError(
                f"{self.url} answered {raw[:200]!r}; expected a chat completion. Is it an OpenAI-compatible service?"
            ) from None
