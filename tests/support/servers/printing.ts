/**
 * A server that prints numbered lines on both outputs until its soft stop; then their number, as printing.py
 * does.
 *
 * @module
 */
import { coroutineServe, coroutineServerMain } from "../../../coroutine_server.ts";

let number = 0;
const timer = setInterval(() => {
  number++;
  const rest = `${number} ${"x".repeat(number % 150)}.`;
  console.log(`out ${rest}`);
  console.error(`err ${rest}`);
}, 4);

if (import.meta.main) {
  Deno.exit(
    await coroutineServerMain({
      serviceRegister(_service, fd, fdType) {
        coroutineServe(fd, fdType, async (conn) => {
          await conn.write(new TextEncoder().encode(`${Deno.pid}\n`));
        });
      },
      beforeSoftstop() {
        clearInterval(timer);
        console.log(`last out ${number}`);
        console.error(`last err ${number}`);
      },
    }),
  );
}
