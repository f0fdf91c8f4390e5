/**
 * The Chinese texts of the settings page.
 *
 * A setting without a text fails the type check; a form of value without one fails `deno task docs`.
 *
 * @module
 */
import type { Setting } from "../src/config/setting.ts";
import * as settings from "../src/config/settings.ts";
import type { PageTexts } from "./settings_page.ts";

type Settings = typeof settings;

/** The constants of `settings.ts` that are records of settings. */
type SettingConstant = {
  [Name in keyof Settings]: Settings[Name] extends Setting<infer _> ? Name : never;
}[keyof Settings];

/** What each setting does, by the constant of its record. */
const MEANINGS: Readonly<Record<SettingConstant, string>> = {
  SERVER_COMMAND:
    "要启动的程序，需要时带参数。不经过 shell。self NAME 再次启动 master 自身的程序，作为其中名为 NAME 的 server。",
  SERVER_SERVICE:
    "要监听的地址，每个写作 [name://]address，用分号（;）、逗号（,）、空格或制表符分隔。",
  SERVER_PROC_COUNT: "有多少个进程为这些地址提供服务。0 表示只打开地址，不启动进程。",
  SERVER_BALANCE:
    "各进程如何分担一个 host:port 上的连接。shared：所有进程从同一个队列 accept，空闲的进程先取到。reuseport：每个进程有自己的队列（SO_REUSEPORT），由内核为每个连接随机选择队列。",
  SERVER_LOG: "日志写到哪里。不设置则写到标准错误输出。",
  SERVER_OUTPUT:
    "如何处理进程的标准输出和标准错误输出。capture：由 master 读取，每一行写入 master 的日志，行首加上服务名和 pid。inherit：进程直接写到 master 的输出。",
  SERVER_OUTPUT_FILE:
    "捕获的输出同时写入的文件。它所在的目录必须已经存在。master 每次写入都重新打开这个文件，所以可以随时改名。",
  SERVER_OUTPUT_ROTATE:
    "master 何时给 server-output-file 改名：在文件将要超过指定大小之前，以及新的一天或新的一小时的第一行到来时。新文件名在末尾加上时间，例如 web.log.20260131-235959。off：从不改名。",
  SERVER_OUTPUT_KEEP: "保留多少个改名后的文件。最旧的先删除。",
  SERVER_OUTPUT_TOTAL: "改名后的文件总共可以有多大。最旧的先删除。",
  LOG_LEVEL:
    "写出这个级别以及更重要级别的日志行：debug、info、warn、error。debug = yes 和 --DEBUG 优先于它，含义是 debug。在 debug 级别，每行末尾有调用处的文件和行号。写在 .gcf 中时，对 master 和所有 server 生效。",
  LOG_FORMAT:
    "标准输出和标准错误输出上日志行的格式。text：带时区的时间、级别、程序名和进程号。terminal：简短，带颜色。journal：sd-daemon(3) 的优先级前缀，不带时间。json：每行一个对象，字段名采用 OpenTelemetry 的名称。auto：在终端上用 terminal，在 JOURNAL_STREAM 指明的输出上用 journal，其他情况用 text。写在 .gcf 中时，对 master 和所有 server 生效。",
  SERVER_DRAIN_TIMEOUT:
    "server 收到停止通知后，可以用多长时间处理完已有的连接。最后一个连接结束时，server 就结束，最迟在这个时间之后。",
  SERVER_STOP_ON_SOFTSTOP_AFTER:
    "与 LIB-ZC 相同：server 收到停止通知后继续运行多长时间，不论是否还有连接。不设置则在最后一个连接结束时结束，见 server-drain-timeout。",
  SERVER_RELOAD:
    "哪些重新加载会替换进程。always：每次都替换。changed：只有下列内容有变化时才替换：某个配置项、某个地址、server-command 中写出的某个文件、server-tls-cert 或 server-tls-key 的文件、脚本以固定名称导入的某个本地模块；对于 self，脚本就是 master 的程序，或者编译得到的文件。名称在运行时才生成的模块，以及程序读取的文件，不参加比较。如果程序不是由 master 自己的 Deno 运行的脚本，则只比较 server-command 中写出的文件，日志会说明这一点。",
  SERVER_RELOAD_STEP:
    "重新加载时，在 server-proc-count 之外最多可以同时多运行多少个进程。正在排空的旧进程也计算在内。不设置则一次启动所有新进程。",
  SERVER_READY_TIMEOUT:
    "每个新进程就绪的时限，也是备用进程加载的时限。server 的 serviceRegister 为每个服务都返回之后，这个 server 就绪。未按时就绪的进程会被结束，由另一个进程代替；如果正在重新加载，这个服务的重新加载会回滚。所有服务都就绪，或者过了这个时限，master 的启动就算完成。0 表示不限（master 的启动仍以 30 秒为限）。",
  SERVER_SOAK:
    "重新加载启动的新进程就绪之后，要再运行多久，旧进程才会停止。如果有新进程在这段时间内结束，这个服务的重新加载会回滚。",
  SERVER_HEALTHY_AFTER:
    "进程在就绪之前结束，或者启动后不到这个时间就结束，算作过早结束。同一个槽位每连续一次过早结束，下一次启动前的等待时间就加倍。进程自行以退出码 0 结束，或者在排空时结束，并且曾有客户端连接或者已经服务了半秒，则不算过早结束。",
  SERVER_BACKOFF_MAX:
    "进程过早结束的槽位，两次启动之间最长的等待时间。等待从 100 毫秒开始，每次加倍。",
  SERVER_START_LIMIT:
    "在一段时间内，一个槽位最多可以启动多少个进程。超过之后，这个服务进入失败状态，直到下一次重新加载都不再启动它的进程。正常结束的进程不计算在内。不设置则不限。",
  SERVER_WATCHDOG:
    "server 的事件循环最长可以阻塞多久。超过这个时间没有回应的 server 先收到 SIGABRT，再收到 SIGKILL。0 表示关闭看门狗。",
  SERVER_MAX_CONNECTIONS:
    "一个进程接受多少个连接之后被替换：新进程启动，旧进程停止接受连接，进入排空。每个进程会减去一个随机量，最多十分之一，以免所有进程同时被替换。不设置则不限。",
  SERVER_MAX_AGE:
    "进程运行多久之后被替换：新进程启动，旧进程停止接受连接，进入排空。每个进程会减去一个随机量，最多十分之一，以免所有进程同时被替换。0 表示不限。",
  SERVER_MAX_MEMORY:
    "一个进程可以使用多少内存，按比例分摊的内存大小（PSS）计算：自己独占的内存，加上与其他进程共享的内存中它分摊的部分。超过这个值达到 10 秒的进程会排空并被替换。0 和 -1 表示不限。",
  SERVER_IDLE_EXIT:
    "一个进程没有连接的时间超过这个值，就会被结束。当剩下的进程都有连接，或者一个进程也不剩而有连接在等待时，会再启动一个进程。0 表示保留所有进程。",
  SERVER_PROC_MIN: "server-idle-exit 至少保留多少个进程。为 0 时，由第一个连接触发启动进程。",
  SERVER_STANDBY_COUNT:
    "在 server-proc-count 之外，再保留多少个备用进程。备用进程已经加载了程序，执行了 beforeService，然后等待。当有进程结束，或者还需要一个进程时，它立即接替。",
  SERVER_PROTOCOL:
    "监听套接字如何交给 server。control：通过工作进程套接字传递。inherit：与工作进程套接字一起继承（用于没有 --allow-ffi 的 server）。deno：用于任何未经修改的 Deno 程序：程序打开一个地址时，得到的是服务中具有该端口或路径的套接字。libzc：像 LIB-ZC 那样放在描述符 5、6、7…。systemd：以 LISTEN_FDS 的方式。auto：根据命令及其权限选择；deno serve、带有 export default 的脚本，以及 deno.json 或 package.json 中的任务，选择 deno；shell、解释器或它们的脚本，以及用来启动别的程序的程序（nice、timeout），会被拒绝，因为无法判断它们以什么方式接收套接字。",
  SERVER_PERMISSIONS:
    "server-command 是脚本时，这个脚本的权限；写作 self NAME 且 master 由 Deno 直接运行（未编译）时同样适用。编译后的程序具有 deno compile 时给定的权限。即使设为 none，也能在它的地址上提供服务。",
  SERVER_USER:
    "server 从启动起就以这个用户以及该用户的各个组运行；另见 server-start-user。HOME、USER 和 LOGNAME 取该用户的值；如果是一个没有对应用户的编号，HOME 为 /，其余两个不设置。",
  SERVER_GROUP:
    "server 的主组。不设置则为 server-user 的主组。如果没有设置 server-user，server 只有这一个组。",
  SERVER_START_USER:
    "程序以哪个用户启动。server-user：该配置项给出的用户。master：master 的用户，用于需要其特权的 beforeService；server 在 beforeService 与第一次 serviceRegister 之间切换为 server-user，并且运行时不使用 Deno 的缓存。设置了 server-chroot 时，server 总是以 master 的用户启动。",
  SERVER_CHROOT:
    "server 的根目录。在 beforeService 与第一次 serviceRegister 之间切换；之后导入的模块必须位于这个目录之内。没有设置 server-user 时，它并不能限制 server。",
  SERVER_ENV:
    "server 的环境变量，附加在 master 的环境变量之上。文件中的每一行都累加到前面各行之上。它们优先于 server-env-file，不会在任何命令的输出或日志中显示。",
  SERVER_ENV_FILE:
    "存放 server 环境变量的文件，采用 dotenv 语法（node 的 util.parseEnv）。master 在启动时和每次重新加载时以自己的用户读取它，所以 server 不需要读取它的权限；master 只跟随属于 root 和该用户的符号链接，最多读取 240 KiB。它们优先于 master 的环境变量。",
  SERVER_SOCKET_MODE:
    "master 为这个服务创建的 unix 域套接字和新建的命名管道的访问模式，在客户端能够连接之前设置好。不设置则由 umask 决定。由外部传给 master 的套接字保持原有模式。",
  SERVER_SOCKET_OWNER:
    "这个服务的 unix 域套接字和命名管道的属主。只写 USER 时，组不变。只有以 root 运行的 master 才能设置为其他用户。",
  SERVER_TLS_CERT:
    "server 证书的文件，PEM 格式，中间证书接在后面。程序调用 tlsOfSettings() 的地方使用它。master 会把它与 server-tls-key 一起检查，并在证书到期前 14 天发出警告。更新后的文件由新进程读取，所以要重新加载。",
  SERVER_TLS_KEY:
    "与 server-tls-cert 对应的私钥文件，PEM 格式，不带口令。它由 server 读取，所以运行 server 的用户必须能读它：这个用户是 server-user，如果设置了 server-start-user = master，则在 beforeService 中是 master 的用户。",
  MASTER_CHROOT: "启动 server 时所在的根目录：master 在运行程序之前调用 chroot。",
  MASTER_CHDIR: "启动 server 时所在的工作目录。",
  CONFIG_DIR: "配置文件的目录：每个 *.cf 文件是一个服务，而 *.gcf 文件由所有服务共享。",
  PID_FILE: "保存 master 进程号的文件。master 运行期间一直锁住它。",
  MASTER_CONTROL:
    "master 接受命令（例如 status）的 unix 域套接字，只接受来自 master 自己的用户和 root 的命令；off：没有。不设置则为 pid 文件名加上 .sock。",
  MASTER_STATUS:
    "第二个 unix 域套接字，master 在上面展示状态和事件，不接受其他命令。不设置则没有；但是设置了 metrics 时，为 pid 文件名加上 .status.sock。",
  METRICS:
    "在这个地址展示 master 的状态：/metrics 供 Prometheus 使用，/live 和 /ready 供探针使用，/ 供人查看。它自身是一个 id 为 metrics 的服务。重新加载会采用文件中的地址；命令行上的地址一直保留到 master 结束。",
  TRY_LOCK:
    "检测是否有 master 在运行，然后退出：pid 文件没有被锁住（没有 master 在运行）时退出码为 0，被锁住时为 1。",
  LOG_SERVICE: "在数据报套接字 SOCKET 上接收日志行，按天或按小时写入文件，文件路径以 PREFIX 开头。",
  MASTER_STOP_TIMEOUT: "master 停止时等待各个 server 的时间，超过之后杀死它们。",
  MASTER_MAX_GENERATIONS:
    "每个服务最多可以有多少代旧进程同时处于排空状态。更早的各代会被要求立即结束。",
  MASTER_UPGRADE_TIMEOUT: "升级时，新 master 的所有进程就绪的时限。超过之后，升级回滚。",
  SLEEP: "等待指定的毫秒数，然后以退出码 0 退出，不启动 master（供 shell 脚本使用）。",
  MASTER_DEBUG:
    "记录 master 的每一步：把它的 log-level 设为 debug。与 debug 不同，对 server 没有影响。",
  SERVER_CONFIG_PATH: "一个目录，其中的 *.gcf 文件在其他所有配置之前读取。",
  SERVER_CONTROL: "与 master 相连的套接字的描述符。由 master 设置；不要手工设置。",
  CONFIG:
    "读取这个配置文件。可以给出多次，后面的文件覆盖前面的。文件名以 .ini 结尾时，master 把它作为 INI 文件读取，其中每个服务占一节。",
  DEBUG:
    "把调试信息写入日志：与 log-level = debug 相同。写在 .gcf 中时，对 master 和所有 server 生效。",
  DEBUG_CONFIG: "打印生效的配置。",
  EXIT_AFTER: "经过这段时间后结束进程。0 表示不限。",
  RUN_CHROOT: "进程启动时，把它的根目录切换到这个目录。",
  RUN_USER: "进程从启动起就以这个用户以及该用户的各个组运行。",
  RUN_CHDIR: "进程启动时，把它的工作目录切换到这个目录。",
  MAX_MEMORY:
    "进程以及它启动的每个进程，可以使用多少数据内存（RLIMIT_DATA）。运行时在启动时映射但没有使用的内存不计算在内。",
  CORE_FILE_SIZE: "进程可以写出的 core 文件的大小上限（RLIMIT_CORE）。",
};

/** The forms of values, by the English text of their records. */
export const VALUES: Readonly<Record<string, string>> = {
  "KEY=VALUE, with quotes as in a shell around a value with white space":
    "KEY=VALUE，含空白的值像在 shell 中那样加引号",
  "SOCKET,PREFIX,day or SOCKET,PREFIX,hour": "SOCKET,PREFIX,day 或 SOCKET,PREFIX,hour",
  "USER, USER:GROUP or :GROUP, each a name or a number":
    "USER、USER:GROUP 或 :GROUP，每个是名称或编号",
  "a count and a time such as 5/60 or 5/1m, neither of them 0":
    "次数和时间，例如 5/60 或 5/1m，两者都不为 0",
  "a directory": "一个目录",
  "a file": "一个文件",
  "a group's name or number": "组名或组编号",
  "a list of [name://]address": "[name://]address 的列表",
  "a path": "一个路径",
  "a path, or off": "一个路径，或 off",
  "a program and its arguments, quoted as in a shell": "程序及其参数，像在 shell 中那样加引号",
  "a size such as 65536 (bytes), 64k, 10m or 1g, or -1 for no limit":
    "大小，例如 65536（字节）、64k、10m 或 1g，-1 表示不限",
  "a size such as 64k, 10m or 1g, or day or hour, or both parted by a comma, or off":
    "大小（例如 64k、10m 或 1g），或者 day 或 hour，或者两者用逗号分隔，或者 off",
  "a time such as 90, 90s, 5m, 2h, 1d or 1w": "时间，例如 90、90s、5m、2h、1d 或 1w",
  "a user's name": "用户名",
  "a user's name or number": "用户名或用户编号",
  "all, none, or flags of deno run such as --allow-read=/srv/www --allow-net=127.0.0.1:5432":
    "all、none，或 deno run 的标志，例如 --allow-read=/srv/www --allow-net=127.0.0.1:5432",
  "an address such as 127.0.0.1:9100, [::1]:9100 or the path of a unix socket":
    "一个地址，例如 127.0.0.1:9100、[::1]:9100，或 unix 域套接字的路径",
  "syslog,FACILITY[,IDENT] or masterlog,SOCKET or stdout":
    "syslog,FACILITY[,IDENT] 或 masterlog,SOCKET 或 stdout",
  "three octal digits such as 0660": "三位八进制数，例如 0660",
  "yes or no": "yes 或 no",
};

const meanings = new Map<string, string>(
  Object.entries(MEANINGS).map(([constant, text]) =>
    [settings[constant as SettingConstant].name, text] as const
  ),
);

/** The form of a value; numbers and words are the same in both languages. */
function valueOf({ name, kind: { expected } }: Setting<unknown>): string {
  const [, min, max] = /^a whole number from (\d+) to (\d+)$/.exec(expected) ?? [];
  if (min !== undefined) return `${min} 到 ${max} 的整数`;
  const [, words] = /^one of (.+)$/.exec(expected) ?? [];
  if (words !== undefined) return `${words.replaceAll(", ", "、")} 之一`;
  const text = VALUES[expected];
  if (text !== undefined) return text;
  throw new Error(
    `Cannot write the value of ${name} in Chinese: no text for "${expected}", ` +
      `expected one in VALUES of tools/settings_zh.ts`,
  );
}

/** The texts of docs/zh-CN/settings.md. */
export const CHINESE: PageTexts = {
  page: "docs/zh-CN/settings.md",
  link: "[English](../settings.md)",
  title: "配置项",
  introduction:
    `一个配置项是文件中的一行 \`key = value\`，或者命令行上的 \`-key value\`（表示 yes 时写作
\`--key\`）。同一个键可以在多处设置。服务的 \`.cf\` 文件优先于共享的 \`*.gcf\`
文件，命令行优先于这两者。在同一个文件中，同一个键以最后一行为准；\`server-env\`
例外，它的各行累加。别名是同一个键的另一个名称。

master 也可以读取 INI 文件，其中每个服务占一节：\`-config services.ini\`。它可以代替 \`.cf\`
文件的目录，也可以与之并用。参见 [INI 文件](#ini-文件)。

“生效位置”一列说明配置项在哪里生效：在服务的 \`.cf\` 文件中，在用于所有服务的 \`*.gcf\` 文件中，在
master 进程中，或者在 server 进程中。

本页由 \`deno task docs\` 根据 \`src/config/settings.ts\` 中的记录生成。`,
  sections: {
    processes: { title: "进程", purpose: "启动哪个程序，运行多少个进程。" },
    sockets: { title: "套接字", purpose: "服务在哪里监听，谁可以连接，进程如何得到套接字。" },
    reload: {
      title: "重新加载、停止和升级",
      purpose: "新进程如何替换旧进程，旧进程可以用多长时间排空，也就是处理完已有的连接。",
    },
    supervision: {
      title: "监管",
      purpose: "进程何时再次启动，何时因为卡死而被结束，何时因为运行时间或资源用量而被替换。",
    },
    logs: { title: "日志", purpose: "日志写到哪里，详细到什么程度。" },
    privileges: { title: "特权", purpose: "进程以哪个用户运行，可以做什么。" },
    master: {
      title: "master",
      purpose: "master 自身：它的目录、锁和停止。`-C` 在命令行上给出。",
    },
    process: { title: "所有进程", purpose: "master 或 server 在自己启动时读取什么、做什么。" },
  },
  iniFiles: {
    title: "INI 文件",
    purpose: "文件名以 `.ini` 结尾时，master 把它作为 INI 文件读取。",
    rules: `- 一节中的配置项与 \`.cf\` 文件中的相同。节名就是消息中的服务名，代替文件名。
- 第一节之前的配置项属于 master；各节没有设置的配置项也取这里的值。它们优先于 \`*.gcf\`
  文件。\`run-user\`、\`run-chroot\`、\`run-chdir\`、\`max-memory\` 和 \`core-file-size\` 只属于 master。
- 以 \`;\`、\`#\` 或 \`//\` 开头的行是注释。第一个 \`=\` 之后的内容是值，与 \`.cf\` 文件相同：引号和 \`;\`
  都是值的一部分。
- 不属于以上任何一种的行，以及同名的第二个节，都是错误。这时 master
  不会启动，重新加载也不会改变任何东西。
- 重新加载会再次读取这个文件。进程不读取它：master 把配置项发送给进程。LIB-ZC
  的程序以参数的形式得到配置项，机器上的所有用户都能读到这些参数。
`,
  },
  columns: ["配置项", "生效位置", "值", "默认值", "含义"],
  places: { service: "`.cf`", master: "master", server: "server" },
  notInGcf: "（`.gcf` 除外）",
  value: valueOf,
  meaning: ({ name }) => meanings.get(name)!,
  alias: (name) => `别名：${name}。`,
  space: "",
  comma: "、",
};
