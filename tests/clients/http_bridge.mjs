// Puts a stdio server behind streamable HTTP, for suites that speak only that: every HTTP session has a process of its
// own, and messages go through as they are, but for requests that name things of the suite's own model server: the
// variable STANDS_FOR maps each such name to the parameters that are sent instead. Prints its URL; ends with its stdin.
//
//     STANDS_FOR='{"test_simple_text": {"name": "paper_health", "arguments": {}}}' node http_bridge.mjs COMMAND ARGUMENT…
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";

const [command, ...args] = process.argv.slice(2);
const standsFor = JSON.parse(process.env.STANDS_FOR ?? "{}");
const sessions = new Map();

async function open(host) {
  const server = new StdioClientTransport({ command, args, env: process.env });
  const client = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: (id) => sessions.set(id, client),
    onsessionclosed: (id) => sessions.delete(id),
    enableDnsRebindingProtection: true,
    allowedHosts: [host],
  });
  // A reply finds its request's stream by its id; a notification about a request names that by its progress token.
  const tokens = new Map();
  client.onmessage = (message) => {
    const token = message.params?._meta?.progressToken;
    if (token !== undefined) tokens.set(token, message.id);
    const { name, uri, ref, _meta } = message.params ?? {};
    const instead = standsFor[ref ? `${ref.type} ${ref.name}` : (name ?? uri)];
    server.send(instead ? { ...message, params: { ...instead, ...(_meta && { _meta }) } } : message);
  };
  server.onmessage = (message) => client.send(message, { relatedRequestId: tokens.get(message.params?.progressToken) });
  client.onclose = () => server.close();
  await server.start();
  await client.start();
  return client;
}

const listening = createServer(async (request, response) => {
  const id = request.headers["mcp-session-id"];
  const known = sessions.get(id);
  if (id !== undefined && !known) return response.writeHead(404).end();
  const transport = known ?? (await open(`127.0.0.1:${listening.address().port}`));
  await transport.handleRequest(request, response);
  if (!known && !transport.sessionId) await transport.close();
}).listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${listening.address().port}/mcp`));

process.stdin.resume().on("end", async () => {
  await Promise.all([...sessions.values()].map((transport) => transport.close()));
  process.exit(0);
});
