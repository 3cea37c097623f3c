// Writes records to a database of s3db.js that its replicator plugin carries elsewhere.
// It says "ready", begins when a line comes on its standard input, says "done" when the
// plugin has called all of them replicated, and ends with its input.
//
// Arguments: an entry of the plugin's list of replicators as JSON, how many records.
process.removeAllListeners("warning"); // about versions of Node
process.env.S3DB_LOG_LEVEL = "error";
const { Database, ReplicatorPlugin } = await import("s3db.js");
const [replicator, count] = process.argv.slice(2).map((text) => JSON.parse(text));

const db = new Database({ connectionString: "memory://bench/db", executorPool: { retries: 0 } });
await db.connect();
const orders = await db.createResource({
  name: "orders",
  attributes: {
    name: "string|required", email: "string|required", city: "string", street: "string", total: "number",
    items: "number|integer", paid: "boolean", note: "string", phone: "string",
  },
});
const plugin = new ReplicatorPlugin({ logLevel: "error", replicators: [replicator] });
await db.usePlugin(plugin);
let carried = 0;
plugin.on("plg:replicator:replicated", () => { if (++carried === count) console.log("done"); });
plugin.on("plg:replicator:error", (event) => {
  console.error("the original:", event.error);
  process.kill(process.pid, "SIGKILL");
});

process.stdin.once("data", async () => {
  let next = 0;
  await Promise.all(Array.from({ length: 8 }, async () => {
    while (next < count) {
      await orders.insert({
        id: `r-${next++}`, name: "Alice Example", email: "alice@example.com", city: "Lisbon", street: "Rua Augusta 12",
        total: 129.5, items: 7, paid: true, note: "leave it at the door", phone: "+351 21 000 0000",
      });
    }
  }));
});
process.stdin.on("end", () => process.kill(process.pid, "SIGKILL"));
console.log("ready");
