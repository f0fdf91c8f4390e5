import Fastify from "fastify";

const fastify = Fastify({ logger: true, return503OnClosing: false });

fastify.get("/", async function handler(request, reply) {
  return { hello: "world" };
});

process.on("SIGTERM", () => fastify.close());

try {
  await fastify.listen({ port: 3000 });
} catch (err) {
  fastify.log.error(err);
  process.exit(1);
}
