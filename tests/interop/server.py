"""A server made with the Python SDK, over HTTP: server.py PORT."""

import sys

from mcp.server import MCPServer

server = MCPServer("sums")


@server.tool()
def add(a: int, b: int) -> str:
    """Adds two numbers"""
    return str(a + b)


@server.tool()
def subtract(a: int, b: int) -> str:
    """Takes one number from another"""
    return str(a - b)


@server.tool()
def multiply(a: int, b: int) -> str:
    """Multiplies two numbers"""
    return str(a * b)


@server.tool()
def power(a: int, b: int) -> str:
    """Multiplies a number with itself"""
    return str(a**b)


@server.prompt()
def explain() -> str:
    """Asks for an explanation"""
    return "Explain how to add."


@server.resource("sums://about")
def about() -> str:
    """What this is"""
    return "It does sums."


server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
