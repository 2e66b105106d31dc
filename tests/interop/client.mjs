// The TypeScript SDK as a client: client.mjs URL TOKEN TOOL ARGUMENTS MODE, run beside its node_modules.
// Prints the revision that was agreed on, the tools and the answer as JSON.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [url, token, tool, args, mode] = process.argv.slice(2);
const found = createRequire(`${process.cwd()}/`).resolve("@modelcontextprotocol/client");
const { Client, StreamableHTTPClientTransport } = await import(pathToFileURL(found));
const requestInit = { headers: { Authorization: `Bearer ${token}` } };
const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit });
const client = new Client(
  { name: "interop", version: "1" },
  mode === "auto" ? { versionNegotiation: { mode: "auto" } } : {},
);
await client.connect(transport);
const tools = (await client.listTools()).tools.map((tool) => tool.name).sort();
const answer = await client.callTool({ name: tool, arguments: JSON.parse(args) });
const version = client.getNegotiatedProtocolVersion();
console.log(JSON.stringify({ tools, version, text: answer.content[0].text }));
await client.close();
process.exit(0);
