/**
 * The attacks that a master and its servers were put to, as a part of docs/reliability.md. Each of them
 * is a test of the suite, which runs it each time; none of them is a scenario of this tool.
 *
 * @module
 */
import { table } from "./page.ts";

/** One attack. */
export interface Attack {
  /** What is done, and by whom. */
  readonly attack: string;
  /** What comes of it. */
  readonly result: string;
  /** The file of its test, from the root of the project. */
  readonly file: string;
  /** A part of the test's name as the file has it. */
  readonly test: string;
}

/** All of them, by what they are aimed at. */
export const ATTACKS: readonly Attack[] = [
  {
    attack: "a server with server-user writes to the runtime's caches that root runs",
    result: "it is started as its user, and holds no such descriptor",
    file: "tests/interop/no_way_back_test.ts",
    test: "can't change what other programs run",
  },
  {
    attack: "a server without any permission opens descriptors by process.binding",
    result: "it has none but its own, and no cache",
    file: "tests/interop/no_way_back_test.ts",
    test: "can't change what other programs run",
  },
  {
    attack: "a server leaves server-chroot by a descriptor that it kept",
    result: "it keeps no directory",
    file: "tests/interop/no_way_back_test.ts",
    test: "has no way back",
  },
  {
    attack: "a user puts a link on the way to DENO_DIR in the root of master-chroot",
    result: "it is refused, and nothing is removed",
    file: "tests/os/process/deno_dir_test.ts",
    test: "follows no link in another root, and removes nothing there",
  },
  {
    attack:
      "a user makes the view of DENO_DIR before root's master does, or owns a directory in it",
    result: "it is refused, and the message names it",
    file: "tests/os/process/deno_dir_test.ts",
    test: "makes a view that no other user may write to, whatever the umask",
  },
  {
    attack: "a user creates files in a sticky DENO_DIR of root",
    result: "the directory counts as writable, and is refused",
    file: "tests/os/process/file_access_test.ts",
    test: "tests a user's access by mode, owner, group and directories",
  },
  {
    attack:
      "DENO_DIR is a link of root to a user's home, or has a directory of that user deep in it",
    result: "each link, and what is deep in it, is checked",
    file: "tests/os/process/deno_dir_paths_test.ts",
    test: "names every link on the way",
  },
  {
    attack: "SIGUSR1 and every other signal, from the first moment on",
    result: "no process listens for a debugger, none ends that should not",
    file: "tests/integration/signals_test.ts",
    test: "no signal opens a port in a server, from its first moment on",
  },
  {
    attack: "SIGUSR1 to a Deno program that does not use this framework, behind env --block-signal",
    result: "it does not listen for a debugger, and goes on",
    file: "tests/integration/signals_test.ts",
    test: "opens no port in one of Deno behind env --block-signal",
  },
  {
    attack: "another user puts a link in the place of a named pipe",
    result: "nothing but a pipe is opened",
    file: "tests/os/swapped_paths_test.ts",
    test: "opens nothing but a named pipe",
  },
  {
    attack:
      "another user exchanges the directory of a socket or named pipe for a link, again and again",
    result: "no file of the same name in another directory is changed or removed",
    file: "tests/os/swapped_directories_test.ts",
    test: "no file in another directory is changed or removed",
  },
  {
    attack: "another user exchanges the directory of a socket for a link, just before bind(2)",
    result: "the opening fails, and no file gets the mode of the socket",
    file: "tests/os/swapped_directories_test.ts",
    test: "fails where the path leads to another directory by now",
  },
  {
    attack: "another user puts a link on the way to a socket or named pipe",
    result: "the link is not followed, and the message names it",
    file: "tests/os/swapped_directories_test.ts",
    test: "is refused",
  },
  {
    attack: "a new owner connects while a reload changes owner and mode of a socket",
    result: "at no moment is the mode wider than the new one",
    file: "tests/os/net/socket_file_test.ts",
    test: "gives the new owner no more than the new mode",
  },
  {
    attack: "another user puts a link in the place of a log file",
    result: "the link is not followed, and the log goes on",
    file: "tests/log/log_files_test.ts",
    test: "writes to no file that a link of another user leads to",
  },
  {
    attack:
      "another user puts a named pipe in the place of the master's output file, before SIGUSR1",
    result: "nothing waits for a reader, and no reader gets the output",
    file: "tests/os/fs/output_files_test.ts",
    test: "neither waits for a named pipe in the place of a file nor writes to it",
  },
  {
    attack: "the owner of root's output file makes it set-user-ID and renames it, before SIGUSR1",
    result: "the new file has the mode 0600: no mode of another user's file is taken over",
    file: "tests/os/fs/output_files_test.ts",
    test: "makes no program of a file whose mode",
  },
  {
    attack: "another user puts a named pipe in the place of a log file",
    result: "nothing waits for a reader, and no reader gets the lines",
    file: "tests/log/log_files_test.ts",
    test: "LogFiles writes to no pipe",
  },
  {
    attack: "a server goes to the last position of a log file that it shares with its master",
    result: "the next line is appended",
    file: "tests/os/fd/descriptor_test.ts",
    test: "that another process has gone too far in",
  },
  {
    attack: "another user puts a named pipe in the place of a script, or of the pid file",
    result: "the master reads the beginning of a file without a wait",
    file: "tests/os/swapped_paths_test.ts",
    test: "a named pipe in the place of a script, or of the pid file, is not waited for",
  },
  {
    attack: "another user locks the pid file",
    result: "the file can't be opened, and the lock of a reader is not waited for",
    file: "tests/os/process/lock_file_test.ts",
    test: "lock of a process that may only read the file",
  },
  {
    attack:
      "another user makes the file that is to take the place of such a pid file, in a sticky directory without fs.protected_regular",
    result: "it is removed; before, that user owned the pid file from then on",
    file: "tests/os/process/lock_file_test.ts",
    test: "puts no file of another user in the place of the pid file",
  },
  {
    attack: "another user keeps that lock in a mapping or a message, without a descriptor",
    result:
      "the master checks which holders may write to the file: none of them has it, so it does not count",
    file: "tests/os/process/lock_file_test.ts",
    test: "lock of a reader that has it in a",
  },
  {
    attack: "a line break and control characters, also beyond ASCII, to the log service",
    result: "one line, with the characters escaped",
    file: "tests/log/log_files_test.ts",
    test: "LogFiles.append() makes no more than one line of",
  },
  {
    attack: "another user floods the log service",
    result: "others are replaced and served; lines beyond 16 MiB that wait are dropped",
    file: "tests/integration/hostile_peer_test.ts",
    test: "another user who floods the log service",
  },
  {
    attack: "a server shuts its listener down, connects, filters, binds or blocks it",
    result: "the listener is put right or opened anew, and the log says so",
    file: "tests/integration/hostile_listener_test.ts",
    test: "of a process its service is served, reloaded and stopped",
  },
  {
    attack:
      "a server sets options of its listener that spoil every connection: IP_TTL, SO_LINGER, …",
    result: "they are set back, also after its end, and the log says so",
    file: "tests/master/listeners/system_repair_test.ts",
    test: "resets the options of a listener of",
  },
  {
    attack:
      "a server gives its listener a key of TCP_MD5SIG for all clients, which no client knows",
    result: "the socket is opened anew; before, the port was dead until a new start of the master",
    file: "tests/master/listeners/system_repair_test.ts",
    test: "repairListeners() repairs a TCP listener after the attack ${name}",
  },
  {
    attack:
      "a server has the kernel refuse descriptors on a unix socket (SO_PASSRIGHTS), or pass credentials",
    result: "the option is set back, unless an activator has set it",
    file: "tests/master/listeners/system_repair_test.ts",
    test: "resets the options of a unix socket that its connections inherit",
  },
  {
    attack:
      "a server of another user has the events of its listener and outputs sent to its master as SIGKILL (F_SETOWN, F_SETSIG)",
    result: "the kernel sends none to another user, and the master goes on",
    file: "tests/interop/shared_objects_test.ts",
    test: "a server of another user neither signals its master by listener and outputs",
  },
  {
    attack:
      "such a server traces its master, takes its descriptors, limits, slows or reads it, by its pid",
    result: "the kernel refuses each",
    file: "tests/interop/shared_objects_test.ts",
    test: "a server of another user neither signals its master by listener and outputs",
  },
  {
    attack:
      "such a server fills its output by tee, splice and vmsplice, in packets, and makes it small",
    result: "each line is read as any other",
    file: "tests/interop/shared_objects_test.ts",
    test: "a server of another user neither signals its master by listener and outputs",
  },
  {
    attack: "a server makes the queue of its listener as short as can be, and is killed",
    result: "the queue has its length back; before, not until the next reload",
    file: "tests/integration/hostile_listener_test.ts",
    test: "has its length back when the process is killed",
  },
  {
    attack: "a server makes the named pipe that it shares as small as it can be",
    result: "it has its size back before the next reload",
    file: "tests/master/listeners/system_repair_test.ts",
    test: "gives a named pipe its size back",
  },
  {
    attack: "a server repeats that it drains, each time for longer",
    result: "its first word counts",
    file: "tests/master/supervisor/supervisor_test.ts",
    test: "shorten its announced time, and not lengthen it",
  },
  {
    attack: "a server does any of that as its last act, when it is told to stop",
    result: "it is repaired as usual, with growing pauses",
    file: "tests/integration/hostile_listener_test.ts",
    test: "of a process that is told to stop the next process is served",
  },
  {
    attack: "a server shuts its listeners down again and again",
    result: "the master neither keeps busy nor fails to end",
    file: "tests/integration/hostile_listener_test.ts",
    test: "keeps its master neither busy nor from ending",
  },
  {
    attack: "a server sends descriptors in unfinished frames",
    result: "none is made in the master; the connection ends with the first",
    file: "tests/integration/hostile_peer_test.ts",
    test: "a server that sends descriptors keeps none in its master",
  },
  {
    attack:
      "a server leaves the last close of a connection to its master, by a message: its peer reads nothing, and SO_LINGER is an hour",
    result: "the kernel refuses the message; before, the master stood still until the next signal",
    file: "tests/integration/hostile_peer_test.ts",
    test: "a server that leaves the last close of a connection to its master",
  },
  {
    attack: "another user does that by a datagram to the log service",
    result: "the kernel refuses it",
    file: "tests/integration/hostile_peer_test.ts",
    test: "another user who leaves the last close of a connection to the log service",
  },
  {
    attack: "a client of a unix socket does that to its server",
    result: "the kernel refuses it, unless the program may take descriptors",
    file: "tests/master/listeners/taken_descriptors_test.ts",
    test: "lets clients send descriptors to programs of other protocols alone",
  },
  {
    attack: "a server makes its listener such a connection, as its last act",
    result: "the master closes it without a wait; before, its end took an hour",
    file: "tests/integration/hostile_listener_test.ts",
    test: "as its last act, does not hold up the end",
  },
  {
    attack: "a server floods its master with messages of an unknown type or of another process",
    result: "one line in the log for each connection",
    file: "tests/integration/hostile_peer_test.ts",
    test: "messages causes one line in the log",
  },
  {
    attack: "a server floods its master with messages that it may send",
    result: "the master reads as fast as it works them off; others are replaced and served",
    file: "tests/integration/hostile_peer_test.ts",
    test: "floods its master with messages that it may send",
  },
  {
    attack: "a server reads nothing more from its master, whose status is asked for all the time",
    result: "it is asked for its connections no more; before, each time one message more was kept",
    file: "tests/master/workers/launcher_test.ts",
    test: "asks no more of a worker that does not read",
  },
  {
    attack:
      "an operator starts a second master for the same log service, with another pid file or after the pid file was removed",
    result:
      "the start is refused; before, servers that the first master started later logged to the second one",
    file: "tests/integration/refusal_test.ts",
    test: "takes no log service from the master that runs",
  },
  {
    attack: "a server announces a message of 1 MiB",
    result: "the connection ends at once",
    file: "tests/integration/hostile_peer_test.ts",
    test: "a server that announces a long message loses its connection at once",
  },
  {
    attack: "a program of LIB-ZC closes its status pipes, which detaches it, at each start",
    result: "none is started while 64 are detached, or twice as many as there are processes",
    file: "tests/integration/detaching_program_test.ts",
    test: "processes that detach again and again are bounded, also without a back-off",
  },
  {
    attack: "each process of a service announces that it drains for a thousand million seconds",
    result: "none is started beside 64 of them, and each is told to end after an hour",
    file: "tests/master/policy/backoff_test.ts",
    test: "Supervisor starts no process beside 64 that drain of their own accord",
  },
  {
    attack: "300 processes of a service crash at once, without a back-off",
    result: "other services are replaced and reloaded as before",
    file: "tests/integration/fair_starts_test.ts",
    test: "beside a service of 300 processes that crash without a back-off",
  },
  {
    attack: "a replacement hangs before it is ready, or is stopped",
    result: "server-ready-timeout ends it, and another one is started",
    file: "tests/integration/ready_timeout_test.ts",
    test: "a replacement that hangs before it is ready is ended",
  },
  {
    attack: "one of the two masters is killed, at any point of an upgrade",
    result: "the other master goes on serving",
    file: "tests/integration/upgrade_deaths_test.ts",
    test: "somebody serves when",
  },
  {
    attack:
      "a server with server-user stops or kills all other processes of its user, all the time",
    result: "the master asks what the user can reach without one of them, and gets its answer",
    file: "tests/os/process/file_access_test.ts",
    test: "to all processes that it can reach",
  },
  {
    attack: "the reader of the outputs goes away, stops reading, or its disk is full",
    result: "no client loses an answer",
    file: "tests/integration/lost_output_test.ts",
    test: "for the outputs costs no client an answer",
  },
  {
    attack:
      "a process of another user holds the kernel's lock of its output or its listener for ever",
    result: "it is killed after some seconds, and the master goes on",
    file: "tests/integration/lock_watch_test.ts",
    test: "a process of another user that holds the lock of its",
  },
  {
    attack: "such a process ends its main thread first, so that /proc/PID/fd is empty",
    result: "it is killed: the descriptors of all threads are looked at",
    file: "tests/integration/lock_watch_test.ts",
    test: "a process of another user that holds the lock of its",
  },
  {
    attack:
      "such a process gives its output to a process of a third user, or opens a file whose path, in a list of descriptors, names one as the holder",
    result:
      "that one lives: each process is looked at itself, and only those of users of services are killed",
    file: "tests/integration/lock_watch_test.ts",
    test: "and no process of a third user",
  },
  {
    attack: "the disk with the output files of 40 services hangs",
    result:
      "the master answers and reloads: 8 files are written at a time; before, they took all threads of the runtime",
    file: "tests/log/append_queue_test.ts",
    test: "waits for a turn while a disk that hangs",
  },
  {
    attack: "the guardian is killed, and then the master",
    result: "there is another guardian at once, and no server outlives the master",
    file: "tests/integration/master_killed_test.ts",
    test: "a master has one guardian, at once another one when it is killed",
  },
  {
    attack: "a master with capabilities that is not root's gives servers another user",
    result: "it is refused, since the kernel would leave the capabilities to them",
    file: "tests/os/user/credentials_test.ts",
    test: "changes to no other user: it would keep them",
  },
  {
    attack: "another user adds a service to a directory that a loadConfig hook reads",
    result: "a directory that everybody may write to is refused, at a start and at a reload",
    file: "tests/integration/trust_test.ts",
    test: "of a loadConfig hook that everybody may write to",
  },
  {
    attack: "a server of another user reads root's terminal, and types commands there by TIOCSTI",
    result: "it has no terminal: each server has a session of its own, and pipes as its outputs",
    file: "tests/interop/terminal_test.ts",
    test: "can't use its master's terminal, nor the keys of root",
  },
  {
    attack: "a server of another user prints control sequences that root's terminal answers",
    result: "the master replaces them by spaces",
    file: "tests/interop/terminal_test.ts",
    test: "can't use its master's terminal, nor the keys of root",
  },
  {
    attack: "such a server sends the two bytes of U+009B by two outputs, stdout and stderr",
    result: "what comes from an output is written in whole characters, any other byte is a space",
    file: "tests/interop/terminal_test.ts",
    test: "can't spoil its master's terminal, nor another server's output there",
  },
  {
    attack: "such a server makes its output non-blocking, so that others lose lines",
    result: "each process has pipes of its own",
    file: "tests/interop/terminal_test.ts",
    test: "can't spoil its master's terminal, nor another server's output there",
  },
  {
    attack: "a server of another user reads the keys of root's session keyring",
    result: "it has a keyring of its own, without keys",
    file: "tests/interop/terminal_test.ts",
    test: "can't use its master's terminal, nor the keys of root",
  },
  {
    attack: "a program that a server starts speaks to the master, or accepts on the listeners",
    result: "it inherits neither",
    file: "tests/integration/descriptors_test.ts",
    test: "starts inherits neither its worker socket nor its listeners",
  },
  {
    attack: "root's master is to run a program behind env that everybody may write to",
    result: "it is refused",
    file: "tests/integration/trust_test.ts",
    test: "also where env finds it",
  },
  {
    attack: "a command names a file that everybody may write to: env -C, --config=FILE, a URL, #!",
    result: "it is found, and refused",
    file: "tests/master/services/command_files_test.ts",
    test: "commandFiles() finds the file in",
  },
  {
    attack:
      "an absolute link in the root of master-chroot leads to a file that everybody may write to",
    result: "it is resolved in that root, where the server runs it, and the file is refused",
    file: "tests/os/process/path_in_root_test.ts",
    test: "is the file that it will be there, behind an absolute link too",
  },
  {
    attack: "another user writes to the master's main module after the start, and SIGUSR2 comes",
    result: "no new master is started from it",
    file: "tests/integration/trust_test.ts",
    test: "runs no main module that everybody may write to by now",
  },
  {
    attack:
      "a service's user replaces the runtime that server-command names, with server-reload = changed",
    result:
      "it is started to serve alone, as its user: deno info is the master's own runtime, and has the service's user",
    file: "tests/interop/module_listing_test.ts",
    test: "the service's own runtime is started as its user, to serve",
  },
  {
    attack: "a module of a service is a named pipe, with server-reload = changed",
    result:
      "a reload waits five seconds at most, and no process is left behind by check or a killed master",
    file: "tests/interop/module_listing_test.ts",
    test: "a module that is a named pipe holds up no reload",
  },
  {
    attack: "the owner of a server-env-file makes it a link to a file that only root may read",
    result: "the link is not followed, and the reload is refused",
    file: "tests/interop/env_file_test.ts",
    test: "its owner can neither read another file of root's by it",
  },
  {
    attack: "the owner of a server-env-file makes it a named pipe, or a file of a terabyte",
    result: "the reload is refused at once",
    file: "tests/interop/env_file_test.ts",
    test: "its owner can neither read another file of root's by it",
  },
  {
    attack:
      "a named pipe takes the place of a settings file between two calls of the master, again and again",
    result: "the master reads the file that it has opened, and waits for nothing",
    file: "tests/os/fs/regular_file_test.ts",
    test: "does not wait for a named pipe that takes the place of a file",
  },
  {
    attack:
      'clients of the control socket ask for thousands of changes, with "wait": false or gone at once',
    result:
      "32 changes wait at most, and none for a client that is gone; a further one is answered with busy",
    file: "tests/integration/control_flood_test.ts",
    test: "a client makes the master keep 32 changes that wait",
  },
  {
    attack:
      "another user puts a named pipe in the place of the output file of start --daemon, after it is opened",
    result: "the opened file is shown, its last 64 KiB at most",
    file: "tests/integration/commands_test.ts",
    test: "shows the output that it has opened, whatever takes the place of the file",
  },
  {
    attack: "another user listens at the path of the control socket, and root runs a command",
    result: "nothing is asked or obeyed, unless that user owns the pid file as well",
    file: "tests/integration/command_peers_test.ts",
    test: "root's commands ask no master of a user who does not own both",
  },
  {
    attack: "what listens there sends control sequences for root's terminal",
    result: "they become spaces",
    file: "tests/integration/command_peers_test.ts",
    test: "no command prints a control character of what listens",
  },
  {
    attack: "the name of a settings file has control sequences, also those from U+0080 to U+009F",
    result: "they are escaped",
    file: "tests/integration/command_peers_test.ts",
    test: "check prints no control character of the name of a file",
  },
  {
    attack: "another program listens at the path of master-control, and an upgrade comes",
    result: "the new master replaces only the file that the old one has made",
    file: "tests/integration/control_file_test.ts",
    test: "an upgrade leaves a socket of another program",
  },
  {
    attack:
      "a server, or programs that it leaves behind, print without end on pipes that are as large as possible",
    result:
      "all outputs share 10 ms of each turn, a service 10,000 lines a second; further lines are counted",
    file: "tests/master/outputs/server_outputs_test.ts",
    test: "gives each output its time, and other events theirs",
  },
  {
    attack: "a server prints a million empty lines, of which each is a record",
    result: "the master reloads and answers; 10,000 are taken, the others counted",
    file: "tests/integration/server_output_test.ts",
    test: "a server that prints a million empty lines keeps its master from nothing",
  },
  {
    attack: "a server that crashes leaves a program behind each time, which holds its outputs",
    result:
      "the outputs of 64 processes are read on, the oldest of the service with the most are closed",
    file: "tests/master/outputs/server_outputs_test.ts",
    test: "goes on reading what programs write that a process has left behind",
  },
  {
    attack: "a flooding process is still alive when the master ends",
    result: "the rest of its output is read for a second at most",
    file: "tests/master/outputs/server_outputs_test.ts",
    test: "leaves an output that never ends",
  },
  {
    attack: "another user makes files that look like renamed output files, in a sticky directory",
    result: "nothing is renamed or removed where other users may make files",
    file: "tests/master/outputs/output_file_test.ts",
    test: "renames nothing in a directory of the mode",
  },
  {
    attack: "the owner of a server-env-file puts 200,000 blanks into the name of a variable",
    result: "the file is read in a moment",
    file: "tests/config/variables_file_test.ts",
    test: "reads a name with many blanks in it in a moment",
  },
  {
    attack: "a certificate has dates that no library can read",
    result: "a warning that names the file",
    file: "tests/master/services/certificates_test.ts",
    test: "warns of a certificate whose dates can't be read",
  },
  {
    attack: "a client has a server log a text with 128 KiB of blanks, to syslog or the log service",
    result: "the line is made in a moment; in quadratic time it took 8 s",
    file: "tests/log/lines_test.ts",
    test: "make one line of many blanks in a moment",
  },
  {
    attack: "a text that is logged has a line that begins with a character without a width",
    result: "the line is indented as any other",
    file: "tests/log/formats_test.ts",
    test: "lets no text look like a line of its own",
  },
  {
    attack: "a client sends a header field with 64 KiB of blanks to a server without --allow-ffi",
    result: "it is read in a moment; in quadratic time it took 7 s",
    file: "tests/server/http1/connection_test.ts",
    test: "reads a field with many blanks in a moment, and refuses one",
  },
  {
    attack:
      "a server prints lines of control characters, six characters each in JSON, while an operator follows the log",
    result: "lines are left out and counted; the operator stays connected",
    file: "tests/master/control/control_socket_test.ts",
    test: "a client that reads is not disconnected, however many lines come at once",
  },
  {
    attack: "such a server leaves so many behind that outputs of other services would be closed",
    result: "only its own are closed",
    file: "tests/master/outputs/server_outputs_test.ts",
    test: "closes no output that a service has left behind for one of another service",
  },
  {
    attack:
      "the new master is stopped (SIGSTOP) while it takes over, and goes on when it has been given up",
    result: "it is killed after ten seconds, and the old one serves on",
    file: "tests/integration/upgrade_deaths_test.ts",
    test: "goes on when the new one hangs while it takes over",
  },
  {
    attack:
      "a client reads nothing and goes, while the handler of another client writes to it and does not wait",
    result: "the other client is served on, and the log does not grow",
    file: "tests/integration/serve_test.ts",
    test: "a client that goes ends no connection of a handler that wrote to it",
  },
  {
    attack: "a named pipe in the place of a log file, in a directory of the master's user alone",
    result: "an error, and the lines are written once it is gone; nothing waits for a reader",
    file: "tests/log/log_files_test.ts",
    test: "a reader in the place of its file, in a directory",
  },
  {
    attack: "a client of metrics sends a host that no URL can have, again and again",
    result: "it is answered with 400, and the log does not grow",
    file: "tests/metrics/server_test.ts",
    test: "answers a request whose host no URL can have, and logs nothing",
  },
  {
    attack: "a program throws or rejects with a value that can't be shown",
    result: "the log says so, and the process goes on",
    file: "tests/log/log_test.ts",
    test: "zinfo() goes on with a value that can't be shown",
  },
  {
    attack: "a writer fills a named pipe faster than its server works",
    result: "the server accepts, answers and stops beside that; before, it did nothing else",
    file: "tests/server/fifo/fifo_test.ts",
    test: "gives others their turn while the pipe is never empty",
  },
  {
    attack:
      "a named pipe, /dev/zero or a file of a terabyte takes the place of a certificate or key before its server reads it",
    result: "the server says so and ends; it neither waits nor fills the memory",
    file: "tests/server/tls/context_test.ts",
    test: "TlsContext reads neither a named pipe, nor a device or a file without an end",
  },
  {
    attack: "clients that do not finish their TLS handshake, at a soft stop",
    result: "they hold the end for five seconds at most",
    file: "tests/server/tls/drain_test.ts",
    test: "clients that do not finish their TLS handshake do not hold the end",
  },
  {
    attack: "clients of the status socket ask without end",
    result: "neither an operator at the control socket nor a client of a service waits for them",
    file: "tests/integration/status_socket_test.ts",
    test: "a flood on the status socket neither costs the control socket nor a client",
  },
  {
    attack: "a request to the control socket is nested 30,000 deep",
    result: "it gets a message, and the log does not grow",
    file: "tests/master/control/control_socket_test.ts",
    test: "a request that is nested as deeply as it can be gets a message",
  },
  {
    attack: "a client of the control socket sends requests and never reads",
    result: "the master reads no more from it, and keeps one request and one answer",
    file: "tests/master/control/control_socket_test.ts",
    test: "a client that sends requests and never reads keeps little of the memory",
  },
  {
    attack: "a thousand viewers of the page of metrics, and a thousand scrapes at once",
    result:
      "some dozens are served, the others told to come later; the master is asked a few times",
    file: "tests/metrics/server_test.ts",
    test: "a thousand viewers: some dozens are served",
  },
  {
    attack:
      "clients of metrics open connections and send no whole request, so that probes fail and the container is started anew",
    result: "256 are open at once; the oldest that waits for a request is closed for the next one",
    file: "tests/integration/metrics_service_test.ts",
    test: "clients of metrics that send no whole request keep nobody out",
  },
  {
    attack:
      "a program that knows nothing of its master has a handler of SIGTERM, of node or of Deno, that takes its time",
    result: "it is called once, and has the time of the stop",
    file: "tests/integration/unchanged_test.ts",
    test: "a handler of SIGTERM is called once",
  },
  {
    attack: "connections wait at the address of such a program, whose service a reload removes",
    result: "they are served",
    file: "tests/integration/last_connections_test.ts",
    test: "who waits at an address is served after",
  },
  {
    attack:
      "another user puts a deno.json or node_modules/.bin above the directory of a task of root's, such as into /tmp",
    result:
      "a directory in which the task is looked for, and that everybody may write to, is refused",
    file: "tests/master/services/unchanged_program_test.ts",
    test: "refuses each directory that a task is looked for in",
  },
  {
    attack:
      "a task needs a shell, in one word with its file, or an option of the runner that leads to another task",
    result: "it is refused, and the message says why",
    file: "tests/master/services/unchanged_program_test.ts",
    test: "is refused, and the message says why",
  },
  {
    attack:
      "a script without FFI is run by deno SCRIPT without the word run, or with -cA.json, and opens the caches that root runs",
    result:
      "neither counts as --allow-ffi: it has no cache, and imports nothing that is not cached",
    file: "tests/master/services/command_test.ts",
    test: "lets a Deno without FFI fetch nothing, however it is named",
  },
  {
    attack: "a program asks for a port below 0, above 65535, or none",
    result: "the runtime refuses it, and no service is taken",
    file: "tests/server/unchanged/odd_ports_test.ts",
    test: "a port that is none takes no service",
  },
  {
    attack:
      "a client of a unix socket asks after the stop, and a handler without parameters takes its time",
    result: "it is answered before its connection is closed",
    file: "tests/server/http/drain_test.ts",
    test: "has its answer, however long it takes",
  },
  {
    attack:
      "a client sends a coding with a byte that only some take for a blank, such as chunked and U+00A0, without --allow-ffi",
    result: "400, as from the runtime's own server: no request hides in another",
    file: "tests/server/http1/connection_test.ts",
    test: "refuses a head that could hide one request in another",
  },
  {
    attack:
      "anybody sends a user of the mail example a message with a megabyte of blanks in a line of its head",
    result: "IMAP reads it in a moment; in quadratic time its process stood still for half an hour",
    file: "tests/mail/part_test.ts",
    test: "reads a line with many blanks and no colon in a moment",
  },
  {
    attack: "such a message has a field Date of digits without end, and its user searches by days",
    result: "it has no day, in a moment",
    file: "tests/mail/scanner_test.ts",
    test: "no field Date takes long",
  },
  {
    attack: "a client of the mail example sends commands of SMTP with 2 KiB of blanks",
    result: "others are answered; in quadratic time 300 KB a second took all of the process",
    file: "tests/mail/session_test.ts",
    test: "that sends lines of blanks takes no time of the others",
  },
  {
    attack: "a client of the mail example sends a message of 10 MB in single bytes",
    result: "it is kept, and written, in pieces of 4 KiB and more",
    file: "tests/mail/data_reader_test.ts",
    test: "keeps a message of single bytes in few pieces",
  },
  {
    attack:
      "a server of an ordinary user writes the pid of a process of root into the pid file, before root's logrotate signals it",
    result:
      "the signal is sent with the rights of the owner of the file, and the kernel refuses it",
    file: "tests/deploy/logrotate_test.ts",
    test: "signals no process of root that the owner of the pid file has written there",
  },
  {
    attack:
      "the owner of a service's script fills it with empty lines, unclosed comments or exports, and root's master is reloaded",
    result:
      "the master looks at 16 MiB of it in seconds; in quadratic time a megabyte stopped it for most of an hour",
    file: "tests/master/services/unchanged_program_test.ts",
    test: "the text of a script is looked at in a moment, whatever its owner has put there",
  },
  {
    attack:
      "the owner of deno.json makes a task of millions of variables, or a file of megabytes or of nested brackets",
    result: "a task of more than 8 KiB and a file of more than 1 MiB are refused",
    file: "tests/master/services/unchanged_program_test.ts",
    test: "a file with tasks costs no time and no long message, whatever its owner has put there",
  },
  {
    attack:
      "a page of another site opens a WebSocket to the board of the examples, or sends it a form, in the browser of somebody who can reach it",
    result: "403: it reads nothing, and nothing is posted",
    file: "examples/web/app_test.ts",
    test: "the board takes nothing from a page of another site",
  },
  {
    attack:
      "another process gets the pid of a server that has ended, and then the master is killed",
    result: "it lives: the guardian compares start times",
    file: "tests/os/process/guardian_test.ts",
    test: "does not kill a process that has got the pid of another one",
  },
  {
    attack:
      "a server takes a name that looks like a part of its stat file, so that the guardian reads another start time",
    result: "it is killed as any other",
    file: "tests/os/process/guardian_test.ts",
    test: "whose names look like a part of their stat files",
  },
  {
    attack: "somebody looks for a value of server-env in arguments, logs, messages and commands",
    result: "none of them has it",
    file: "tests/integration/server_env_test.ts",
    test: "reach programs of each kind, and nothing shows them",
  },
  {
    attack: "the name of a service has quotes and line ends, and Prometheus reads it",
    result: "it is escaped, and no line is forged",
    file: "tests/metrics/exposition_test.ts",
    test: "escapes what a name may hold, so that no line can be forged",
  },
  {
    attack: "a text of a server is shown on the page of metrics as if it were a script",
    result: "the policy of the page allows its own script alone",
    file: "tests/metrics/server_test.ts",
    test: "the policy of the page names its script and its style by their hashes",
  },
  {
    attack:
      "a client of the mail example hides one message in another, behind a dot between line feeds alone",
    result: "it is one message: only CRLF ends a line before the last dot",
    file: "tests/mail/data_reader_test.ts",
    test: "in whatever pieces it comes",
  },
  {
    attack: "a client of the mail example sends commands behind STARTTLS, before the handshake",
    result: "none is obeyed, and the connection ends",
    file: "tests/mail/session_test.ts",
    test: "no plain text behind the start of TLS is obeyed",
  },
  {
    attack: "a user of the mail example names a folder with slashes and dots",
    result: "no name leads out of the directory of the user",
    file: "tests/mail/scanner_test.ts",
    test: "the names of folders never lead out of the directory of a user",
  },
  {
    attack:
      "the owner of a certificate, or of a server-env-file, fills it with lines in no encoding, or a server prints 10,000 of them a second",
    result: "they are decoded in a moment; for a megabyte the master stood still for 20 s",
    file: "tests/os/ffi/byte_text_test.ts",
    test: "bytes in no encoding are decoded in a moment, however many lines they are in",
  },
  {
    attack:
      "five processes of another user hold the kernel's locks of their outputs in turn, each for less than a second",
    result:
      "each is killed; before, no command had an answer, since most looks of the lock watch found another pipe",
    file: "tests/integration/lock_watch_test.ts",
    test: "a process of another user that holds the lock of its",
  },
  {
    attack: "a process that holds such a lock has many threads, with thousands of descriptors each",
    result: "it is killed as soon as any other; before, the master stood still for minutes",
    file: "tests/integration/lock_watch_test.ts",
    test: "a process of another user that holds the lock of its",
  },
  {
    attack: "such a process closes the descriptor in another thread while its call waits",
    result:
      "it is killed a second later; before, the master stood still for ever, and not even SIGKILL ended it",
    file: "tests/integration/lock_watch_test.ts",
    test: "a process of another user that holds the lock of its",
  },
  {
    attack:
      "a process has its listener as a file of a ring of io_uring(7) only, and a call, or a thread of the kernel, holds the lock of it",
    result:
      "it is killed as well; before, the master stood still for ever, and not even SIGKILL ended it",
    file: "tests/integration/lock_watch_test.ts",
    test: "a process of another user that holds the lock of its",
  },
  {
    attack:
      "a server leaves a program behind that holds such a lock while its master has nothing to read, and the master is killed",
    result:
      "the program is killed as well; before, the master never ended, and no other one could start at its addresses",
    file: "tests/integration/lock_watch_test.ts",
    test: "a master that was killed ends, and another one can start",
  },
  {
    attack:
      "such a program takes the lock while its master ends, after the last read of the output",
    result: "the output is closed with that read; before, the process of the master never ended",
    file: "tests/master/outputs/server_outputs_test.ts",
    test: "leaves an output that never ends, and closes it, when this process ends",
  },
  {
    attack:
      "a server of another user leaves a program behind with the arguments of a later master, under a first master that stays as the parent",
    result: "all ends with the last master; before, a stop of the first one never ended",
    file: "tests/integration/parent_test.ts",
    test: "whatever arguments a program has that a server of another user has left behind",
  },
  {
    attack:
      "another process gets the pid of the newest master, which was killed, and then the first one is told to stop",
    result: "the signal goes to the master that still drains, and to no other process",
    file: "tests/integration/parent_test.ts",
    test: "passes a stop on to the master that still drains when the newest one was killed",
  },
  {
    attack:
      "another process gets the pid of a master that was killed, before root's logrotate signals it",
    result:
      "no signal is sent while nobody has the pid file locked; before, SIGUSR1 ended that process",
    file: "tests/deploy/logrotate_test.ts",
    test: "signals no process that has the pid of a master that was killed",
  },
  {
    attack:
      "another user locks the pid file of an ordinary user in a process that nobody may look into (PR_SET_DUMPABLE)",
    result: "the lock does not count: its directory in /proc still shows its user",
    file: "tests/os/process/lock_file_test.ts",
    test: "is not kept by the lock of a reader that nobody may look into",
  },
  {
    attack:
      "another user has the address of a new service, and processes with hundreds of thousands of descriptors, and root's master is reloaded",
    result:
      "the master looks for the holder for a second; before, it stood still for as long as it takes to look at all, twice",
    file: "tests/os/process/address_holders_test.ts",
    test: "looks for a second at most, however many descriptors other processes have",
  },
  {
    attack:
      "another user has the address of a new service in a process whose memory waits for a file system of that user",
    result:
      "the process is named by its name in the kernel; before, its arguments were read, which waits for ever",
    file: "tests/os/process/processes_test.ts",
    test: "asks the kernel for the name",
  },
  {
    attack: "a server leaves processes behind that end at once, under a master that is process 1",
    result:
      "all that have waited are reaped at each look; before, ten a second, until no process could start",
    file: "tests/os/process/reap_test.ts",
    test: "reaps all orphans that have waited since the last look",
  },
];

/** Writes them as the last part of the page. */
export function renderAttacks(): string {
  const rows = ATTACKS.map(({ attack, result, file, test }) => [
    attack,
    result,
    `${file}: "${test}"`,
  ]);
  return `# Attacks

What was tried against the promises of [SECURITY.md](../SECURITY.md). Each attack is a test of the
suite; what needs root is tried as root alone.

${table(["attack", "what comes of it", "test"], rows)}
`;
}
