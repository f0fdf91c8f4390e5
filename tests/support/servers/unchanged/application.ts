/** An application as `deno serve` runs it, which knows nothing of a master. */
const variables = Object.keys(Deno.env.toObject()).filter((name) =>
  /^ZC_MASTER|^DENO_AUTO/.test(name)
);

export default {
  async fetch(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname === "/slow") await new Promise((resolve) => setTimeout(resolve, 300));
    const told = { pid: Deno.pid, args: Deno.args, main: import.meta.main, variables };
    return new Response(`${JSON.stringify(told)}\n`);
  },
};
