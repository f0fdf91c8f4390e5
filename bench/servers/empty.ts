/** A program that does nothing, and stays. @module */
import { sayReady } from "./ready.ts";

setInterval(() => {}, 2 ** 31 - 1);
sayReady();
