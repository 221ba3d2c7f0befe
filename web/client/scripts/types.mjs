// Writes src/protocol.gen.ts from docs/protocol.schema.json; with --check only says whether it is current.
import { readFileSync, writeFileSync } from "node:fs";

const SCHEMA = new URL("../../../docs/protocol.schema.json", import.meta.url);
const TARGET = new URL("../src/protocol.gen.ts", import.meta.url);

const schema = JSON.parse(readFileSync(SCHEMA, "utf8"));

const UNIONS = new Set(["Request", "Frame"]); // written below, from the maps that carry the names

/** `message.send` -> `MessageSend` */
const pascal = (name) => name.replace(/(?:^|[._])([a-z])/g, (_, letter) => letter.toUpperCase());

const doc = (text, indent = "") => (text ? `${indent}/** ${text} */\n` : "");

function refName(ref) {
  const parts = ref.split("/");
  const name = parts.at(-1);
  if (ref === "#/error") return "ErrorReply";
  if (parts[1] === "requests") return `${pascal(name)}Request`;
  if (parts[1] === "events") return `${pascal(name)}Event`;
  return name;
}

/** A schema as a TypeScript type. */
function type(node) {
  if (node.$ref) return refName(node.$ref);
  if ("const" in node) return JSON.stringify(node.const);
  if (node.enum) return node.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (node.anyOf) return [...new Set(node.anyOf.map(type))].join(" | ");
  switch (node.type) {
    case "string":
    case "boolean":
    case "null":
      return node.type;
    case "integer":
    case "number":
      return "number";
    case "array": {
      const item = type(node.items);
      return item.includes("|") ? `readonly (${item})[]` : `readonly ${item}[]`;
    }
    case "object":
      if (node.properties) return object(node, "");
      return `{ readonly [key: string]: ${node.additionalProperties ? type(node.additionalProperties) : "unknown"} }`;
    default:
      throw new Error(`no TypeScript for ${JSON.stringify(node)}`);
  }
}

function object(node, indent) {
  const required = new Set(node.required ?? []);
  const fields = Object.entries(node.properties).map(([name, field]) => {
    const mark = required.has(name) ? "" : "?";
    return `${doc(field.description, `${indent}  `)}${indent}  readonly ${name}${mark}: ${type(field)};\n`;
  });
  return `{\n${fields.join("")}${indent}}`;
}

function declaration(name, node) {
  const head = doc(node.description);
  if (node.properties) return `${head}export interface ${name} ${object(node, "")}\n`;
  return `${head}export type ${name} = ${type(node)};\n`;
}

function map(name, description, entries) {
  const lines = entries.map(([key, value]) => `  readonly ${JSON.stringify(key)}: ${value};\n`);
  return `${doc(description)}export interface ${name} {\n${lines.join("")}}\n`;
}

const { requests, replies, events, closeCodes, $defs: definitions } = schema;
const parts = [
  "// Made from docs/protocol.schema.json by `npm run types`; do not edit.\n",
  ...Object.entries(definitions)
    .filter(([name]) => !UNIONS.has(name))
    .map(([name, node]) => declaration(name, node)),
  declaration("ErrorReply", schema.error),
  ...Object.entries(requests).map(([name, node]) => declaration(`${pascal(name)}Request`, node)),
  ...Object.entries(events).map(([name, node]) => declaration(`${pascal(name)}Event`, node)),
  map(
    "Requests",
    "Each request by its `type`.",
    Object.keys(requests).map((name) => [name, `${pascal(name)}Request`]),
  ),
  map(
    "Replies",
    "The `ok` of each request, by the request's `type`.",
    Object.entries(replies).map(([name, node]) => [name, type(node)]),
  ),
  map(
    "Events",
    "Each event by its `type`.",
    Object.keys(events).map((name) => [name, `${pascal(name)}Event`]),
  ),
  "export type RequestType = keyof Requests;\n",
  "export type AnyRequest = Requests[RequestType];\n",
  "export type AnyEvent = Events[keyof Events];\n",
  "export type AnyOk = Replies[RequestType];\n",
  `${doc("Close codes of the server.")}export const CLOSE = {\n${closeCodes
    .map(({ code, name }) => `  ${name}: ${code},\n`)
    .join("")}} as const;\n`,
];
const made = parts.join("\n");

if (process.argv.includes("--check")) {
  if (readFileSync(TARGET, "utf8") !== made) {
    console.error(
      "web/client/src/protocol.gen.ts is not what docs/protocol.schema.json says: npm run types -w @chatd/client",
    );
    process.exit(1);
  }
} else {
  writeFileSync(TARGET, made);
}
