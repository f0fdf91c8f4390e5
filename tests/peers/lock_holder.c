/*
 * Holds a lock of the kernel: it gives the kernel memory that userfaultfd(2) keeps from it. It begins at SIGUSR1. The
 * arguments are the device of userfaultfd, and
 *
 * - what to hold: the `output`, whose reader waits within read(2), or the `listener`, descriptor 3, where listen(2)
 *   waits, or the same by a `ring` of io_uring(7); each for ever. Or both `outputs`, again and again, each for less than
 *   a second;
 * - how: with a descriptor as any other; `idle`, as it is but before the reader comes; `closed`, so that no process has
 *   one while the call waits; `polled`, as that but by a thread of the kernel; or as one of `many` descriptors of many
 *   threads, of which the last one alone has that one.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LISTENER 3
#define OUTPUTS 2
#define THREADS 16
#define DESCRIPTORS 4000
#define HELD_US 700000

static char *memory;
static size_t size;
static int faults, are_many, is_idle, is_polled, held = 1;
static const char *what, *how;
static sem_t own_table;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* Reads the next address that a call waits for. */
static unsigned long next_fault(void)
{
    struct uffd_msg fault;
    if (read(faults, &fault, sizeof fault) != sizeof fault) fail("read");
    return fault.arg.pagefault.address & -size;
}

/* As setsockopt(2), in a ring that has the listener as a file of its own. Headers before Linux 6.7 lack the names. */
static void set_in_ring(void)
{
    struct io_uring_params set = {.flags = is_polled ? IORING_SETUP_SQPOLL : 0};
    int ring = syscall(SYS_io_uring_setup, 1, &set);
    struct {
        uint8_t opcode, flags;
        uint16_t ioprio;
        int32_t file;
        uint32_t command, unused;
        uint32_t level, option;
        uint32_t more[5], length;
        uint64_t value, end;
    } *entry;
    char *queue;

    if (ring < 0) fail("io_uring_setup");
    queue = mmap(NULL, set.sq_off.array + sizeof(uint32_t), PROT_READ | PROT_WRITE, MAP_SHARED, ring,
                 IORING_OFF_SQ_RING);
    entry = mmap(NULL, sizeof *entry, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
    if (queue == MAP_FAILED || (void *)entry == MAP_FAILED) fail("mmap");
    if (syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, &held, 1) < 0) fail("io_uring_register");
    memset(entry, 0, sizeof *entry);
    entry->opcode = 46; /* IORING_OP_URING_CMD */
    entry->flags = IOSQE_FIXED_FILE;
    entry->command = 3; /* SOCKET_URING_OP_SETSOCKOPT */
    entry->level = IPPROTO_IP;
    entry->option = IP_OPTIONS;
    entry->length = 4;
    entry->value = (uintptr_t)memory;
    __atomic_store_n((uint32_t *)(queue + set.sq_off.tail), 1, __ATOMIC_RELEASE);
    if (is_polled) {
        /* The thread sleeps after a second without an entry. */
        syscall(SYS_io_uring_enter, ring, 0, 0, IORING_ENTER_SQ_WAKEUP, NULL, 0);
        pause();
    } else syscall(SYS_io_uring_enter, ring, 1, 0, 0, NULL, 0);
}

static void *hold(void *unused)
{
    if (are_many && (unshare(CLONE_FILES) < 0 || sem_post(&own_table) < 0)) fail("unshare");
    /* The reader of the output comes for this, and waits for the rest. */
    if (!is_idle && write(1, "holding\n", 8) < 0) fail("write");
    if (strcmp(what, "ring") == 0) set_in_ring();
    else if (held == LISTENER) setsockopt(held, IPPROTO_IP, IP_OPTIONS, memory, 4);
    else if (write(held, memory, size) < 0) fail("write");
    exit(0);
}

static void *hold_again(void *page)
{
    for (;;) {
        if (write(page == memory ? 1 : 2, page, size) < 0) fail("write");
        if (madvise(page, size, MADV_DONTNEED) < 0) fail("madvise");
    }
}

static void *wait_for_ever(void *unused)
{
    for (;;) pause();
}

static void start(void *(*run)(void *), void *argument)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, argument) != 0) fail("pthread_create");
}

static void open_many(void)
{
    struct rlimit limit;
    int count;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) fail("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0) fail("setrlimit");
    for (count = 0; count < DESCRIPTORS; count++)
        if (open("/dev/null", O_RDONLY) < 0) fail("open");
    for (count = 1; count < THREADS; count++) start(wait_for_ever, NULL);
}

int main(int argc, char **argv)
{
    struct uffdio_api api = {.api = UFFD_API};
    struct uffdio_register area = {.mode = UFFDIO_REGISTER_MODE_MISSING};
    sigset_t begin;
    int number, page;
    int device = argc > 1 ? open(argv[1], O_RDWR) : -1;

    what = argc > 2 ? argv[2] : "";
    how = argc > 3 ? argv[3] : "";
    faults = device < 0 ? -1 : ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC);
    size = getpagesize();
    memory = mmap(NULL, OUTPUTS * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (faults < 0 || ioctl(faults, UFFDIO_API, &api) < 0) fail("userfaultfd");
    area.range.start = (unsigned long)memory;
    area.range.len = OUTPUTS * size;
    if (memory == MAP_FAILED || ioctl(faults, UFFDIO_REGISTER, &area) < 0) fail("register");
    sigemptyset(&begin);
    sigaddset(&begin, SIGUSR1);
    sigprocmask(SIG_BLOCK, &begin, NULL);
    if (write(1, "waiting\n", 8) < 0 || sigwait(&begin, &number) != 0) fail("sigwait");

    if (strcmp(what, "outputs") == 0) {
        for (page = 0; page < OUTPUTS; page++) start(hold_again, memory + page * size);
        for (;;) {
            struct uffdio_zeropage zero = {.range = {next_fault(), size}};
            usleep(HELD_US);
            if (ioctl(faults, UFFDIO_ZEROPAGE, &zero) < 0) fail("zeropage");
        }
    }
    if (strcmp(what, "output") != 0) held = LISTENER;
    is_polled = strcmp(how, "polled") == 0;
    are_many = strcmp(how, "many") == 0;
    is_idle = strcmp(how, "idle") == 0;
    if (are_many) open_many();
    start(hold, NULL);
    if (are_many) sem_wait(&own_table);
    else if (is_polled || strcmp(how, "closed") == 0) next_fault();
    if (*how != 0 && !is_idle) close(held);
    /* /proc/PID/fd is empty from now on. */
    pthread_exit(NULL);
}
