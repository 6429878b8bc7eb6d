// Asks by Node's http with one connection that is kept; see all.py.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import http from "node:http";

const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

function ask(method, url, headers) {
  return new Promise((resolve, reject) => {
    // As it is written: URL would resolve its dots.
    const { hostname, port, origin } = new URL(url);
    const options = { agent, headers, hostname, method, path: url.slice(origin.length), port };
    const request = http.request(options, (told) => {
      const pieces = [];
      told.on("data", (piece) => pieces.push(piece));
      told.on("end", () => resolve([told.statusCode, Buffer.concat(pieces)]));
    });
    request.on("error", reject);
    request.end();
  });
}

for (const line of readFileSync(0, "utf8").split("\n").filter(Boolean)) {
  const [method, url, ...headers] = line.split("\t");
  const pairs = Object.fromEntries(headers.map((header) => header.split(/: (.*)/s).slice(0, 2)));
  const [status, body] = await ask(method, url, pairs);
  console.log(status, createHash("sha256").update(body).digest("hex"));
}
agent.destroy();
