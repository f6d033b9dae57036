"""A Hub on this machine: serves folders under real ids through the file API that the Hub's library speaks.

What it answers: a model's information, the listing of its tree, HEAD and GET of its files with commit, ETag and ranges,
and the Hub's own error codes. Tests give it `repositories`, break it in the ways of `faults`, and read `requests`.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlparse

_BIG = (".safetensors", ".bin", ".ckpt")  # what real repositories keep in LFS


@dataclass
class Repository:
    """A model on the Hub."""

    folder: Path
    revision: str = "a" * 40
    gated: bool = False
    branches: dict[str, str] = field(default_factory=dict)  # other names of revisions

    def names(self) -> list[str]:
        return sorted(path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file())

    def knows(self, revision: str) -> bool:
        return revision in ("main", self.revision, *self.branches)


class HubServer:
    """The server. Its address goes into HF_ENDPOINT.

    Attributes:
        repositories: by id.
        requests: what was asked for, as "METHOD path".
        faults: fragment of "METHOD path" -> what happens there: a status such as 503; "break 1000": the connection
            breaks off after 1000 bytes; "damage": other bytes come; "hang up": no answer, the first time.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.requests: list[str] = []
        self.faults: dict[str, str | int] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def clear(self) -> None:
        """Forget everything that a test has set."""
        for memory in (self.repositories, self.requests, self.faults):
            memory.clear()

    def downloads(self) -> list[str]:
        """Return the files that were asked for by GET, without the addresses around them."""
        return [
            line.split("/resolve/")[1].partition("/")[2]
            for line in self.requests
            if line.startswith("GET ") and "/resolve/" in line
        ]

    def _handler(hub):  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_) -> None:
                pass

            def do_HEAD(self) -> None:
                self._answer(body=False)

            def do_GET(self) -> None:
                self._answer(body=True)

            def _answer(self, body: bool) -> None:
                path = unquote(urlparse(self.path).path)
                ranged = self.headers.get("Range")
                hub.requests.append(f"{self.command} {path}{' ' + ranged if ranged else ''}")
                part = next((part for part in hub.faults if part in f"{self.command} {path}"), None)
                fault = hub.faults.get(part)
                if fault == "hang up":
                    del hub.faults[part]
                    self.close_connection = True
                    return
                if isinstance(fault, int):
                    return self._refuse(fault, "")
                if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(revision|tree)/(.+))?", path):
                    return self._api(*found.groups())
                if found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/(.+)", path):
                    return self._file(*found.groups(), body, fault)
                self._refuse(404, "EntryNotFound")

            def _api(self, name: str, kind: str | None, revision: str | None) -> None:
                repository = hub.repositories.get(name)
                if repository is None:
                    return self._refuse(401, "RepoNotFound")  # as the real one answers without a login
                if not repository.knows(revision or "main"):
                    return self._refuse(404, "RevisionNotFound")
                entries = []
                for path in repository.names():
                    size, blob = (repository.folder / path).stat().st_size, _blob(repository.folder / path)
                    lfs = (
                        {"lfs": {"oid": blob, "sha256": blob, "size": size, "pointerSize": 134}}
                        if path.endswith(_BIG)
                        else {}
                    )
                    entries.append(
                        {
                            "type": "file",
                            "path": path,
                            "rfilename": path,
                            "size": size,
                            "oid": blob,
                            "blobId": blob,
                            **lfs,
                        }
                    )
                if kind == "tree":
                    return self._send(200, json.dumps(entries).encode())
                about = {"id": name, "modelId": name, "sha": repository.revision, "siblings": entries, "private": False}
                self._send(200, json.dumps({**about, "gated": "auto" if repository.gated else False}).encode())

            def _file(self, name: str, rest: str, body: bool, fault) -> None:
                repository = hub.repositories.get(name)
                if repository is None:
                    return self._refuse(401, "RepoNotFound")
                revisions = sorted(["main", repository.revision, *repository.branches], key=len, reverse=True)
                revision = next((each for each in revisions if rest.startswith(each + "/")), None)
                if revision is None:
                    return self._refuse(404, "RevisionNotFound")
                if repository.gated:
                    return self._refuse(403, "GatedRepo")
                path = repository.folder / rest.removeprefix(revision + "/")
                if not path.is_file():
                    return self._refuse(404, "EntryNotFound", {"X-Repo-Commit": repository.revision})
                content, status, headers = path.read_bytes(), 200, {}
                headers |= {"X-Repo-Commit": repository.revision, "ETag": f'"{_blob(path)}"', "Accept-Ranges": "bytes"}
                if fault == "damage":
                    content = bytes(len(content))
                if found := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
                    start, end = int(found[1]), int(found[2] or len(content) - 1)
                    headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
                    content, status = content[start : end + 1], 206
                stop = int(fault.removeprefix("break ")) if str(fault).startswith("break ") else None
                self._send(status, content, headers, body, stop)

            def _refuse(self, status: int, code: str, headers: dict | None = None) -> None:
                self._send(status, b"{}", (headers or {}) | ({"X-Error-Code": code} if code else {}))

            def _send(
                self, status: int, content: bytes, headers: dict | None = None, body: bool = True, stop=None
            ) -> None:
                self.send_response(status)
                for key, value in (headers or {}).items():
                    self.send_header(key, value)
                self.send_header(
                    "Content-Type", "application/json" if content[:1] in (b"{", b"[") else "application/octet-stream"
                )
                self.send_header("Content-Length", str(len(content)))
                if stop is not None and body:  # said, so that no client asks again on a connection that is closing
                    self.send_header("Connection", "close")
                self.end_headers()
                if body and self.command != "HEAD":
                    self.wfile.write(content[:stop])

        return Handler


def _blob(path: Path) -> str:
    """Return what the Hub names a file's content by: SHA-256 in LFS, otherwise that of git."""
    content = path.read_bytes()
    if path.name.endswith(_BIG):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
