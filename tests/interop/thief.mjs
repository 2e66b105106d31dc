// The TypeScript SDK in the hands of a thief: thief.mjs DOOR OTHER_DOOR ANA BOB AGENT, run beside its node_modules.
// ANA and BOB are tokens for DOOR, and so is AGENT, which is ana's through another agent. Prints what came of each attempt
// as JSON.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [door, other, ana, bob, agent] = process.argv.slice(2);
const found = createRequire(`${process.cwd()}/`).resolve("@modelcontextprotocol/client");
const { Client, StreamableHTTPClientTransport } = await import(pathToFileURL(found));

async function connected(url, token, sessionId) {
  const requestInit = { headers: { Authorization: `Bearer ${token}` } };
  const transport = new StreamableHTTPClientTransport(new URL(url), {
    requestInit,
    ...(sessionId && { sessionId, protocolVersion: "2025-11-25" }),
  });
  const client = new Client({ name: "thief", version: "1" });
  await client.connect(transport);
  return { client, transport };
}

const outcomes = {};
async function attempt(name, what) {
  try {
    outcomes[name] = await what();
  } catch (error) {
    const doorward = error.data?.doorward?.code ?? /"doorward":\{"code":"([a-z-]+)"/.exec(String(error.message))?.[1];
    outcomes[name] = `refused: ${doorward ?? error.message}`;
  }
}

// Asked on the wire: `listTools` answers by itself when it has not seen the capabilities of a session.
const names = async ({ client }) => {
  const { tools } = await client.request({ method: "tools/list", params: {} });
  return tools.map((tool) => tool.name).sort();
};
const sum = async ({ client }) =>
  (await client.callTool({ name: "add", arguments: { a: 1, b: 2 } })).content[0].text;

const hers = await connected(door, ana);
const session = hers.transport.sessionId;
await attempt("ana lists", () => names(hers));
for (const [who, token] of [["bob", bob], ["another agent of ana", agent]]) {
  await attempt(`${who} lists in her session`, async () => names(await connected(door, token, session)));
  await attempt(`${who} calls in her session`, async () => sum(await connected(door, token, session)));
  await attempt(`${who} ends her session`, async () => {
    const { transport } = await connected(door, token, session);
    await transport.terminateSession();
    return "ended";
  });
}
await attempt("ana still calls", () => sum(hers));
await attempt("ana ends her session", () => hers.transport.terminateSession().then(() => "ended"));
await attempt("ana comes back to it", async () => names(await connected(door, ana, session)));

const his = await connected(door, bob);
await attempt("bob lists", () => names(his));
await attempt("bob calls what he does not see", () => his.client.callTool({ name: "pid", arguments: {} }));
await attempt("bob calls what is not there", () => his.client.callTool({ name: "nothing", arguments: {} }));
await attempt("ana's token at another door", async () => names(await connected(other, ana)));
await attempt("her session at another door", async () => names(await connected(other, ana, session)));
console.log(JSON.stringify(outcomes));
process.exit(0);
