"""The Python SDK as a client: client.py URL TOKEN TOOL ARGUMENTS MODE. Prints the revision that was
agreed on, the tools and the answer as JSON."""

import asyncio
import json
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

url, token, tool, arguments, mode = sys.argv[1:]


async def main():
    http = httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"})
    async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
        tools = sorted(tool.name for tool in (await client.list_tools()).tools)
        answer = await client.call_tool(tool, json.loads(arguments))
        print(json.dumps({"tools": tools, "version": client.protocol_version, "text": answer.content[0].text}))


asyncio.run(main())
