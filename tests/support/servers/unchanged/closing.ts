/** A program that ends its own server when it is asked to. */
const abort = new AbortController();
const server = Deno.serve(
  { signal: abort.signal, onListen: () => console.log("listens") },
  async (request) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/abort") {
      abort.abort();
      // The abort cuts what is under way.
      await new Promise<never>(() => {});
    }
    server.shutdown();
    return new Response(pathname.slice(1));
  },
);
await server.finished;
console.log("finished");
