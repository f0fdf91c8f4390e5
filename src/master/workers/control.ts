/**
 * A worker that speaks the control protocol: a program that is built with this framework. It
 * receives its listeners over the worker socket, or inherits them if it lacks the permission for
 * that.
 *
 * @module
 */
import { Channel } from "../../ipc/channel.ts";
import type { Message } from "../../ipc/messages.ts";
import { SERVER } from "../../ipc/protocol.ts";
import { closeFd } from "../../os/fd/descriptor.ts";
import type { ChangedOutput } from "../../os/fs/output_files.ts";
import { setTakesDescriptors } from "../../os/net/fd_passing.ts";
import { socketPair } from "../../os/net/socket.ts";
import type { ChildProcess, ExitStatus, KillSignal } from "../../os/process/child_process.ts";
import type {
  LauncherOptions,
  LaunchRequest,
  RunningWorker,
  WorkerAssignment,
  WorkerEvents,
} from "./worker.ts";
import { HEARTBEAT_MS } from "../policy/watchdog.ts";
import type { ProcessOutputs } from "../outputs/process_outputs.ts";
import { standbyMessage, startMessage } from "../services/start_message.ts";
import { unchangedVariables } from "../services/unchanged_program.ts";
import { programToStart, startProgram } from "./start.ts";

/**
 * Starts a worker; see {@linkcode Launcher.launch}.
 *
 * @param request What to start.
 * @param listener Receives its events.
 * @param options The launcher's options.
 */
export function launchControlWorker(
  request: LaunchRequest,
  listener: WorkerEvents,
  options: LauncherOptions,
): RunningWorker {
  const { service } = request;
  const inherited = service.protocol === "inherit" ? request.fds : [];
  const [ours, theirs] = socketPair();
  const childEnds = [theirs];
  setTakesDescriptors(ours, false);
  let child: ChildProcess, outputs: ProcessOutputs | undefined;
  try {
    const program = programToStart(service, { ...options, ...request });
    outputs = options.outputs.prepare({ ...program, service, childEnds });
    const own = [...service.argv, "-server-control", `${theirs}`];
    child = startProgram({
      ...program,
      ...(service.unchanged === undefined
        ? { args: [...program.args, ...own] }
        : { env: { ...program.env, ...unchangedVariables(service, service.unchanged, own) } }),
      fds: [...[theirs, ...inherited].map((fd) => ({ from: fd, to: fd })), ...outputs.fds],
      blocksInspectorSignal: true,
    }, options);
  } catch (error) {
    closeFd(ours);
    if (outputs !== undefined) options.outputs.abandon(outputs);
    throw error;
  } finally {
    childEnds.forEach(closeFd);
  }
  try {
    outputs.begin(child.pid);
    return new ControlWorker({ child, fd: ours, outputs, request, listener }, options);
  } catch (error) {
    // Without a connection it would neither receive messages nor notice the end of this process.
    child.kill("SIGKILL");
    closeFd(ours);
    options.outputs.abandon(outputs);
    throw error;
  }
}

interface Launched {
  readonly child: ChildProcess;
  /** This process's end of the worker socket. */
  readonly fd: number;
  readonly outputs: ProcessOutputs;
  readonly request: LaunchRequest;
  readonly listener: WorkerEvents;
}

class ControlWorker implements RunningWorker {
  readonly pid: number;
  readonly keepsListeners = false;
  readonly #child: ChildProcess;
  readonly #request: LaunchRequest;
  readonly #listener: WorkerEvents;
  readonly #channel: Channel;
  /** Whether its listeners were inherited. */
  readonly #inherits: boolean;
  readonly #endOutputs: () => string | undefined;
  /** Whether it was told to stop. */
  #isStopping = false;
  #hasEnded = false;

  constructor(
    { child, fd, outputs, request, listener }: Launched,
    options: LauncherOptions,
  ) {
    this.pid = child.pid;
    this.#child = child;
    this.#request = request;
    this.#listener = listener;
    this.#inherits = request.service.protocol === "inherit";
    this.#endOutputs = () => options.outputs.end(outputs);
    this.#channel = this.#connect(fd, options);
    const { generation, service, isStandby } = request;
    if (isStandby) {
      this.#channel.send(standbyMessage(service, generation));
    } else this.#start(request);
    if (service.supervision.watchdogMs > 0) {
      this.#channel.send({ type: "watchdog", intervalMs: HEARTBEAT_MS });
    }
    if (!isStandby) this.#limit(request);
    child.exited.then((status) => this.#end(status));
  }

  activate(assignment: WorkerAssignment): boolean {
    if (this.#hasEnded || this.#child.status() !== undefined) return false;
    this.#start(assignment);
    this.#limit(assignment);
    return true;
  }

  softstop(closing: readonly number[]): void {
    this.#isStopping = true;
    this.#channel.send({ type: "softstop", closing });
  }

  changeOutputs(outputs: readonly ChangedOutput[]): void {
    // Its own outputs are pipes that this process reads.
    if (this.#inherits || this.#request.service.output.mode === "capture") return;
    const before = outputs.map(({ before }) => before);
    this.#channel.send({ type: "outputs", before }, outputs.map(({ fd }) => fd));
  }

  askCounts(): boolean {
    // A worker that does not read would make this process keep one message more each time.
    if (this.#channel.isFull) return false;
    this.#channel.send({ type: "report" });
    return this.#channel.isOpen;
  }

  // The worker ends with its last connection, or announces how long it takes.
  notReplaced(): void {}

  kill(signal: KillSignal): void {
    this.#isStopping = true;
    this.#child.kill(signal);
    // A stopped process would handle the signal only once it continues.
    if (signal === "SIGABRT") this.#child.kill("SIGCONT");
  }

  #connect(fd: number, { poller, log }: LauncherOptions): Channel {
    const { generation, service } = this.#request;
    const who = `${service.id}: process ${this.pid}`;
    let hasToldForeign = false;
    return new Channel({ fd, poller, sender: SERVER }, {
      onMessage: (message) => {
        if (isFrom(message, { pid: this.pid, generation })) return tell(this.#listener, message);
        // Further ones would fill the log.
        if (hasToldForeign) return;
        hasToldForeign = true;
        log(
          `${who}: dropped a "${message.type}" message that is not its own; further ones are not told`,
          "warn",
        );
      },
      onUnknown: (type) =>
        log(
          `${who}: ignored a message of the unknown type ${type}; further ones are not told`,
          "warn",
        ),
      onClose: (error) => this.#onClose(error),
    });
  }

  #start({ fds }: WorkerAssignment): void {
    const { generation, service } = this.#request;
    this.#channel.send(
      startMessage(service, { generation, ...(this.#inherits && { fds }) }),
      this.#inherits ? [] : fds,
    );
  }

  #limit({ maxConnections: connections }: WorkerAssignment): void {
    const idleMs = this.#request.service.supervision.idleExitMs || undefined;
    if (connections ?? idleMs) this.#channel.send({ type: "limits", connections, idleMs });
  }

  /**
   * The kernel closes the sockets of a process just before it reports its exit, and the poller sees
   * the close before the runtime reports the exit. So the exit status is read here, unless the
   * worker was told to stop: then no replacement depends on it.
   */
  #onClose(error: Error | undefined): void {
    // Its last messages are read after its exit; only an error is reported.
    if (this.#hasEnded) return error && this.#listener.onLost(error);
    const status = this.#isStopping ? undefined : this.#child.status();
    if (status === undefined || error !== undefined) this.#listener.onLost(error);
    if (status !== undefined) this.#end(status);
  }

  #end(status: ExitStatus): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    // The exit may be reported before the last messages are read.
    this.#channel.receiveRest();
    this.#channel.close();
    this.#listener.onExit(status, this.#endOutputs());
  }
}

/** Whether a message is one of a server, and names this very process as its sender. */
function isFrom(message: Message, expected: { pid: number; generation: number }): boolean {
  return "pid" in message && message.pid === expected.pid &&
    message.generation === expected.generation;
}

function tell(listener: WorkerEvents, message: Message): void {
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
    case "counts":
      return listener.onCounts(message);
  }
}
