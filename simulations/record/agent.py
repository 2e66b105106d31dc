"""Plays the sessions of sessions.toml.

    agent.py SESSIONS.toml SERVERS.json LOGS

The client is the Python SDK, or for sessions that say so the TypeScript SDK in agent.mjs, which is
given its steps as JSON. Fails when a server answers a step otherwise than the step says.
"""

import asyncio
import json
import os
import subprocess
import sys
import tomllib
from contextlib import AsyncExitStack
from pathlib import Path

import mcp_types as types
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.shared.exceptions import MCPError

HERE = Path(__file__).parent
AGENTS = {
    "developer": "coding-agent",
    "contractor": "coding-agent",
    "plugin": "some-plugin",
    "reviewer": "review-agent",
    "release": "release-agent",
    "tester": "test-agent",
}
sessions_path, servers_path, logs = sys.argv[1:]
SERVERS = json.loads(Path(servers_path).read_text())


def role(session):
    return session.split("-")[0]


def prepared(step):
    """The step with its arguments filled in."""
    step = dict(step)
    if fill := step.pop("fill", None):
        step["args"] = {**step.get("args", {}), fill["path"]: fill["text"] * fill["times"]}
    return step


def command(server, session):
    """How to start a server with the tee in front of it."""
    log = Path(logs) / f"{role(session)}.jsonl"
    return [sys.executable, str(HERE / "tee.py"), str(log), server, session, *SERVERS[server]["command"]]


async def send(client, step):
    """Sends one request; whether the server did as it was asked, and what it said if not."""
    args = step.get("args")
    match step:
        case {"call": tool}:
            result = await client.call_tool(tool, args or {}, read_timeout_seconds=step.get("patience"))
            return not result.is_error, str(result.content)
        case {"prompt": prompt}:
            await client.get_prompt(prompt, args)
        case {"read": uri}:
            await client.read_resource(uri)
        case {"list": "tools"}:
            await client.list_tools()
        case {"list": "prompts"}:
            await client.list_prompts()
        case {"list": "resources"}:
            await client.list_resources()
        case {"list": "templates"}:
            await client.list_resource_templates()
        case {"ping": True}:
            await client.send_ping()
        case {"send": method}:
            request = types.Request[dict, str](method=method, params=step.get("params", {}))
            await client.session.send_request(request, types.EmptyResult)
        case _:
            raise SystemExit(f"the Python client has no step {step}")
    return True, ""


async def play(session, steps):
    """Plays a session; what went otherwise than the step says."""
    async with AsyncExitStack() as stack:
        clients = {}
        info = types.Implementation(name=AGENTS[role(session)], version="1.0.0")
        for step in steps:
            server = step["on"]
            if server not in clients:
                program, *arguments = command(server, session)
                transport = stdio_client(
                    StdioServerParameters(command=program, args=arguments, env=SERVERS[server].get("env"))
                )
                # No cache: a list that is asked for is sent.
                client = Client(transport, client_info=info, cache=None, read_timeout_seconds=30)
                clients[server] = await stack.enter_async_context(client)
            try:
                done, said = await send(clients[server], step)
            except MCPError as error:
                done, said = False, str(error)
            if done == step.get("refused", False):
                return f"{session}: {step} was {'done' if done else 'refused: ' + said}"
    return None


def main():
    for session in tomllib.loads(Path(sessions_path).read_text())["sessions"]:
        steps = [prepared(step) for step in session["steps"] for _ in range(step.get("repeat", 1))]
        print(f"{session['id']}: {len(steps)} steps", flush=True)
        if session["client"] == "typescript":
            name = session["id"]
            servers = {step["on"] for step in steps}
            work = {
                "session": name,
                "agent": AGENTS[role(name)],
                "servers": {s: {"command": command(s, name), "env": SERVERS[s].get("env", {})} for s in servers},
                "steps": steps,
            }
            if subprocess.run(["node", os.environ["AGENT_MJS"]], input=json.dumps(work), text=True).returncode:
                raise SystemExit(f"{name} was not played to its end")
        else:
            wrong = asyncio.run(play(session["id"], steps))
            if wrong:
                raise SystemExit(wrong)


main()
