/**
 * Runs a command in the file tree of an image as process 1 of namespaces of its own, as a container
 * runtime does: without privileges, with a root that can't be written to. The network is the one of
 * the tests.
 *
 * @module
 */
import type { Image } from "./image.ts";
import type { Site } from "../support/master.ts";
import { childrenOf, obstacle, unshare } from "../support/namespaces.ts";
import type { TestProcess } from "../support/processes.ts";
import { eventually } from "../support/wait.ts";

/** How to run. */
export interface ContainerOptions {
  /** In the place of the ENTRYPOINT. */
  readonly command?: readonly string[];
  /** Default true. */
  readonly isReadOnly?: boolean;
  /** Directories in memory, as the option `--tmpfs` of Docker has them: `PATH:OPTIONS`. */
  readonly tmpfs?: readonly string[];
}

/** A running container. */
export interface Container {
  /** unshare(1), which ends with process 1 and has its exit code. */
  readonly process: TestProcess;
  /** Waits for process 1, and gives its id outside. */
  first(): Promise<number>;
}

/** The user of the namespace where no other can be had: the one that runs the tests, by that number. */
const UID = "65532";
const AS_USER = [`--map-user=${UID}`, `--map-group=${UID}`, "--keep-caps"];

/** Sets the tree up, enters it, and becomes the command. */
const SCRIPT = `
set -e
root=$1 readonly=$2 tmpfs=$3
shift 3
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for name in null zero full random urandom; do
  : >"$root/dev/$name"
  mount --bind "/dev/$name" "$root/dev/$name"
done
ln -s /proc/self/fd "$root/dev/fd"
for each in $tmpfs; do
  mount -t tmpfs -o "\${each#*:}" tmpfs "$root\${each%%:*}"
done
if [ "$readonly" = yes ]; then
  mount -o "remount,bind,ro$(findmnt -no VFS-OPTIONS -T "$root" | sed 's/^r[wo]//')" "$root"
fi
exec chroot "$root" "$@"
`;

/** What takes the privileges away from a command. */
function setpriv(user: string): string[] {
  const bounds = ["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"];
  if (Deno.uid() !== 0) return ["setpriv", "--ambient-caps=-all", ...bounds];
  // Commands of RUN are run as root.
  if (user === "") return ["setpriv", "--no-new-privs"];
  const [uid, gid] = user.split(":");
  return ["setpriv", `--reuid=${uid}`, `--regid=${gid}`, "--clear-groups", ...bounds];
}

/**
 * Starts a container.
 *
 * @param site What it belongs to.
 * @param image Its file tree.
 * @param options What it runs, and how.
 */
export function startContainer(
  site: Site,
  image: Image,
  { command = image.entrypoint, isReadOnly = true, tmpfs = [] }: ContainerOptions,
): Container {
  const { root, env, workdir, user } = image;
  for (const path of tmpfs) Deno.mkdirSync(root + path.split(":")[0], { recursive: true });
  const variables = Object.entries({ ...env, ...site.environment }).map(([key, value]) =>
    `${key}=${value}`
  );
  const process = site.execute([
    ...unshare(AS_USER),
    ...["sh", "-c", SCRIPT, "sh", root, isReadOnly ? "yes" : "no", tmpfs.join(" ")],
    ...setpriv(user),
    ...["env", "-i", "-C", workdir, ...variables, ...command],
  ]);
  const first = () =>
    eventually(() => childrenOf(process.pid)[0]?.pid, { what: "process 1 of the container" });
  return { process, first };
}

/** Why no container can be run here; undefined when it can. */
export function noContainer(): Promise<string | undefined> {
  const mounts = "mount --make-rprivate / && mount -t tmpfs tmpfs /mnt && mount -t proc proc /proc";
  return obstacle([...unshare(AS_USER), "sh", "-c", mounts]);
}
