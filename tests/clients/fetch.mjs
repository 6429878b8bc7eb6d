// Asks by Node's own fetch; see all.py.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

for (const line of readFileSync(0, "utf8").split("\n").filter(Boolean)) {
  const [method, url, ...headers] = line.split("\t");
  const pairs = headers.map((header) => header.split(/: (.*)/s).slice(0, 2));
  const told = await fetch(url, { method, headers: pairs, redirect: "manual" });
  const body = Buffer.from(await told.arrayBuffer());
  console.log(told.status, createHash("sha256").update(body).digest("hex"));
}
