// s3db.js imports a name that the newest published recker does not export. It is for
// connections of a kind that no test uses, so an export that refuses is enough.
import { appendFileSync, readFileSync } from "node:fs";

const recker = new URL("node_modules/recker/dist/index.js", import.meta.url);
const missing = "createRedDbClient";
if (!readFileSync(recker, "utf8").includes(missing)) {
  appendFileSync(recker, `\nexport const ${missing} = () => { throw new Error("${missing} is not there"); };\n`);
}
