/*
 * A master as LIB-ZC's is, seen from outside: the wire protocol between master and server, on
 * poll(2). Written from the description of that protocol.
 *
 * master -C DIR -pid-file FILE. SIGHUP reloads, SIGTERM ends it.
 */
#include "peer.h"
#include <arpa/inet.h>
#include <sys/file.h>
#include <sys/un.h>

#define MAX_LISTENERS 64
#define MAX_SERVERS 32
#define MAX_CHILDREN 256
#define EARLY_DEATH_MS 100

typedef struct {
    char address[256], name[64];
    char type;
    int fd, server, used;
} listener_t;

typedef struct {
    char file[512], command[512];
    int wanted, running;
    long start_at;
} server_t;

typedef struct {
    pid_t pid;
    /* The write end of its status pipe. */
    int fd;
    /* Its index, or -1 for a child of an earlier configuration. */
    int server;
    long started_at;
    char addresses[MAX_LISTENERS][256];
    int address_count;
} child_t;

static settings_t settings;
static listener_t listeners[MAX_LISTENERS];
static server_t servers[MAX_SERVERS];
static child_t children[MAX_CHILDREN];
static int listener_count, server_count, child_count;
static int master_status[2];
static volatile sig_atomic_t reload_wanted, stop_wanted;
/* The signals that it was started with, blocked ones. */
static sigset_t start_mask;

static void on_signal(int number)
{
    if (number == SIGHUP) {
        reload_wanted = 1;
    } else {
        stop_wanted = 1;
    }
}

static int listen_on(const char *address, char *type)
{
    int fd, on = 1;
    const char *colon = strchr(address, ':'), *path = colon == NULL ? address : colon + 1;
    if (strncmp(address, "fifo:", 5) == 0) {
        *type = 'f';
        if (mkfifo(path, 0666) < 0 && errno != EEXIST) {
            fail(address);
        }
        fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    } else if (colon == NULL || strncmp(address, "local:", 6) == 0) {
        struct sockaddr_un name = {.sun_family = AF_UNIX};
        *type = 'u';
        snprintf(name.sun_path, sizeof(name.sun_path), "%s", path);
        unlink(path);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (bind(fd, (struct sockaddr *)&name, sizeof(name)) < 0 || listen(fd, 5) < 0) {
            fail(address);
        }
    } else {
        struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(atoi(path))};
        char host[64];
        *type = 'i';
        snprintf(host, sizeof(host), "%.*s", (int)(colon - address), address);
        inet_pton(AF_INET, strcmp(host, "0") == 0 || *host == 0 ? "0.0.0.0" : host, &name.sin_addr);
        fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        if (bind(fd, (struct sockaddr *)&name, sizeof(name)) < 0 || listen(fd, 5) < 0) {
            fail(address);
        }
    }
    if (fd < 0) {
        fail(address);
    }
    return fd;
}

static void use_listener(char *entry, int server)
{
    char *mark = strstr(entry, "://"), *name = "", *address = entry;
    listener_t *listener = NULL;
    if (mark != NULL) {
        *mark = 0;
        name = entry;
        address = mark + 3;
    }
    for (int i = 0; i < listener_count; i++) {
        if (strcmp(listeners[i].address, address) == 0) {
            listener = &listeners[i];
        }
    }
    if (listener == NULL) {
        listener = &listeners[listener_count++];
        snprintf(listener->address, sizeof(listener->address), "%s", address);
        listener->fd = listen_on(address, &listener->type);
        listener->used = 0;
    }
    if (listener->used) {
        say("%s is named twice", address);
        exit(1);
    }
    snprintf(listener->name, sizeof(listener->name), "%s", name);
    listener->used = 1;
    listener->server = server;
}

static void load_server(const char *dir, const char *file)
{
    settings_t given = {.count = 0};
    char path[768], *list;
    server_t *server = &servers[server_count];
    snprintf(path, sizeof(path), "%s/%s", dir, file);
    load_settings(&given, path);
    if (!*get_setting(&given, "server-command") || !*get_setting(&given, "server-service")) {
        return;
    }
    snprintf(server->file, sizeof(server->file), "%s", file);
    snprintf(server->command, sizeof(server->command), "%s", get_setting(&given, "server-command"));
    server->wanted = *get_setting(&given, "server-proc-count")
        ? atoi(get_setting(&given, "server-proc-count")) : 1;
    server->running = 0;
    server->start_at = 0;
    list = strdup(get_setting(&given, "server-service"));
    for (char *rest, *entry = strtok_r(list, SEPARATORS, &rest); entry != NULL;
        entry = strtok_r(NULL, SEPARATORS, &rest)) {
        use_listener(entry, server_count);
    }
    free(list);
    server_count++;
}

static int is_named(const child_t *child)
{
    for (int i = 0; i < child->address_count; i++) {
        for (int j = 0; j < listener_count; j++) {
            if (strcmp(child->addresses[i], listeners[j].address) == 0) {
                return 1;
            }
        }
    }
    return 0;
}

static void load(void)
{
    const char *path = get_setting(&settings, "C");
    DIR *dir = opendir(path);
    struct dirent *entry;
    /* Nobody is left to read what the children of the last generation hold: their soft stop. */
    if (master_status[0] > 0) {
        close(master_status[0]);
        close(master_status[1]);
    }
    if (pipe2(master_status, O_CLOEXEC) < 0 || dir == NULL) {
        fail(path);
    }
    server_count = 0;
    for (int i = 0; i < listener_count; i++) {
        listeners[i].used = 0;
    }
    while ((entry = readdir(dir)) != NULL) {
        const char *extension = strrchr(entry->d_name, '.');
        if (*entry->d_name != '.' && extension != NULL && strcasecmp(extension, ".cf") == 0) {
            load_server(path, entry->d_name);
        }
    }
    closedir(dir);
    for (int i = listener_count - 1; i >= 0; i--) {
        if (!listeners[i].used) {
            close(listeners[i].fd);
            listeners[i] = listeners[--listener_count];
        }
    }
    for (int i = 0; i < child_count; i++) {
        if (!is_named(&children[i])) {
            kill(children[i].pid, SIGTERM);
        }
        children[i].server = -1;
    }
}

/* In the child: places the descriptors and becomes the program. */
__attribute__((noreturn)) static void become(const server_t *server, int status)
{
    const char *dir = get_setting(&settings, "C"), *slash = strrchr(server->command, '/');
    char config[65536], list[4096] = "", *argv[16];
    int placed[2 + MAX_LISTENERS], count = 0, argc = 0;
    placed[count++] = master_status[1];
    placed[count++] = status;
    for (int i = 0; i < listener_count; i++) {
        if (&servers[listeners[i].server] == server) {
            snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s:%c%d",
                *list ? "," : "", listeners[i].name, listeners[i].type, 3 + count);
            placed[count++] = listeners[i].fd;
        }
    }
    for (int i = 0; i < count; i++) {
        placed[i] = fcntl(placed[i], F_DUPFD_CLOEXEC, 512);
    }
    for (int i = 0; i < count; i++) {
        if (dup2(placed[i], 3 + i) < 0) {
            fail("dup2");
        }
    }
    snprintf(config, sizeof(config), "%s/%s", dir, server->file);
    argv[argc++] = (char *)(slash == NULL ? server->command : slash + 1);
    argv[argc++] = "MASTER";
    argv[argc++] = "-server-config-path";
    argv[argc++] = (char *)dir;
    argv[argc++] = "-config";
    argv[argc++] = config;
    argv[argc++] = "-server-service";
    argv[argc++] = list;
    argv[argc] = NULL;
    signal(SIGCHLD, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &start_mask, NULL);
    execvp(server->command, argv);
    say("cannot start %s: %s", server->command, strerror(errno));
    _exit(1);
}

static void start_child(int index)
{
    server_t *server = &servers[index];
    child_t *child = &children[child_count];
    int status[2];
    if (pipe2(status, O_CLOEXEC) < 0) {
        fail("pipe");
    }
    pid_t pid = fork();
    if (pid < 0) {
        fail("fork");
    }
    if (pid == 0) {
        become(server, status[0]);
    }
    close(status[0]);
    server->running++;
    *child = (child_t){.pid = pid, .fd = status[1], .server = index, .started_at = now_ms()};
    for (int i = 0; i < listener_count; i++) {
        if (listeners[i].server == index) {
            strcpy(child->addresses[child->address_count++], listeners[i].address);
        }
    }
    child_count++;
    say("started %d %s", (int)pid, server->file);
}

static void start_missing(void)
{
    for (int i = 0; i < server_count; i++) {
        while (servers[i].running < servers[i].wanted && servers[i].start_at <= now_ms()) {
            start_child(i);
        }
    }
}

static void on_child_status(int index)
{
    child_t *child = &children[index];
    say("lost %d", (int)child->pid);
    if (child->server >= 0) {
        server_t *server = &servers[child->server];
        if (now_ms() - child->started_at < EARLY_DEATH_MS) {
            server->start_at = now_ms() + EARLY_DEATH_MS;
        }
        server->running--;
    }
    close(child->fd);
    children[index] = children[--child_count];
}

static void run(void)
{
    struct timespec wait = {.tv_nsec = EARLY_DEATH_MS * 1000000L};
    while (!stop_wanted) {
        struct pollfd polled[MAX_CHILDREN];
        int count = child_count;
        if (reload_wanted) {
            reload_wanted = 0;
            load();
            say("reloaded");
        }
        start_missing();
        count = child_count;
        for (int i = 0; i < count; i++) {
            polled[i] = (struct pollfd){.fd = children[i].fd};
        }
        if (ppoll(polled, count, &wait, &start_mask) < 0) {
            continue;
        }
        for (int i = count - 1; i >= 0; i--) {
            if (polled[i].revents & POLLERR) {
                on_child_status(i);
            }
        }
    }
}

/* Its listeners are free before its children are told to end, and whatever these do. */
static void stop(void)
{
    for (int i = 0; i < listener_count; i++) {
        close(listeners[i].fd);
    }
    for (int i = 0; i < child_count; i++) {
        kill(children[i].pid, SIGTERM);
    }
}

static void lock(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0) {
        fail(path);
    }
    dprintf(fd, "%-10d", (int)getpid());
}

int main(int argc, char **argv)
{
    sigset_t handled;
    struct sigaction action = {.sa_handler = on_signal};
    program_name = "c_master";
    parse_arguments(&settings, argc - 1, argv + 1);
    lock(get_setting(&settings, "pid-file"));
    /* Taken only while it waits, so that none is missed in between. */
    sigemptyset(&handled);
    sigaddset(&handled, SIGHUP);
    sigaddset(&handled, SIGTERM);
    sigprocmask(SIG_BLOCK, &handled, &start_mask);
    sigaction(SIGHUP, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_IGN);
    load();
    say("listening");
    run();
    stop();
    return 0;
}
