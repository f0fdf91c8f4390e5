/*
 * The load of the benchmarks: exchanges (a line and its echo, or an HTTP request and its answer)
 * over connections to 127.0.0.1, from one thread around one epoll instance.
 *
 * Closed loop (no --rate): each of the N connections always has one exchange under way.
 * Open loop (--rate R): an exchange is due each 1/R s, whatever the server does, and its latency
 * counts from when it was due, so a server that stalls is charged for all that it kept waiting.
 * --fresh makes a connection for each exchange and closes it after the answer. This end closes
 * first and keeps the port in TIME_WAIT; such connections come from 100 addresses in turns, so
 * that ports do not run out.
 *
 * --hold S keeps the connections open for S seconds without an exchange, after it has printed.
 *
 * It prints one JSON object: what was done, what failed and how, and its own share of one CPU.
 *
 * Build: cc -O2 -o client client.c
 * Run: client --port P [--http] [--fresh] [--connections N] [--seconds S] [--size BYTES] [--rate R] [--hold S]
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_EVENTS 256
#define MAX_ANSWER 8192
#define PATIENCE 5.0 /* seconds that an answer may take */
#define SOURCES 100  /* addresses 127.0.1.1 and on, of fresh connections */

enum state { CLOSED, CONNECTING, BUSY, IDLE };
enum failure { REFUSED, RESET, ENDED, TIMED_OUT, OTHER, FAILURES };
static const char *const failure_names[FAILURES] = {"refused", "reset", "ended", "timedOut", "other"};

struct connection {
    int fd;
    enum state state;
    double due;     /* when the exchange was to begin */
    size_t got;     /* bytes of the answer so far */
    size_t expects; /* bytes of the whole answer, 0 while that is unknown */
    bool last;      /* the server will close behind this answer */
    char answer[MAX_ANSWER + 1];
};

static struct {
    int port;
    bool http, fresh;
    size_t connections, size;
    double seconds, rate, hold;
} options = {.connections = 64, .size = 64, .seconds = 1};

static struct connection *connections;
static size_t *waiting, waiting_count; /* open loop: connections without an exchange */
static char *request;
static size_t request_size;
static int epoll_fd;
static unsigned long opened, done, reconnects, failures[FAILURES];
static unsigned *latencies_us;
static size_t latency_count, latency_room;
static bool over; /* no further exchange is to begin */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void begin(struct connection *c, double due);

static void hang_up(struct connection *c)
{
    close(c->fd);
    c->state = CLOSED;
}

/* The connection is free for the next exchange, which in a closed loop begins at once. */
static void next(struct connection *c)
{
    if (options.rate > 0) waiting[waiting_count++] = (size_t)(c - connections);
    else if (!over) begin(c, now());
}

static void fail(struct connection *c, enum failure how)
{
    failures[how]++;
    hang_up(c);
    /* No busy loop against a server that refuses: the look at all connections begins again. */
    if (options.rate > 0) next(c);
}

static enum failure failure_of(int error)
{
    if (error == ECONNREFUSED) return REFUSED;
    if (error == ECONNRESET || error == EPIPE) return RESET;
    return error == ETIMEDOUT ? TIMED_OUT : OTHER;
}

static void send_request(struct connection *c)
{
    const ssize_t sent = send(c->fd, request, request_size, MSG_NOSIGNAL);
    if (sent == (ssize_t)request_size) c->state = BUSY;
    else if (sent < 0 && errno == EAGAIN && c->state == CONNECTING) return;
    else fail(c, sent < 0 ? failure_of(errno) : OTHER);
}

static void connect_to_server(struct connection *c)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)options.port)};
    const int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) die("socket");
    if (!options.fresh) setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    else {
        struct sockaddr_in source = {.sin_family = AF_INET};
        source.sin_addr.s_addr = htonl(0x7f000101u + (unsigned)(opened++ % SOURCES));
        setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
        if (bind(c->fd, (struct sockaddr *)&source, sizeof(source)) < 0) die("bind");
    }
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->state = CONNECTING;
    if (connect(c->fd, (struct sockaddr *)&address, sizeof(address)) < 0 && errno != EINPROGRESS) {
        fail(c, failure_of(errno));
        return;
    }
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0) die("epoll_ctl");
}

static void begin(struct connection *c, double due)
{
    c->due = due;
    c->got = c->expects = 0;
    c->last = options.fresh;
    if (c->state == CLOSED) connect_to_server(c);
    if (c->state == CONNECTING || c->state == IDLE) send_request(c);
}

/* Whether the body is in chunks and the last one has come: no body here has such bytes in it. */
static bool has_last_chunk(const struct connection *c)
{
    static const char last[] = "\r\n0\r\n\r\n";
    const size_t size = sizeof(last) - 1;
    return c->got >= size && memcmp(c->answer + c->got - size, last, size) == 0;
}

/* Finds out how long the answer is, as soon as that can be known. */
static void measure_answer(struct connection *c)
{
    if (!options.http) {
        c->expects = request_size;
        return;
    }
    c->answer[c->got] = 0;
    char *const end = strstr(c->answer, "\r\n\r\n");
    if (end == NULL) return;
    *end = 0;
    const char *const length = strcasestr(c->answer, "\ncontent-length:");
    const bool in_chunks = strcasestr(c->answer, "\ntransfer-encoding: chunked") != NULL;
    if (strcasestr(c->answer, "\nconnection: close")) c->last = true;
    *end = '\r';
    if (strncmp(c->answer, "HTTP/1.1 200", 12) != 0) return;
    if (length != NULL) c->expects = (size_t)(end - c->answer) + 4 + strtoul(length + 16, NULL, 10);
    else if (in_chunks && has_last_chunk(c)) c->expects = c->got;
}

static void finish(struct connection *c)
{
    done++;
    if (options.rate > 0 && latency_count < latency_room) {
        latencies_us[latency_count++] = (unsigned)((now() - c->due) * 1e6);
    }
    if (!c->last) c->state = IDLE;
    else {
        if (!options.fresh) reconnects++;
        hang_up(c);
    }
    next(c);
}

static void receive(struct connection *c)
{
    while (c->state == BUSY || c->state == IDLE) {
        const ssize_t got = recv(c->fd, c->answer + c->got, MAX_ANSWER - c->got, 0);
        if (got < 0 && errno == EAGAIN) return;
        if (c->state == IDLE) {
            /* Nothing was asked: a server may end a connection then, and has lost nothing. */
            if (got > 0) failures[OTHER]++;
            reconnects++;
            hang_up(c);
            return;
        }
        if (got <= 0) {
            fail(c, got == 0 ? ENDED : failure_of(errno));
            return;
        }
        c->got += (size_t)got;
        if (c->expects == 0) measure_answer(c);
        if (c->expects > 0 && c->got >= c->expects) {
            const bool right = c->got == c->expects && (options.http || c->answer[c->got - 1] == '\n');
            if (right) finish(c);
            else fail(c, OTHER);
            return;
        }
        if (c->got == MAX_ANSWER) fail(c, OTHER);
    }
}

static void handle(const struct epoll_event *event)
{
    struct connection *const c = event->data.ptr;
    if (c->state == CONNECTING) send_request(c);
    if (event->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) receive(c);
}

/* Gives up on answers that take too long, and lets connections that failed try again. */
static void look_at_all(double time)
{
    for (size_t i = 0; i < options.connections; i++) {
        struct connection *const c = &connections[i];
        if ((c->state == BUSY || c->state == CONNECTING) && time - c->due > PATIENCE) fail(c, TIMED_OUT);
        if (options.rate == 0 && c->state == CLOSED && !over) begin(c, time);
    }
}

static bool is_under_way(void)
{
    for (size_t i = 0; i < options.connections; i++) {
        if (connections[i].state == BUSY || connections[i].state == CONNECTING) return true;
    }
    return false;
}

static void wait_for_events(double seconds)
{
    struct epoll_event events[MAX_EVENTS];
    struct pollfd ready = {.fd = epoll_fd, .events = POLLIN};
    if (seconds < 0) seconds = 0;
    /* epoll_wait counts in milliseconds, which is too coarse for a schedule. */
    const struct timespec timeout = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    if (options.rate > 0 && ppoll(&ready, 1, &timeout, NULL) <= 0) return;
    const int count = epoll_wait(epoll_fd, events, MAX_EVENTS, options.rate > 0 ? 0 : (int)(seconds * 1e3) + 1);
    for (int i = 0; i < count; i++) handle(&events[i]);
}

/* Returns for how long it ran, in seconds. */
static double run(void)
{
    const double start = now(), end = start + options.seconds;
    double time = start, looked = start;
    unsigned long scheduled = 0;
    for (size_t i = 0; i < options.connections; i++) next(&connections[i]);
    for (;; time = now()) {
        double wake = looked + 0.1;
        if (time >= end) over = true;
        /* What was still due when the time ended is waited for. */
        const double until = time < end ? time : end;
        double due = start + (double)scheduled / options.rate;
        while (options.rate > 0 && due <= until && waiting_count > 0) {
            begin(&connections[waiting[--waiting_count]], due);
            due = start + (double)++scheduled / options.rate;
        }
        if (over && (options.rate == 0 || (due > end && !is_under_way()) || time > end + PATIENCE)) break;
        if (options.rate > 0 && waiting_count > 0 && due < wake && due <= end) wake = due;
        if (!over && end < wake) wake = end;
        wait_for_events(wake - time);
        if (time - looked >= 0.1) {
            look_at_all(time);
            looked = time;
        }
    }
    for (; options.rate > 0 && start + (double)scheduled / options.rate <= end; scheduled++) failures[TIMED_OUT]++;
    return time - start;
}

static int compare(const void *a, const void *b)
{
    const unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
    return x < y ? -1 : x > y;
}

static unsigned percentile(double share)
{
    if (latency_count == 0) return 0;
    const size_t at = (size_t)(share * (double)latency_count);
    return latencies_us[at < latency_count ? at : latency_count - 1];
}

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void read_options(int argc, char **argv)
{
    static const struct option names[] = {
        {"port", required_argument, NULL, 'p'},    {"http", no_argument, NULL, 'h'},
        {"fresh", no_argument, NULL, 'f'},         {"connections", required_argument, NULL, 'c'},
        {"seconds", required_argument, NULL, 's'}, {"size", required_argument, NULL, 'b'},
        {"rate", required_argument, NULL, 'r'},    {"hold", required_argument, NULL, 'k'},
        {NULL, 0, NULL, 0},
    };
    for (int name; (name = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        if (name == 'p') options.port = atoi(optarg);
        else if (name == 'h') options.http = true;
        else if (name == 'f') options.fresh = true;
        else if (name == 'c') options.connections = strtoul(optarg, NULL, 10);
        else if (name == 's') options.seconds = atof(optarg);
        else if (name == 'b') options.size = strtoul(optarg, NULL, 10);
        else if (name == 'r') options.rate = atof(optarg);
        else if (name == 'k') options.hold = atof(optarg);
        else exit(2);
    }
    if (options.port < 1 || options.connections < 1 || options.seconds <= 0 || options.size < 1 ||
        options.size > MAX_ANSWER || options.rate < 0) {
        fprintf(stderr, "client: an option is missing or out of its range\n");
        exit(2);
    }
}

static void prepare(void)
{
    if (options.http) {
        /* LIB-ZC keeps a connection only for a client that asks for it. */
        if (asprintf(&request, "GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: %s\r\n\r\n", options.port,
                     options.fresh ? "close" : "keep-alive") < 0) die("asprintf");
        request_size = strlen(request);
    } else {
        request_size = options.size;
        request = malloc(request_size);
        if (request == NULL) die("malloc");
        memset(request, 'x', request_size);
        request[request_size - 1] = '\n';
    }
    latency_room = (size_t)(options.rate * options.seconds) + 1;
    latencies_us = malloc(latency_room * sizeof(*latencies_us));
    connections = calloc(options.connections, sizeof(*connections));
    waiting = malloc(options.connections * sizeof(*waiting));
    if (latencies_us == NULL || connections == NULL || waiting == NULL) die("malloc");
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0) die("epoll_create1");
    prctl(PR_SET_TIMERSLACK, 1000);
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    prepare();
    const double cpu_before = cpu_seconds();
    const double seconds = run();
    const double cpu = cpu_seconds() - cpu_before;
    qsort(latencies_us, latency_count, sizeof(*latencies_us), compare);
    printf("{\"done\":%lu,\"seconds\":%.6f,\"perSecond\":%.1f,\"cpuShare\":%.3f,\"reconnects\":%lu,\"failed\":{", done,
           seconds, (double)done / seconds, cpu / seconds, reconnects);
    for (int i = 0; i < FAILURES; i++) printf("%s\"%s\":%lu", i > 0 ? "," : "", failure_names[i], failures[i]);
    printf("},\"latencyUs\":{\"p50\":%u,\"p90\":%u,\"p99\":%u,\"p999\":%u,\"max\":%u}}\n", percentile(0.5),
           percentile(0.9), percentile(0.99), percentile(0.999), percentile(1));
    fflush(stdout);
    /* A server that ends is not waited for. */
    struct pollfd held = {.fd = connections[0].fd, .events = POLLRDHUP};
    if (options.hold > 0) poll(&held, 1, (int)(options.hold * 1e3));
    return 0;
}
