"""The template python3-http-debian, written down: Flask under waitress around `function.handler`.

As there: the process stands in the folder above `function/`, the event is body, headers, method, query and path; an
answer is a dict with statusCode, body and headers; a dict as body becomes JSON and anything else goes through str();
None is an empty 200; waitress has its four threads. Only the port is given, and not always 5000.
"""

import os
import sys
from typing import Any

from flask import Flask, jsonify, request
from waitress import serve

sys.path.insert(0, os.getcwd())  # a script's own folder is the first there; here the script stands elsewhere

from function import handler  # type: ignore[import-not-found]

METHODS = ["GET", "PUT", "POST", "PATCH", "DELETE"]
app = Flask(__name__)


class Event:
    """What came in."""

    def __init__(self) -> None:
        self.body = request.get_data()
        self.headers = request.headers
        self.method = request.method
        self.query = request.args
        self.path = request.path


class Context:
    """Where it came in."""

    def __init__(self) -> None:
        self.hostname = os.environ["HOSTNAME"]


def response(answer: Any) -> Any:
    if answer is None:
        return "", 200
    body, headers = answer.get("body", ""), answer.get("headers", [])
    body = jsonify(body) if isinstance(body, dict) else str(body)
    return body, answer.get("statusCode", 200), list(headers.items()) if isinstance(headers, dict) else headers


@app.route("/", defaults={"path": ""}, methods=METHODS)
@app.route("/<path:path>", methods=METHODS)
def call(path: str) -> Any:
    return response(handler.handle(Event(), Context()))


if __name__ == "__main__":
    serve(app, host="127.0.0.1", port=int(sys.argv[1]))
