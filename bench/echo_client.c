/*
 * The load of the echo benchmarks: keeps one line of SIZE bytes in flight on each of N connections
 * to 127.0.0.1:PORT, for SECONDS, and prints the number of echoes a second and its own share of a
 * CPU. Build: cc -O2 -o echo_client echo_client.c. Run: echo_client PORT N SECONDS SIZE.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_EVENTS 256

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

struct connection {
    int fd;
    size_t missing; /* bytes of the echo that have not come yet */
};

static void send_line(struct connection *c, const char *line, size_t size)
{
    if (write(c->fd, line, size) != (ssize_t)size) fail("write");
    c->missing = size;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: %s PORT CONNECTIONS SECONDS SIZE\n", argv[0]);
        return 2;
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const size_t count = (size_t)atoi(argv[2]), size = (size_t)atoi(argv[4]);
    const double seconds = atof(argv[3]);

    char *line = malloc(size), *room = malloc(size);
    struct connection *connections = calloc(count, sizeof(*connections));
    if (!line || !room || !connections || size == 0) fail("malloc");
    memset(line, 'x', size);
    line[size - 1] = '\n';

    const int epoll = epoll_create1(0);
    if (epoll < 0) fail("epoll_create1");
    for (size_t i = 0; i < count; i++) {
        struct connection *c = &connections[i];
        const int one = 1;
        c->fd = socket(AF_INET, SOCK_STREAM, 0);
        if (c->fd < 0) fail("socket");
        if (connect(c->fd, (struct sockaddr *)&address, sizeof(address)) < 0) fail("connect");
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) < 0) fail("epoll_ctl");
    }

    const double start = now();
    double passed = 0;
    long echoes = 0;
    for (size_t i = 0; i < count; i++) send_line(&connections[i], line, size);
    while ((passed = now() - start) < seconds) {
        struct epoll_event events[MAX_EVENTS];
        const int ready = epoll_wait(epoll, events, MAX_EVENTS, 100);
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            const ssize_t got = read(c->fd, room, c->missing);
            if (got <= 0) fail("read");
            c->missing -= (size_t)got;
            if (c->missing > 0) continue;
            echoes++;
            send_line(c, line, size);
        }
    }

    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    const double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
        (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    printf("%.0f %.2f\n", (double)echoes / passed, cpu / passed);
    return 0;
}
