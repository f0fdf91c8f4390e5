/*
 * Holds a lock of the kernel for ever: it gives the kernel memory that userfaultfd(2) keeps from it. The arguments are
 * the device of userfaultfd, and what to hold: the `output`, whose reader waits within read(2), or the `listener`,
 * descriptor 3, where listen(2) waits. It begins at SIGUSR1, and ends its main thread then: /proc/PID/fd is empty from
 * then on, and only its other thread has descriptors.
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static char *memory;
static size_t size;

static void *hold(void *is_listener)
{
    /* The reader of the output comes for this, and waits for the rest. */
    if (write(1, "holding\n", 8) < 0) fail("write");
    if (is_listener != NULL) {
        setsockopt(3, IPPROTO_IP, IP_OPTIONS, memory, 4);
        fail("setsockopt");
    }
    if (write(1, memory, size) < 0) fail("write");
    exit(0);
}

int main(int argc, char **argv)
{
    pthread_t holder;
    struct uffdio_api api = {.api = UFFD_API};
    struct uffdio_register area = {.mode = UFFDIO_REGISTER_MODE_MISSING};
    sigset_t begin;
    int number;
    int device = argc > 1 ? open(argv[1], O_RDWR) : -1;
    int faults = device < 0 ? -1 : ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC);

    size = getpagesize();
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (faults < 0 || ioctl(faults, UFFDIO_API, &api) < 0) fail("userfaultfd");
    area.range.start = (unsigned long)memory;
    area.range.len = size;
    if (memory == MAP_FAILED || ioctl(faults, UFFDIO_REGISTER, &area) < 0) fail("register");
    sigemptyset(&begin);
    sigaddset(&begin, SIGUSR1);
    sigprocmask(SIG_BLOCK, &begin, NULL);
    if (write(1, "waiting\n", 8) < 0 || sigwait(&begin, &number) != 0) fail("sigwait");
    if (pthread_create(&holder, NULL, hold, argc > 2 && strcmp(argv[2], "listener") == 0 ? memory : NULL) != 0)
        fail("pthread_create");
    pthread_exit(NULL);
}
