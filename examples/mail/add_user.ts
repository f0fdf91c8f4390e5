/**
 * Adds a user to the mail system: `deno run -A examples/mail/add_user.ts NAME PASSWORD`. A reload makes it known.
 *
 * @module
 */
import { Config } from "../../master.ts";
import { accountLine, Accounts } from "./store/accounts.ts";

if (import.meta.main) {
  const [name, password] = Deno.args;
  if (password === undefined) {
    console.error("Usage: deno run -A examples/mail/add_user.ts NAME PASSWORD");
    Deno.exit(1);
  }
  const path = new Config().loadFile("examples/mail/conf/shared.gcf").getStr("mail-users");
  if ((await Accounts.read(path)).has(name)) {
    console.error(`Cannot add "${name}": this user is there already`);
    Deno.exit(1);
  }
  // An editor may have left the last line without its end.
  const begin = /(^|\n)$/.test(await Deno.readTextFile(path)) ? "" : "\n";
  const line = `${begin}${await accountLine(name, password)}\n`;
  await Deno.writeTextFile(path, line, { append: true });
}
