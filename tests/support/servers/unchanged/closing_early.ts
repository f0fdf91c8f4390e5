/** A program that closes a listener and a server at once, and keeps a third one. */
const [first, second, third] = Deno.args.map(Number);
const listener = Deno.listen({ port: first });
listener.close();
listener.accept().catch(() => console.log("listener closed"));
Deno.serve({ port: second }, () => new Response()).shutdown().then(() =>
  console.log("server closed")
);
Deno.serve({ port: third }, () => new Response());
