/*
 * A server as LIB-ZC's are, seen from outside: the wire protocol between master and server, on
 * poll(2). Written from the description of that protocol.
 *
 * Its clients speak in lines: echo TEXT, argv, fds, ignored, files, env NAME, setting NAME, cwd, watch, watched,
 * detach, exit CODE, quit. `watch` makes it look at the flags of its first listener without a pause,
 * `watched` tells how often it has looked, and how often the listener was blocking.
 * Settings of its own: peer-before-softstop (has that hook), peer-exit-at-start (an exit code),
 * peer-ignore-sigterm.
 */
#include "peer.h"
#include <sys/prctl.h>
#include <sys/resource.h>

#define MAX_SERVICES 64
#define MAX_CLIENTS 256

typedef struct {
    int fd;
    char type;
    char name[64];
} service_t;

typedef struct {
    int fd;
    int length;
    char text[4096];
} client_t;

static settings_t settings;
static service_t services[MAX_SERVICES];
static client_t clients[MAX_CLIENTS];
static int service_count, client_count;
static int accepting = 1, softstopped, detached;
static long stop_at = -1;
static int watching;
static long looked, found_blocking;
/* What it found at its start, before it did anything. */
static char start_argv[8192], start_fds[8192], start_ignored[256];

static void append(char *text, size_t size, const char *format, ...)
{
    size_t length = strlen(text);
    va_list args;
    va_start(args, format);
    vsnprintf(text + length, size - length, format, args);
    va_end(args);
}

static const char *kind_of(int fd)
{
    struct stat info;
    int listens = 0;
    socklen_t size = sizeof(listens);
    if (fstat(fd, &info) < 0) {
        return "unknown";
    }
    if (S_ISSOCK(info.st_mode)) {
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size);
        return listens ? "listener" : "socket";
    }
    return S_ISFIFO(info.st_mode) ? "pipe" : S_ISCHR(info.st_mode) ? "device" : "file";
}

static void note_start(int argc, char **argv)
{
    static const char *access[] = {"read", "write", "both"};
    for (int i = 0; i < argc; i++) {
        append(start_argv, sizeof(start_argv), "%s%s", i ? "\t" : "", argv[i]);
    }
    for (int fd = 0; fd < 4096; fd++) {
        int flags = fcntl(fd, F_GETFL);
        if (flags >= 0) {
            append(start_fds, sizeof(start_fds), "%s%d %s %s %s", fd ? "\t" : "", fd, kind_of(fd),
                access[flags & O_ACCMODE], flags & O_NONBLOCK ? "nonblocking" : "blocking");
        }
    }
    for (int number = 1; number < 32; number++) {
        struct sigaction action;
        if (sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN) {
            append(start_ignored, sizeof(start_ignored), " %d", number);
        }
    }
}

static long seconds_setting(const char *key)
{
    return atol(get_setting(&settings, key));
}

static void stop_after(long seconds)
{
    long at = now_ms() + seconds * 1000;
    if (stop_at < 0 || at < stop_at) {
        stop_at = at;
    }
}

static void close_listeners(void)
{
    accepting = 0;
    for (int i = 0; i < service_count; i++) {
        close(services[i].fd);
    }
    service_count = 0;
}

static void softstop(void)
{
    long seconds = seconds_setting("server-stop-on-softstop-after");
    softstopped = 1;
    if (detached) {
        return;
    }
    say("softstop");
    close_listeners();
    if (*get_setting(&settings, "peer-before-softstop")) {
        say("beforeSoftstop");
        seconds = seconds < 1 ? 3600 : seconds;
    }
    stop_after(seconds);
}

static void detach(void)
{
    long seconds = seconds_setting("server-stop-on-softstop-after");
    detached = 1;
    close(CHILD_STATUS);
    close_listeners();
    stop_after(seconds < 1 ? 3600 : seconds);
}

static void look_at_flags(void)
{
    for (int i = 0; i < 1000; i++) {
        found_blocking += !(fcntl(services[0].fd, F_GETFL) & O_NONBLOCK);
    }
    looked += 1000;
}

static void drop(int index)
{
    close(clients[index].fd);
    clients[index] = clients[--client_count];
}

/* Returns 0 when the client is to be dropped. */
static int obey(client_t *client, char *line)
{
    char *argument = strchr(line, ' ');
    char cwd[4096];
    if (argument != NULL) {
        *argument++ = 0;
    } else {
        argument = "";
    }
    if (strcmp(line, "echo") == 0) {
        dprintf(client->fd, "%s\n", argument);
    } else if (strcmp(line, "argv") == 0) {
        dprintf(client->fd, "%s\n", start_argv);
    } else if (strcmp(line, "fds") == 0) {
        dprintf(client->fd, "%s\n", start_fds);
    } else if (strcmp(line, "ignored") == 0) {
        dprintf(client->fd, "%s\n", start_ignored);
    } else if (strcmp(line, "files") == 0) {
        struct rlimit limit;
        getrlimit(RLIMIT_NOFILE, &limit);
        dprintf(client->fd, "%lu %lu\n", (unsigned long)limit.rlim_cur, (unsigned long)limit.rlim_max);
    } else if (strcmp(line, "env") == 0) {
        const char *value = getenv(argument);
        dprintf(client->fd, "%s\n", value == NULL ? "-" : value);
    } else if (strcmp(line, "watch") == 0) {
        watching = 1;
        dprintf(client->fd, "watching\n");
    } else if (strcmp(line, "watched") == 0) {
        watching = 0;
        dprintf(client->fd, "%ld %ld\n", looked, found_blocking);
    } else if (strcmp(line, "setting") == 0) {
        dprintf(client->fd, "%s\n", get_setting(&settings, argument));
    } else if (strcmp(line, "cwd") == 0) {
        dprintf(client->fd, "%s\n", getcwd(cwd, sizeof(cwd)));
    } else if (strcmp(line, "detach") == 0) {
        detach();
        dprintf(client->fd, "detached\n");
    } else if (strcmp(line, "exit") == 0) {
        exit(atoi(argument));
    } else if (strcmp(line, "quit") == 0) {
        return 0;
    } else {
        dprintf(client->fd, "unknown command %s\n", line);
    }
    return 1;
}

/* Returns 0 when the client is to be dropped. */
static int serve(client_t *client)
{
    int room = (int)sizeof(client->text) - client->length;
    ssize_t count = recv(client->fd, client->text + client->length, room, 0);
    if (count <= 0) {
        return count < 0 && (errno == EINTR || errno == EAGAIN);
    }
    client->length += (int)count;
    for (;;) {
        char *end = memchr(client->text, '\n', client->length);
        if (end == NULL) {
            return client->length < (int)sizeof(client->text);
        }
        int used = (int)(end - client->text) + 1;
        *end = 0;
        if (!obey(client, client->text)) {
            return 0;
        }
        client->length -= used;
        memmove(client->text, client->text + used, client->length);
    }
}

static void take(const service_t *service)
{
    char text[4096];
    if (service->type == 'f') {
        ssize_t count = read(service->fd, text, sizeof(text) - 1);
        if (count > 0) {
            text[count] = 0;
            say("from the fifo: %s", trim(text));
        }
        return;
    }
    int fd = accept4(service->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
            fail("accept");
        }
        return;
    }
    if (client_count == MAX_CLIENTS) {
        close(fd);
        return;
    }
    clients[client_count].fd = fd;
    clients[client_count++].length = 0;
    dprintf(fd, "c %d %s %s\n", (int)getpid(), *service->name ? service->name : "-",
        service->type == 'i' ? "inet" : "unix");
}

static void register_services(char *list)
{
    for (char *entry = strtok(list, ","); entry != NULL; entry = strtok(NULL, ",")) {
        service_t *service = &services[service_count++];
        char *colon = strchr(entry, ':');
        if (colon == NULL || service_count == MAX_SERVICES) {
            say("bad service %s", entry);
            exit(1);
        }
        *colon = 0;
        snprintf(service->name, sizeof(service->name), "%s", entry);
        service->type = colon[1];
        service->fd = atoi(colon + 2);
        if (strchr("iuf", service->type) == NULL || service->fd < FIRST_LISTENER) {
            say("bad service %s", colon + 1);
            exit(1);
        }
        if (fcntl(service->fd, F_SETFD, FD_CLOEXEC) < 0) {
            fail("listener");
        }
        say("serviceRegister %s %s", *entry ? entry : "-",
            service->type == 'i' ? "inet" : service->type == 'u' ? "unix" : "fifo");
    }
}

static void run(pid_t parent)
{
    while (stop_at < 0 || now_ms() < stop_at) {
        struct pollfd polled[1 + MAX_SERVICES + MAX_CLIENTS];
        int listeners = accepting ? service_count : 0, connections = client_count;
        long wait = 1000;
        /* A negative descriptor is passed over: after the soft stop this one would always be ready. */
        polled[0] = (struct pollfd){.fd = softstopped ? -1 : MASTER_STATUS, .events = POLLIN};
        for (int i = 0; i < listeners; i++) {
            polled[1 + i] = (struct pollfd){.fd = services[i].fd, .events = POLLIN};
        }
        for (int i = 0; i < connections; i++) {
            polled[1 + listeners + i] = (struct pollfd){.fd = clients[i].fd, .events = POLLIN};
        }
        if (stop_at >= 0 && stop_at - now_ms() < wait) {
            wait = stop_at - now_ms() < 0 ? 0 : stop_at - now_ms();
        }
        if (watching) {
            look_at_flags();
            wait = 0;
        }
        if (poll(polled, 1 + listeners + connections, (int)wait) < 0 && errno != EINTR) {
            fail("poll");
        }
        if (getppid() != parent) {
            return;
        }
        for (int i = connections - 1; i >= 0; i--) {
            if (polled[1 + listeners + i].revents && !serve(&clients[i])) {
                drop(i);
            }
        }
        for (int i = 0; i < listeners && accepting; i++) {
            if (polled[1 + i].revents) {
                take(&services[i]);
            }
        }
        if (polled[0].revents & POLLERR) {
            softstop();
        }
    }
}

int main(int argc, char **argv)
{
    pid_t parent = getppid();
    const char *slash = strrchr(argv[0], '/');
    note_start(argc, argv);
    program_name = slash == NULL ? argv[0] : slash + 1;
    if (argc < 4 || strcmp(argv[1], "MASTER") != 0) {
        printf("USAGE: %s MASTER -server-service LIST ...\n", argv[0]);
        return 1;
    }
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGHUP);
    if (parent == 1) {
        return 1;
    }
    parse_arguments(&settings, argc - 2, argv + 2);
    if (*get_setting(&settings, "peer-exit-at-start")) {
        return atoi(get_setting(&settings, "peer-exit-at-start"));
    }
    if (*get_setting(&settings, "peer-ignore-sigterm")) {
        signal(SIGTERM, SIG_IGN);
    }
    fcntl(MASTER_STATUS, F_SETFD, FD_CLOEXEC);
    fcntl(CHILD_STATUS, F_SETFD, FD_CLOEXEC);
    register_services(strdup(get_setting(&settings, "server-service")));
    if (*get_setting(&settings, "exit-after")) {
        stop_after(seconds_setting("exit-after"));
    }
    run(parent);
    return 0;
}
