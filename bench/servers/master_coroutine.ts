/** Line echo under the master, coroutine mode. @module */
import { coroutineServe, coroutineServerMain } from "../../coroutine_server.ts";
import { echo } from "./hand_echo.ts";
import { sayReady } from "./ready.ts";

Deno.exit(
  await coroutineServerMain({
    serviceRegister(_service, fd, fdType) {
      coroutineServe(fd, fdType, echo);
      sayReady();
    },
  }),
);
