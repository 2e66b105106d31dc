// Plays one session with the TypeScript SDK; agent.py hands it the steps on stdin.

import { readFileSync } from "node:fs";
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport, getDefaultEnvironment } from "@modelcontextprotocol/client/stdio";

const work = JSON.parse(readFileSync(0, "utf8"));
const clients = new Map();

async function connected(name) {
  if (!clients.has(name)) {
    const { command, env } = work.servers[name];
    const [program, ...args] = command;
    const client = new Client({ name: work.agent, version: "1.0.0" }, { versionNegotiation: { mode: "auto" } });
    const transport = new StdioClientTransport({
      command: program, args, env: { ...getDefaultEnvironment(), ...env },
    });
    await client.connect(transport);
    clients.set(name, client);
  }
  return clients.get(name);
}

const lists = {
  tools: (client) => client.listTools(),
  prompts: (client) => client.listPrompts(),
  resources: (client) => client.listResources(),
  templates: (client) => client.listResourceTemplates(),
};

// Sends one request; whether the server did as it was asked.
async function send(client, step) {
  if (step.call) return !(await client.callTool({ name: step.call, arguments: step.args ?? {} })).isError;
  if (step.prompt) await client.getPrompt({ name: step.prompt, arguments: step.args });
  else if (step.read) await client.readResource({ uri: step.read });
  else if (step.list) await lists[step.list](client);
  else if (step.ping) await client.ping();
  else if (step.log_level) await client.setLoggingLevel(step.log_level);
  else if (step.subscribe) await client.subscribeResource({ uri: step.subscribe });
  else if (step.unsubscribe) await client.unsubscribeResource({ uri: step.unsubscribe });
  else if (step.complete) await client.complete({ ref: { type: "ref/prompt", name: step.complete }, argument: step.args });
  else throw new TypeError(`the TypeScript client has no step ${JSON.stringify(step)}`);
  return true;
}

for (const step of work.steps) {
  const client = await connected(step.on);
  let done = false;
  let said = "refused";
  try {
    done = await send(client, step);
  } catch (error) {
    if (error instanceof TypeError) throw error;
    said = error.message;
  }
  if (done === (step.refused ?? false)) {
    console.error(`${work.session}: ${JSON.stringify(step)} was ${done ? "done" : said}`);
    process.exit(1);
  }
}
for (const client of clients.values()) await client.close();
