// Connects to the façade with the TypeScript SDK's client, lists the tools, makes the calls given as JSON in the last
// argument, and prints what came back as one JSON document.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";

const [command, ...rest] = process.argv.slice(2);
const calls = JSON.parse(rest.pop());
const client = new Client({ name: "typescript-client", version: "1" });
await client.connect(new StdioClientTransport({ command, args: rest, env: process.env }));
const { tools } = await client.listTools();
const results = [];
for (const [name, args] of calls) {
  results.push(await client.callTool({ name, arguments: args }));
}
const { resources } = await client.listResources();
const { prompts } = await client.listPrompts();
console.log(JSON.stringify({ tools, results, resources, prompts }));
await client.close();
