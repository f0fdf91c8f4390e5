/**
 * Express, which is fetched when a test asks for it. Its name is no literal of the import and the
 * programs run with `--no-lock`, so that neither a start nor another test fetches its packages.
 *
 * @module
 */
const PACKAGE = "npm:express@5.1.0";

/** What these tests use of an application of Express. */
interface Application {
  (...given: unknown[]): void;
  use(path: string, handler: (request: { path: string }, answer: Answer) => Promise<void>): void;
}

interface Answer {
  send(text: string): void;
}

/** Makes an application that answers every path. */
export async function expressApplication(
  answer: (path: string) => Promise<string>,
): Promise<Application> {
  const { default: express } = await import(PACKAGE) as { default: () => Application };
  const application = express();
  application.use("/", async ({ path }, to) => to.send(await answer(path)));
  return application;
}
