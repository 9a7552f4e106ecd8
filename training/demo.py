"""The command `recsys demo`: the whole way of the data on Online Retail, from the logs to two answers of a server."""

import json
import os
import shutil
import subprocess  # the server that the demo starts is our own command
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import click

ADDRESS_AFTER = " on "
START_TIMEOUT_S = 60
HERE = Path(__file__).parent.parent
DATA = HERE / "examples" / "online_retail" / "online_retail.parquet"

CONFIG = """\
# Written by `recsys demo`. Every key is explained in docs/configuration.md.
name = "online_retail"

[source]
format = "online_retail"
interactions = {data}

[interaction_types]
purchase = {{ weight = 1.0, label = true }}

[split]
test_start = 2011-11-25T00:00:00Z

[serving]
# Of every answer, so that `recsys audit parity` has some to replay; a busy server needs one in a hundred.
logged_features_share = 1.0
"""


@click.command()
@click.option(
    "--dir", "folder", type=click.Path(path_type=Path), default="runs/demo", show_default=True, help="Project"
)
def demo(folder: Path) -> None:
    """Import, train, measure and serve the bundled data: a first look at all that the engine does."""
    from rich.console import Console

    from recsys.errors import DataError
    from recsys.importing import import_tables
    from recsys.workspace import Workspace
    from training.evaluate import evaluate, users_file
    from training.paired import users_path
    from training.pipeline import Pipeline
    from training.publishing import bundle_id, publish_models
    from training.report import print_table, write_report

    if not DATA.exists():
        raise DataError(f"{DATA} is missing; expected the bundled data, run the demo from a clone of the project")
    folder.mkdir(parents=True, exist_ok=True)
    config_path = folder / "recsys.toml"
    data = os.path.relpath(DATA, folder.resolve())
    config_path.write_text(CONFIG.format(data=json.dumps(data)))
    workspace = Workspace.open(config_path)
    started = time.monotonic()
    Console().print(import_tables(workspace))
    import_seconds = time.monotonic() - started

    pipeline = Pipeline(workspace, cut=workspace.config.split.test_start)
    report = evaluate(pipeline, bundle=bundle_id(pipeline))
    report["seconds"] = {"import": import_seconds, **report["seconds"]}
    started = time.monotonic()
    bundle = publish_models(pipeline, report)
    report["seconds"]["publish"] = time.monotonic() - started
    write_report(report, folder / "report.json", folder / "report.html")
    shutil.copyfile(users_file(pipeline), users_path(folder / "report.json"))

    state = pipeline.window(pipeline.cut, None)
    user = state.users[0]
    candidates = [pipeline.catalogue.item_ids[item] for item in state.labels[0]][:5] + pipeline.catalogue.item_ids[:5]
    with running_server(config_path) as address:
        print(f"\nserver ready on {address}")
        show(address, "/v1/rank", {"user_id": user, "candidates": [*candidates, "no-such-item"], "limit": 5})
        show(address, "/v1/recommend", {"user_id": user, "limit": 5})
    print("server stopped\n")
    print_table(report)
    print(f"bundle: {bundle}\nreport: {folder / 'report.json'} and {folder / 'report.html'}")


@contextmanager
def running_server(config_path: Path) -> Iterator[str]:
    """The address of a server on a free port of loopback, ready; it is stopped at the end of the block."""
    from recsys.errors import RecsysError

    command = [sys.executable, "-c", "from recsys.cli import main; main()"]
    command += ["serve", "--config", str(config_path), "--host", "127.0.0.1", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if ADDRESS_AFTER not in line:
                raise RecsysError(f"the server did not start: {line or 'it ended without a word, see the lines above'}")
            yield line.partition(ADDRESS_AFTER)[2].partition(",")[0]
        finally:
            process.terminate()
            process.wait(START_TIMEOUT_S)


def show(address: str, route: str, body: dict[str, Any]) -> None:
    """Send a request and print its answer, an item a line."""
    with closing(HTTPConnection(address.removeprefix("http://"), timeout=START_TIMEOUT_S)) as connection:
        connection.request("POST", route, json.dumps(body), {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
    print(f"\nPOST {route} {json.dumps(body)[:200]}")
    print(f"  request_id {answer['request_id']}, {answer['took_ms']:.1f} ms, bundle {answer['bundle']}")
    for item in answer["items"]:
        line = f"  {item['rank']:>2} {item['score']:>7.3f} {item['item_id']:<7} {item['title']:<35.35}"
        print(f"{line} {', '.join(item['channels'])}")
    if answer.get("unknown"):
        print(f"  unknown: {', '.join(answer['unknown'])}")
