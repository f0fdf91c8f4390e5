import { assertEquals, assertThrows } from "@std/assert";
import { CALLS_BY_ADDRESS, openLazily } from "../../../src/os/ffi/lazy_library.ts";
import { startFunction } from "../../support/processes.ts";

const LIBC = "libc.so.6";

const FUNCTIONS = {
  // int abs(int number);
  abs: { parameters: ["i32"], result: "i32" },
  // uid_t getuid(void);
  getuid: { parameters: [], result: "u32" },
  // long labs(long number);
  labs: { parameters: ["i64"], result: "i64" },
  // ssize_t write(int fd, const void *buf, size_t count);
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  // char *strchr(const char *text, int character);
  strchr: { parameters: ["buffer", "i32"], result: "pointer" },
  // int abs(int number); on a thread of the runtime.
  abs_on_thread: { name: "abs", parameters: ["i32"], result: "i32", nonblocking: true },
  no_such_function: { parameters: [], result: "void" },
} as const satisfies Record<string, Deno.ForeignFunction>;

/** Records the symbols that are opened meanwhile: `name` for a function, `&name` for an address. */
function opened(body: () => void): string[] {
  const { dlopen } = Deno;
  const names: string[] = [];
  Deno.dlopen = (library, definitions) => {
    for (const [name, definition] of Object.entries(definitions)) {
      names.push("type" in definition ? `&${name}` : name);
    }
    return dlopen(library, definitions);
  };
  try {
    body();
  } finally {
    Deno.dlopen = dlopen;
  }
  return names;
}

Deno.test("openLazily() opens a function when it is first asked for, and once", () => {
  const names = opened(() => {
    const functions = openLazily(LIBC, FUNCTIONS);
    assertEquals([functions.abs(-1), functions.abs(2), functions.getuid()], [1, 2, Deno.uid()]);
  });
  assertEquals(names, ["&abs", "&getuid"]);
});

Deno.test("openLazily() has a function compiled when it has been called often", () => {
  const names = opened(() => {
    const functions = openLazily(LIBC, FUNCTIONS);
    const kept = functions.abs;
    for (let call = 1; call < CALLS_BY_ADDRESS; call++) assertEquals(functions.abs(-call), call);
    assertEquals(functions.abs, kept);
    for (let call = 1; call < 10; call++) assertEquals(functions.abs(-call), call);
    assertEquals(functions.abs === kept, false);
    assertEquals(kept(-7), 7);
  });
  assertEquals(names, ["&abs", "abs"]);
});

Deno.test("openLazily() gives the same results before and after a function is compiled", () => {
  const functions = openLazily(LIBC, FUNCTIONS);
  const text = new TextEncoder().encode("abc\0");
  const results = () => [
    functions.abs(-3),
    functions.getuid(),
    functions.labs(-(2n ** 40n)),
    functions.write(-1, text, 3n),
    functions.write(1, text, 0n),
    Deno.UnsafePointerView.getCString(functions.strchr(text, 0x62)!),
    functions.strchr(text, 0x7a),
  ];
  const expected = [3, Deno.uid(), 2n ** 40n, -1n, 0n, "bc", null];
  for (let call = 0; call < CALLS_BY_ADDRESS + 10; call++) assertEquals(results(), expected);
});

Deno.test("openLazily() runs on a thread what is to run there", async () => {
  const functions = openLazily(LIBC, FUNCTIONS);
  const results = await Promise.all([-1, -2].map((number) => functions.abs_on_thread(number)));
  assertEquals(results, [1, 2]);
});

Deno.test("openLazily() refuses a function that the library does not have, when it is asked for", () => {
  const functions = openLazily(LIBC, FUNCTIONS);
  assertThrows(() => functions.no_such_function(), Error, "no_such_function");
  assertEquals(functions.abs(-1), 1);
});

Deno.test("openLazily() needs the permission for FFI when a function is asked for", async () => {
  await using child = startFunction(import.meta, async () => {
    const { openLazily } = await import("../../../src/os/ffi/lazy_library.ts");
    Deno.permissions.revokeSync({ name: "ffi" });
    const functions = openLazily("libc.so.6", { abs: { parameters: ["i32"], result: "i32" } });
    try {
      functions.abs(-1);
    } catch (error) {
      console.log((error as Error).name);
    }
  });
  assertEquals(await child.succeeds(), "NotCapable\n");
});
