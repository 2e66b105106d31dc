"""A small MCP server over stdio. Its one tool says whom the credential in its environment makes it."""

import json
import os
import sys
import urllib.request


def whoami():
    if "PGUSER" in os.environ:
        return f"database user {os.environ['PGUSER']}"
    url = f"{os.environ['VAULT_ADDR']}/v1/auth/token/lookup-self"
    request = urllib.request.Request(url, headers={"X-Vault-Token": os.environ["VAULT_TOKEN"]})
    try:
        with urllib.request.urlopen(request) as answer:
            token = json.load(answer)["data"]
    except OSError:
        return "nobody: the token is dead"
    return f"a token of the policies {', '.join(token['policies'])} for {token['meta']['server']}"


def answer(method, params):
    capabilities = {"tools": {}}
    match method:
        case "initialize":
            server = {"name": "whoami", "version": "1"}
            return {"protocolVersion": params["protocolVersion"], "capabilities": capabilities, "serverInfo": server}
        case "server/discover":
            versions = ["2026-07-28"]
            shared = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
            return {"supportedVersions": versions, "capabilities": capabilities, **shared}
        case "tools/list":
            return {"tools": [{"name": "whoami", "inputSchema": {"type": "object"}}]}
        case "tools/call":
            return {"resultType": "complete", "content": [{"type": "text", "text": whoami()}]}


for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        reply = {"jsonrpc": "2.0", "id": message["id"], "result": answer(message["method"], message.get("params"))}
        print(json.dumps(reply), flush=True)
