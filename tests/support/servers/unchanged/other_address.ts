/** A program that opens one address more than its services have, which it is told when it asks for it. */
Deno.serve({ path: Deno.args[0] }, () => new Response("unix"));
const other = Deno.serve({ hostname: "127.0.0.1", port: 0 }, () => new Response("other"));
console.log("other", other.addr.port);
