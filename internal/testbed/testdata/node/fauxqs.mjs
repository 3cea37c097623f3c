// Serves fauxqs on a free port of the loopback (its own command listens on every
// address), prints the endpoint, and ends with its standard input.
import { buildApp } from "fauxqs";
import { INVALID_MESSAGE_BODY_CHAR as invalid } from "./node_modules/fauxqs/dist/sqs/sqsTypes.js";

// SQS takes characters beyond U+FFFF too; fauxqs looks at the halves of which JavaScript
// makes them.
invalid.test = (body) => /[^\t\n\r\x20-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/u.test(body);

const app = buildApp({ logger: false, defaultRegion: "us-east-1" });
console.log(await app.listen({ host: "127.0.0.1", port: 0 }));
process.stdin.resume().on("end", () => process.exit());
