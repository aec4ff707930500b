// Holds what the server and its page say against the schemas of the MCP Apps extension's own SDK. Reads one JSON
// document (the tool, the resource's contents, the messages of the page) and fails at the first that does not fit.
import * as apps from "@modelcontextprotocol/ext-apps";
import { getToolUiResourceUri } from "@modelcontextprotocol/ext-apps/app-bridge";
import { text } from "node:stream/consumers";

const { tool, contents, messages } = JSON.parse(await text(process.stdin));
const schemas = {
  [apps.INITIALIZE_METHOD]: apps.McpUiInitializeRequestSchema,
  [apps.INITIALIZED_METHOD]: apps.McpUiInitializedNotificationSchema,
  [apps.SIZE_CHANGED_METHOD]: apps.McpUiSizeChangedNotificationSchema,
};
apps.McpUiToolMetaSchema.parse(tool._meta.ui);
apps.McpUiResourceMetaSchema.parse(contents._meta.ui);
if (getToolUiResourceUri(tool) !== contents.uri) throw new Error(`the tool names ${getToolUiResourceUri(tool)}`);
if (contents.mimeType !== apps.RESOURCE_MIME_TYPE) throw new Error(`the resource is ${contents.mimeType}`);
const checked = new Set();
for (const message of messages.filter(({ method }) => method in schemas)) {
  schemas[message.method].parse(message);
  checked.add(message.method);
}
console.log(JSON.stringify([...checked].sort()));
