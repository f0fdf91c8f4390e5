/** Line echo on many listeners under the master; ready when the last one is served. @module */
import { coroutineServe, coroutineServerMain, defaultConfig } from "../../coroutine_server.ts";
import { echo } from "./hand_echo.ts";
import { sayReady } from "./ready.ts";

let served = 0;

Deno.exit(
  await coroutineServerMain({
    serviceRegister(_service, fd, fdType) {
      coroutineServe(fd, fdType, echo);
      if (++served === defaultConfig.getInt("bench-listeners")) sayReady();
    },
  }),
);
