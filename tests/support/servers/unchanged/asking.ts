/** A program that opens its addresses by the functions of the runtime. */
const [port, linePort, tlsPort, certFile, keyFile] = Deno.args;
const server = Deno.serve({
  port: Number(port),
  onListen: (address) => console.log("onListen", JSON.stringify(address)),
  onError: () => new Response("mended", { status: 500 }),
}, async (request) => {
  const { pathname } = new URL(request.url);
  if (pathname === "/fault") throw new Error("a fault");
  if (pathname === "/slow") await new Promise((resolve) => setTimeout(resolve, 300));
  return new Response(`asking ${import.meta.main} ${Deno.pid}\n`);
});
console.log("addr", JSON.stringify(server.addr));
server.finished.then(() => console.log("finished"));
server.unref();
server.ref();

async function echo(listener: Deno.Listener, name: string) {
  console.log(name, JSON.stringify(listener.addr));
  for await (const conn of listener) {
    conn.readable.pipeTo(conn.writable).catch((error) => console.log(`${name}:`, error.name));
  }
  console.log(name, "ended");
}

echo(Deno.listen({ port: Number(linePort) }), "listen");
const cert = Deno.readTextFileSync(certFile), key = Deno.readTextFileSync(keyFile);
echo(Deno.listenTls({ port: Number(tlsPort), cert, key }), "listenTls");
