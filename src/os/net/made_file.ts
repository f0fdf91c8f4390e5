/**
 * Creation of the socket files and named pipes of listeners where another user may replace the file, or a
 * directory on the way to it: only the file that was made gets the mode and owner of the listener.
 *
 * Neither bind(2) nor mkfifo(3) returns which file it has made. So the file has, for a moment, a mode that no
 * other file has, and is looked up by it in a directory that is kept open.
 *
 * @module
 */
import { closeFd } from "../fd/descriptor.ts";
import { ESTALE, SysError } from "../ffi/errors.ts";
import { fileStatus, isSameFile } from "../ffi/file_status.ts";
import { encodeUnixAddress } from "../ffi/layout.ts";
import { libc, unwrap } from "../ffi/libc.ts";
import { readLinkProcSelf } from "../ffi/proc_self.ts";
import type { ParentDirectory } from "../fs/parent_directory.ts";
import { changeEntry, type FileAccess, removeSocketFile, type SocketFile } from "./socket_file.ts";

/**
 * S_ISVTX: without a meaning for sockets and pipes, and in no setting. Not S_ISUID or S_ISGID, which systemd's
 * RestrictSUIDSGID= refuses.
 */
const MARK = 0o1000, SPECIAL_BITS = 0o7000, PERMISSIONS = 0o777;
/** Opens the file of a socket, for a process with CAP_NET_ADMIN (linux/un.h). */
const SIOCUNIXFILE = 0x89e0n;

/**
 * Binds a socket to a path, and sets mode and owner of the file that this creates.
 *
 * @param fd The socket. Borrowed.
 * @param directory The directory of the path.
 * @param options `access`: mode and owner; without a mode the umask decides. `complete`: the next step, before
 * whose failure the file is removed.
 * @returns The file.
 * @throws {SysError} When a system call refuses, and `ESTALE` when another user has replaced the file or a
 * directory on the way; the file is removed then.
 */
export function bindFile(fd: number, directory: ParentDirectory, { access, complete }: {
  readonly access?: FileAccess;
  readonly complete?: () => void;
}): SocketFile {
  const subject = directory.path, address = encodeUnixAddress(subject);
  // bind(2) takes the mode of the file from the socket. With a wider mode than that of `access`, a client could
  // connect if listen(2) came between the kernel's tests of the mode and of the socket.
  const mode = access?.mode === undefined ? PERMISSIONS : 0;
  unwrap({ syscall: "fchmod", subject }, () => libc().fchmod(fd, MARK | mode));
  // By the whole path, which clients and tools see, although it may lead elsewhere by now.
  unwrap({ syscall: "bind", subject }, () => libc().bind(fd, address, address.length));
  try {
    return takeMarked(directory, (file, mode) => {
      if (!changeEntry(directory, file, { mode, ...access })) throw replaced(subject);
      complete?.();
      return file;
    });
  } catch (error) {
    afterError(() => removeFileOf(fd));
    throw error;
  }
}

/**
 * Creates a named pipe, opens it, and sets its mode and owner.
 *
 * @param directory The directory of the path.
 * @param options `access`: mode and owner; without a mode the umask decides. `open`: opens the pipe.
 * @returns The result of `open`, and the file.
 * @throws {SysError} When a system call refuses, and `ESTALE` when another user has replaced the pipe; it is
 * removed then.
 */
export function makeFifo(directory: ParentDirectory, { access, open }: {
  readonly access?: FileAccess;
  readonly open: () => number;
}): { readonly fd: number; readonly madeFifo: SocketFile } {
  // With a mode to come, no other user can open it before.
  directory.makeFifo(MARK | (access?.mode === undefined ? 0o666 : 0o600));
  return takeMarked(directory, (madeFifo, mode) => {
    const fd = open();
    try {
      const isMade = isSameFile(fileStatus(fd, directory.path), madeFifo);
      if (!isMade || !changeEntry(directory, madeFifo, { mode, ...access })) {
        throw replaced(directory.path);
      }
      return { fd, madeFifo };
    } catch (error) {
      closeFd(fd);
      throw error;
    }
  });
}

/** Identifies the file that was made; removes it if `use` fails. */
function takeMarked<T>(
  directory: ParentDirectory,
  use: (file: SocketFile, mode: number) => T,
): T {
  const { path } = directory, found = directory.status();
  // A user who may write to the directory can put another file of this user there, or one of their own.
  const isMade = found !== undefined && (found.isSocket || found.isFifo) &&
    (found.mode & SPECIAL_BITS) === MARK && found.uid === libc().getuid();
  if (!isMade) throw replaced(path);
  const file = { path, dev: found.dev, ino: found.ino };
  try {
    return use(file, found.mode & PERMISSIONS);
  } catch (error) {
    afterError(() => directory.remove(file));
    throw error;
  }
}

/**
 * Cleans up after an error, which is thrown afterwards. An error of the system meanwhile is left out: mostly it has
 * the same cause, and a caller who got it instead would not learn what failed first.
 */
function afterError(cleanUp: () => void): void {
  try {
    cleanUp();
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
  }
}

function replaced(path: string): SysError {
  return new SysError("open", ESTALE, path, "it was replaced while it was made");
}

/** Removes the file of a bound socket wherever it is, as far as the kernel lets this process find it. */
function removeFileOf(socket: number): void {
  const file = libc().ioctl(socket, SIOCUNIXFILE, null);
  if (file < 0) return;
  try {
    const path = readLinkProcSelf(`fd/${file}`), { dev, ino } = fileStatus(file, path);
    removeSocketFile({ path, dev, ino });
  } finally {
    closeFd(file);
  }
}
