// Reads all records of a resource of s3db.js whenever a line comes on its standard input,
// and answers with their number. It ends with its input.
//
// Arguments: the connection string.
import readline from "node:readline";

process.removeAllListeners("warning"); // about versions of Node
process.env.S3DB_LOG_LEVEL = "error";
const { Database } = await import("s3db.js");

const db = new Database({ connectionString: process.argv[2], executorPool: { retries: 0 } });
await db.connect();
console.log("ready");
for await (const _ of readline.createInterface({ input: process.stdin })) {
  // The quickest of its ways, when it was tried; without a limit it stops at a thousand.
  console.log((await db.resources.orders.list({ limit: 1_000_000 })).length);
}
process.kill(process.pid, "SIGKILL");
