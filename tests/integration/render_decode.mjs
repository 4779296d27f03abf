// Reads metadata.json files as client libraries do: with protobufjs, which knows nothing of ours but
// the message's layout, and with the code of the legacy client's generator.
//
//     node render_decode.mjs DIRECTORY PROTO <lines of {"dialect", "metadata"} >lines of answers
//
// DIRECTORY has both in its node_modules. An answer is {"ops": [message …], "statements": [SQL …]}.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { join } from "node:path";

const [directory, proto] = process.argv.slice(2);
const require = createRequire(join(directory, "package.json"));
const protobuf = require("protobufjs");
const legacy = async (file) => import(pathToFileURL(join(directory, "node_modules/electric-sql/dist", file)).href);
const { parseMetadata, makeMigration, sqliteBuilder, pgBuilder } = await legacy("migrators/builder.js");
const { buildInitialMigration } = await legacy("migrators/schema.js");

const Message = (await protobuf.load(proto)).lookupType("electric.satellite.SatOpMigrate");
const decode = (text) => Message.toObject(Message.decode(Buffer.from(text, "base64")), { arrays: true, defaults: true, oneofs: true });

console.log(JSON.stringify(buildInitialMigration(sqliteBuilder).migrations));
for await (const line of createInterface({ input: process.stdin })) {
  const { dialect, metadata } = JSON.parse(line);
  const builder = dialect === "sqlite" ? sqliteBuilder : pgBuilder;
  const { statements } = makeMigration(parseMetadata(metadata), builder);
  console.log(JSON.stringify({ ops: metadata.ops.map(decode), statements }));
}
