// Applies what comes by a queue with s3db.js's own consumer, to a database of its own in
// memory. When its standard input ends it prints the records and goes.
//
// Arguments: the endpoint and the URL of the queue, the resource's definition as JSON.
process.env.S3DB_LOG_LEVEL = "error";
const { Database, QueueConsumerPlugin } = await import("s3db.js");
const [endpoint, queueUrl, definition] = process.argv.slice(2);

const db = new Database({ connectionString: "memory://consumer/db", executorPool: { retries: 0 } });
await db.connect();
const resource = await db.createResource(JSON.parse(definition));

const consumer = new QueueConsumerPlugin({
  logLevel: "error",
  drivers: [{
    driver: "sqs",
    endpoint,
    region: "us-east-1",
    credentials: { accessKeyId: "key", secretAccessKey: "secret" },
    queues: [{ resources: resource.name, queueUrl, poolingInterval: 1 }],
  }],
});
consumer._handleError = (err) => console.error("consumer:", err?.message ?? err);
await db.usePlugin(consumer);

process.stdin.resume().on("end", async () => {
  const records = [];
  for (const { id } of await resource.list({})) records.push(await resource.get(id));
  process.stdout.write(JSON.stringify(records), () => process.kill(process.pid, "SIGKILL"));
});
