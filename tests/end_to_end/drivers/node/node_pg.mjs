// node-postgres: simple Query without parameters, the unnamed or a named statement with them.
import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import pg from "pg";
import copy from "pg-copy-streams";

const table = process.env.TABLE;
const connect = async () => {
  const client = new pg.Client({ connectionString: process.env.DATABASE_URL });
  await client.connect();
  return client;
};
const sqlstate = (code) => (error) => error.code === code;
const done = (step) => console.log(`ok ${step}`);
const client = await connect();

assert.equal((await client.query("SELECT 1 AS one")).rows[0].one, 1);
done("connect");

for (const n of [1, 2]) {
  const { rows } = await client.query({ name: "plus", text: "SELECT $1::int + 1 AS n, $2::text AS t", values: [n, "ä"] });
  assert.deepEqual(rows, [{ n: n + 1, t: "ä" }]);
}
done("prepared");

await client.query("BEGIN");
await client.query(`CREATE TABLE ${table} (id int PRIMARY KEY, value text)`);
assert.equal((await client.query(`ALTER TABLE ${table} ENABLE ELECTRIC`)).command, "ELECTRIC");
await client.query("COMMIT");
done("electrify");

// One Query with several statements: one result each, a DDLX statement in the middle.
const results = await client.query(
  `CREATE TABLE ${table}_b (id int PRIMARY KEY); ALTER TABLE ${table}_b ENABLE ELECTRIC; SELECT 'after' AS word`);
assert.deepEqual(results.map((result) => result.command), ["CREATE", "ELECTRIC", "SELECT"]);
assert.deepEqual(results[2].rows, [{ word: "after" }]);
done("script");

await client.query("BEGIN");
await client.query(`CREATE TABLE ${table}_gone (id int PRIMARY KEY)`);
await client.query(`ALTER TABLE ${table}_gone ENABLE ELECTRIC`);
await client.query("ROLLBACK");
assert.equal((await client.query(`SELECT to_regclass('${table}_gone') AS found`)).rows[0].found, null);
done("rollback");

await client.query("BEGIN");
await client.query(`CREATE TABLE ${table}_bad (id int PRIMARY KEY, n int DEFAULT 1)`);
await assert.rejects(client.query(`ALTER TABLE ${table}_bad ENABLE ELECTRIC`),
  (error) => error.code === "P0001" && /DEFAULT expressions/.test(error.message));
await assert.rejects(client.query("SELECT 1"), sqlstate("25P02"));
await client.query("ROLLBACK");
done("refused");

await assert.rejects(client.query("SELEC 1"), (error) => error.code === "42601" && error.position === "1");
await assert.rejects(client.query({ name: "zero", text: "SELECT 1 / $1::int", values: [0] }), sqlstate("22012"));
assert.equal((await client.query({ name: "zero", text: "SELECT 1 / $1::int", values: [1] })).rowCount, 1);
done("recovery");

const lines = Array.from({ length: 20000 }, (_, n) => `${n}\tvalue ${n}\n`);
await pipeline(Readable.from(lines), client.query(copy.from(`COPY ${table} FROM STDIN`)));
const chunks = [];
for await (const chunk of client.query(copy.to(`COPY (TABLE ${table} ORDER BY id) TO STDOUT`))) chunks.push(chunk);
assert.equal(Buffer.concat(chunks).toString(), lines.join(""));
done("copy");

// Queued by the driver; each is answered in its order, the failing one too.
const queued = [1, 2, 0, 4].map((n) => client.query("SELECT 12 / $1::int AS n", [n]));
const settled = await Promise.allSettled(queued);
assert.deepEqual(settled.map((one) => one.value?.rows[0].n ?? one.reason.code), [12, 6, "22012", 3]);
done("queue");

const listener = await connect();
await listener.query(`LISTEN ${table}`);
const notified = new Promise((resolve) => listener.once("notification", resolve));
await client.query(`NOTIFY ${table}, 'hello'`);
const notification = await notified;
assert.equal(notification.payload, "hello");
assert.equal(notification.processId, (await client.query("SELECT pg_backend_pid() AS pid")).rows[0].pid);
await listener.end();
done("notify");

const long = "x".repeat(10_000_000);
assert.equal((await client.query("SELECT $1::text AS t", [long])).rows[0].t, long);
done("large");

await client.end();
