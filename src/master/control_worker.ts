/**
 * A worker that speaks the control protocol: every program that is built with this framework. It
 * gets its listeners over the control socket, or, without the permission to receive them there,
 * inherits them.
 *
 * @module
 */
import { Channel } from "../ipc/channel.ts";
import type { Message } from "../ipc/protocol.ts";
import { closeFd } from "../os/descriptor.ts";
import { socketPair } from "../os/socket.ts";
import type { ChildProcess } from "../os/child_process.ts";
import type {
  LauncherOptions,
  LaunchRequest,
  RunningWorker,
  WorkerListener,
  WorkerPost,
} from "./worker_process.ts";
import { programToStart } from "./privileges.ts";
import { HEARTBEAT_MS } from "./watchdog.ts";
import { serverArguments } from "./server_argv.ts";
import { startProgram } from "./start_program.ts";

/** How its listeners reach it. */
export interface ControlWorkerOptions extends LauncherOptions {
  readonly protocol: "control" | "inherit";
}

/**
 * Starts one, as {@linkcode Launcher.launch} does.
 *
 * @param request What to start.
 * @param listener Told of what it does.
 * @param options The launcher's, and the protocol.
 */
export function launchControlWorker(
  request: LaunchRequest,
  listener: WorkerListener,
  options: ControlWorkerOptions,
): RunningWorker {
  const { service } = request;
  const inherited = options.protocol === "inherit" ? request.fds : [];
  const [ours, theirs] = socketPair();
  let child: ChildProcess;
  try {
    const program = programToStart(service, options);
    child = startProgram({
      ...program,
      args: [...program.args, ...serverArguments(service, options), "-server-control", `${theirs}`],
      fds: [theirs, ...inherited].map((fd) => ({ from: fd, to: fd })),
    }, options);
  } catch (error) {
    closeFd(ours);
    throw error;
  } finally {
    closeFd(theirs);
  }
  try {
    return connect({ child, fd: ours, request, listener }, options);
  } catch (error) {
    // Nobody would ever tell it what to do, nor that this end is gone.
    child.kill("SIGKILL");
    closeFd(ours);
    throw error;
  }
}

interface Launched {
  readonly child: ChildProcess;
  /** Our end of the control socket. */
  readonly fd: number;
  readonly request: LaunchRequest;
  readonly listener: WorkerListener;
}

function connect(
  { child, fd, request, listener }: Launched,
  { poller, log, protocol }: ControlWorkerOptions,
): RunningWorker {
  const { generation, service, isSpare } = request;
  const who = `${service.id}: process ${child.pid}`;
  const channel = new Channel(fd, poller, {
    onMessage(message, fds) {
      // Servers send none; what one sends all the same must not stay open here.
      fds.forEach(closeFd);
      if (!isFrom(message, { pid: child.pid, generation })) {
        return log(`${who}: dropped a "${message.type}" message that is not its own`);
      }
      tell(listener, message);
    },
    onUnknown: (type) => log(`${who}: ignored a message of the unknown type ${type}`),
    onClose: (error) => listener.onLost(error),
  });
  const settings = {
    shared: [...service.shared],
    // Without a file each of them is an argument.
    own: service.file === undefined ? undefined : [...service.settings],
  };
  const start = ({ fds }: WorkerPost) => {
    const inherits = protocol === "inherit";
    const services = service.endpoints.map(({ service: name, endpoint, address }, index) => ({
      name,
      type: endpoint.kind,
      address,
      ...(inherits && { fd: fds[index] }),
    }));
    channel.send({ type: "start", generation, services, settings }, inherits ? [] : fds);
  };
  const watch = () => {
    if (service.supervision.watchdogMs === 0) return;
    channel.send({ type: "watchdog", intervalMs: HEARTBEAT_MS });
  };
  const limit = ({ maxConnections: connections }: WorkerPost) => {
    const idleMs = service.supervision.idleExitMs || undefined;
    if (connections ?? idleMs) channel.send({ type: "limits", connections, idleMs });
  };
  if (isSpare) channel.send({ type: "standby", generation, settings });
  else start(request);
  watch();
  if (!isSpare) limit(request);
  child.exited.then((status) => {
    channel.close();
    listener.onExit(status);
  });
  return {
    pid: child.pid,
    enlist(post) {
      start(post);
      limit(post);
    },
    softstop: (closing) => channel.send({ type: "softstop", closing }),
    // It ends with its last connection, or says how long it takes.
    notReplaced: () => {},
    kill(signal) {
      child.kill(signal);
      // One that is stopped would only act upon it when it goes on.
      if (signal === "SIGABRT") child.kill("SIGCONT");
    },
  };
}

/** Whether a message is one that a server sends, and says that this very process sent it. */
function isFrom(message: Message, expected: { pid: number; generation: number }): boolean {
  return "pid" in message && message.pid === expected.pid &&
    message.generation === expected.generation;
}

function tell(listener: WorkerListener, message: Message): void {
  switch (message.type) {
    case "loaded":
      return listener.onLoaded();
    case "ready":
      return listener.onReady();
    case "draining":
      return listener.onDraining(message.seconds);
    case "detach":
      return listener.onDetach();
    case "heartbeat":
      return listener.onHeartbeat();
    case "spent":
      return listener.onSpent();
    case "used":
      return listener.onUsed(message.used);
  }
}
