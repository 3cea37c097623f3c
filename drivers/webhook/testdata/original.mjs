// Writes records to a database of s3db.js that its replicator plugin carries to a webhook.
// It begins when a line comes on its standard input, and ends with that.
//
// Arguments: the webhook's URL, how many records.
process.env.S3DB_LOG_LEVEL = "error";
const { Database, ReplicatorPlugin } = await import("s3db.js");
const [url, count] = process.argv.slice(2);

const db = new Database({ connectionString: "memory://bench/db", executorPool: { retries: 0 } });
await db.connect();
const orders = await db.createResource({
  name: "orders",
  attributes: {
    customer: "string", status: "string", currency: "string", total: "number", lines: "number",
    paid: "boolean", city: "string", note: "string", placed: "string",
  },
});
await db.usePlugin(new ReplicatorPlugin({
  logLevel: "error",
  replicators: [{ driver: "webhook", resources: ["orders"], config: { url, timeout: 60000 } }],
}));

process.stdin.once("data", async () => {
  let next = 0;
  await Promise.all(Array.from({ length: 8 }, async () => {
    while (next < Number(count)) {
      await orders.insert({
        id: `order-${next++}`, customer: "customer-0042", status: "open", currency: "EUR", total: 249.99, lines: 3,
        paid: true, city: "Zürich", note: "leave it with the neighbours", placed: "2026-01-31T12:00:00Z",
      });
    }
  }));
});
process.stdin.on("end", () => process.kill(process.pid, "SIGKILL"));
console.log("ready");
