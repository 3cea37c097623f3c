// Drives s3db.js by commands, a JSON array of name and arguments on each line of standard
// input, and answers each with a line: {"result": …} or {"error": "…"}. Ends with its input.
import readline from "node:readline";

process.removeAllListeners("warning"); // about versions of Node
process.env.S3DB_LOG_LEVEL = "error";
const { Database } = await import("s3db.js");
const { verifyPassword } = await import("s3db.js/concerns/password-hashing");

let db;
const commands = {
  async connect(connectionString, passphrase) {
    db = new Database({ connectionString, security: { passphrase }, executorPool: { retries: 0 } });
    await db.connect();
    return Object.keys(db.resources).sort();
  },
  // What it defines may be written later; after this it is.
  async disconnect() { await db.disconnect(); return null; },
  async create(definition) { await db.createResource(definition); return null; },
  async insert(resource, record) { return db.resources[resource].insert(record); },
  async get(resource, id) { return db.resources[resource].get(id); },
  async update(resource, id, fields) { return db.resources[resource].update(id, fields); },
  async replace(resource, id, fields) { return db.resources[resource].replace(id, fields); },
  async delete(resource, id) { await db.resources[resource].delete(id); return null; },
  async count(resource) { return db.resources[resource].count(); },
  async ids(resource) { return db.resources[resource].listIds(); },
  async list(resource, options) { return db.resources[resource].list(options); },
  async query(resource, filter) { return db.resources[resource].query(filter, { limit: 10000 }); },
  // Whether a stored hash is that of a password.
  async verify(password, hash) { return verifyPassword(password, hash); },
  async insertBuffer(resource, record, field) {
    return db.resources[resource].insert({ ...record, [field]: Buffer.from(record[field], "base64") });
  },
  async page(resource, size) {
    const records = [];
    let cursor;
    do {
      const page = await db.resources[resource].page({ size, cursor });
      records.push(...page.items);
      cursor = page.hasMore ? page.nextCursor : undefined;
    } while (cursor);
    return records;
  },
};

for await (const line of readline.createInterface({ input: process.stdin })) {
  const [name, ...args] = JSON.parse(line);
  let answer;
  try {
    answer = { result: (await commands[name](...args)) ?? null };
  } catch (error) {
    answer = { error: `${error.name}: ${error.message}`.split("\n")[0] };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
process.exit(0);
