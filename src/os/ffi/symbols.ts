/**
 * The C prototypes of the libc functions in use, as data.
 *
 * Nothing is opened here; see {@link file://./libc.ts}. All prototypes are the same on Linux x86-64 and arm64
 * (LP64).
 *
 * @module
 */

/** The libc functions in use, in the form that `Deno.dlopen` takes. */
export const SYMBOLS = {
  // int *__errno_location(void);
  __errno_location: { parameters: [], result: "pointer" },
  // int open(const char *path, int flags, mode_t mode);
  open: { parameters: ["buffer", "i32", "u32"], result: "i32" },
  // int openat(int dirfd, const char *path, int flags, mode_t mode);
  openat: { parameters: ["i32", "buffer", "i32", "u32"], result: "i32" },
  // long syscall(SYS_openat2, int dirfd, const char *path, struct open_how *how, size_t size); glibc has no
  // function of that name.
  openat2: {
    name: "syscall",
    parameters: ["i64", "i32", "buffer", "buffer", "usize"],
    result: "i64",
  },
  // int statx(int dirfd, const char *path, int flags, unsigned int mask, struct statx *status);
  statx: { parameters: ["i32", "buffer", "i32", "u32", "buffer"], result: "i32" },
  // ssize_t readlinkat(int dirfd, const char *path, char *buf, size_t size);
  readlinkat: { parameters: ["i32", "buffer", "buffer", "usize"], result: "isize" },
  // DIR *fdopendir(int fd);
  fdopendir: { parameters: ["i32"], result: "pointer" },
  // struct dirent *readdir(DIR *dir);
  readdir: { parameters: ["pointer"], result: "pointer" },
  // int closedir(DIR *dir);
  closedir: { parameters: ["pointer"], result: "i32" },
  // int unlinkat(int dirfd, const char *path, int flags);
  unlinkat: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  // int renameat(int olddirfd, const char *oldpath, int newdirfd, const char *newpath);
  renameat: { parameters: ["i32", "buffer", "i32", "buffer"], result: "i32" },
  // int close(int fd);
  close: { parameters: ["i32"], result: "i32" },
  // ssize_t read(int fd, void *buf, size_t count); the kernel transfers less than 2 GiB at once, and a result of
  // 32 bits is the fast way.
  read: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  // ssize_t write(int fd, const void *buf, size_t count);
  write: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  // ssize_t pwrite(int fd, const void *buf, size_t count, off_t offset);
  pwrite: { parameters: ["i32", "buffer", "usize", "i64"], result: "isize" },
  // int ftruncate(int fd, off_t length);
  ftruncate: { parameters: ["i32", "i64"], result: "i32" },
  // int flock(int fd, int operation);
  flock: { parameters: ["i32", "i32"], result: "i32" },
  // int mkfifoat(int dirfd, const char *path, mode_t mode);
  mkfifoat: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  // int fcntl(int fd, int cmd, int arg);
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
  // int ioctl(int fd, unsigned long request, void *argument);
  ioctl: { parameters: ["i32", "u64", "buffer"], result: "i32" },
  // int dup3(int oldfd, int newfd, int flags);
  dup3: { parameters: ["i32", "i32", "i32"], result: "i32" },
  // int socket(int domain, int type, int protocol);
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  // int socketpair(int domain, int type, int protocol, int sv[2]);
  socketpair: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  // int bind(int fd, const struct sockaddr *addr, socklen_t len);
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  // int listen(int fd, int backlog);
  listen: { parameters: ["i32", "i32"], result: "i32" },
  // int connect(int fd, const struct sockaddr *addr, socklen_t len);
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  // int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags);
  accept4: { parameters: ["i32", "buffer", "buffer", "i32"], result: "i32" },
  // int shutdown(int fd, int how);
  shutdown: { parameters: ["i32", "i32"], result: "i32" },
  // int getsockname(int fd, struct sockaddr *addr, socklen_t *len);
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  // int getpeername(int fd, struct sockaddr *addr, socklen_t *len);
  getpeername: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  // int getsockopt(int fd, int level, int name, void *value, socklen_t *len);
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  // int setsockopt(int fd, int level, int name, const void *value, socklen_t len);
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  // ssize_t sendmsg(int fd, const struct msghdr *msg, int flags);
  sendmsg: { parameters: ["i32", "buffer", "i32"], result: "isize" },
  // ssize_t recvmsg(int fd, struct msghdr *msg, int flags);
  recvmsg: { parameters: ["i32", "buffer", "i32"], result: "isize" },
  // int inet_pton(int family, const char *src, void *dst);
  inet_pton: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  // const char *inet_ntop(int family, const void *src, char *dst, socklen_t size);
  inet_ntop: { parameters: ["i32", "buffer", "buffer", "u32"], result: "pointer" },
  // int epoll_create1(int flags);
  epoll_create1: { parameters: ["i32"], result: "i32" },
  // int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event);
  epoll_ctl: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  // int epoll_wait(int epfd, struct epoll_event *events, int maxevents, int timeout);
  epoll_wait: { parameters: ["i32", "buffer", "i32", "i32"], result: "i32" },
  // The same on a thread of the runtime, for a wait without a time limit.
  epoll_wait_on_thread: {
    name: "epoll_wait",
    parameters: ["i32", "buffer", "i32", "i32"],
    result: "i32",
    nonblocking: true,
  },
  // int clock_gettime(clockid_t clock, struct timespec *time);
  clock_gettime: { parameters: ["i32", "buffer"], result: "i32" },
  // int eventfd(unsigned int initval, int flags);
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
  // int prctl(int option, unsigned long arg2, …);
  prctl: { parameters: ["i32", "u64", "u64", "u64", "u64"], result: "i32" },
  // int poll(struct pollfd *fds, nfds_t nfds, int timeout);
  poll: { parameters: ["buffer", "u64", "i32"], result: "i32" },
  // off_t lseek(int fd, off_t offset, int whence);
  lseek: { parameters: ["i32", "i64", "i32"], result: "i64" },
  // ssize_t send(int sockfd, const void *buf, size_t len, int flags);
  send: { parameters: ["i32", "buffer", "usize", "i32"], result: "i32" },
  // ssize_t recv(int sockfd, void *buf, size_t len, int flags);
  recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "i32" },
  // int recvmmsg(int fd, struct mmsghdr *vec, unsigned int vlen, int flags, struct timespec *timeout);
  recvmmsg: { parameters: ["i32", "buffer", "u32", "i32", "pointer"], result: "i32" },
  // int sendmmsg(int fd, struct mmsghdr *vec, unsigned int vlen, int flags); on a thread, to wait.
  sendmmsg_on_thread: {
    name: "sendmmsg",
    parameters: ["i32", "buffer", "u32", "i32"],
    result: "i32",
    nonblocking: true,
  },
  // struct passwd *getpwnam(const char *name);
  getpwnam: { parameters: ["buffer"], result: "pointer" },
  // struct passwd *getpwuid(uid_t uid);
  getpwuid: { parameters: ["u32"], result: "pointer" },
  // struct group *getgrnam(const char *name);
  getgrnam: { parameters: ["buffer"], result: "pointer" },
  // int getgrouplist(const char *user, gid_t group, gid_t *groups, int *ngroups);
  getgrouplist: { parameters: ["buffer", "u32", "buffer", "buffer"], result: "i32" },
  // int fchmodat(int dirfd, const char *path, mode_t mode, int flags);
  fchmodat: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  // int fchmod(int fd, mode_t mode);
  fchmod: { parameters: ["i32", "u32"], result: "i32" },
  // int fchownat(int dirfd, const char *path, uid_t owner, gid_t group, int flags);
  fchownat: { parameters: ["i32", "buffer", "u32", "u32", "i32"], result: "i32" },
  // int setgid(gid_t gid);
  setgid: { parameters: ["u32"], result: "i32" },
  // int setgroups(size_t size, const gid_t *list);
  setgroups: { parameters: ["usize", "buffer"], result: "i32" },
  // long syscall(long SYS_setgroups, size_t size, const gid_t *list);
  setgroups_of_thread: { name: "syscall", parameters: ["i64", "usize", "buffer"], result: "i64" },
  // long syscall(long SYS_faccessat2, int dirfd, const char *path, int mode, int flags);
  faccessat2: {
    name: "syscall",
    parameters: ["i64", "i32", "buffer", "i32", "i32"],
    result: "i64",
  },
  // int setfsuid(uid_t fsuid);
  setfsuid: { parameters: ["u32"], result: "u32" },
  // int setfsgid(gid_t fsgid);
  setfsgid: { parameters: ["u32"], result: "u32" },
  // pid_t setsid(void);
  setsid: { parameters: [], result: "i32" },
  // uid_t getuid(void);
  getuid: { parameters: [], result: "u32" },
  // int setuid(uid_t uid);
  setuid: { parameters: ["u32"], result: "i32" },
  // long syscall(long number, …); keyctl(2) has no function in libc.
  syscall: { parameters: ["i64", "i64", "pointer"], result: "i64" },
  // int setenv(const char *name, const char *value, int overwrite);
  setenv: { parameters: ["buffer", "buffer", "i32"], result: "i32" },
  // int unsetenv(const char *name);
  unsetenv: { parameters: ["buffer"], result: "i32" },
  // int fstatfs(int fd, struct statfs *buf);
  fstatfs: { parameters: ["i32", "buffer"], result: "i32" },
  // int chroot(const char *path);
  chroot: { parameters: ["buffer"], result: "i32" },
  // int chdir(const char *path);
  chdir: { parameters: ["buffer"], result: "i32" },
  // int prlimit(pid_t pid, int resource, const struct rlimit *new_limit, struct rlimit *old_limit);
  prlimit: { parameters: ["i32", "i32", "buffer", "buffer"], result: "i32" },
  // int adjtimex(struct timex *buf);
  adjtimex: { parameters: ["buffer"], result: "i32" },
  // int sigaction(int signum, const struct sigaction *act, struct sigaction *oldact);
  sigaction: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  // int setrlimit(int resource, const struct rlimit *limit);
  setrlimit: { parameters: ["i32", "buffer"], result: "i32" },
  // int pipe2(int pipefd[2], int flags);
  pipe2: { parameters: ["buffer", "i32"], result: "i32" },
  // int pthread_sigmask(int how, const sigset_t *set, sigset_t *oldset);
  pthread_sigmask: { parameters: ["i32", "buffer", "pointer"], result: "i32" },
  // void *mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset);
  mmap: { parameters: ["pointer", "usize", "i32", "i32", "i32", "i64"], result: "pointer" },
  // int mprotect(void *addr, size_t length, int prot);
  mprotect: { parameters: ["pointer", "usize", "i32"], result: "i32" },
  // sighandler_t signal(int signum, sighandler_t handler);
  signal: { parameters: ["i32", "pointer"], result: "pointer" },
  // int execve(const char *path, char *const argv[], char *const envp[]);
  execve: { parameters: ["buffer", "buffer", "buffer"], result: "i32" },
  // int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
  //   const posix_spawnattr_t *attributes, char *const argv[], char *const envp[]);
  posix_spawn: {
    parameters: ["buffer", "buffer", "buffer", "buffer", "buffer", "buffer"],
    result: "i32",
  },
  // int posix_spawn_file_actions_init(posix_spawn_file_actions_t *actions);
  posix_spawn_file_actions_init: { parameters: ["buffer"], result: "i32" },
  // int posix_spawn_file_actions_addopen(posix_spawn_file_actions_t *actions, int fd,
  //   const char *path, int flags, mode_t mode);
  posix_spawn_file_actions_addopen: {
    parameters: ["buffer", "i32", "buffer", "i32", "u32"],
    result: "i32",
  },
  // int posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *actions, int fd, int newfd);
  posix_spawn_file_actions_adddup2: { parameters: ["buffer", "i32", "i32"], result: "i32" },
  // int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *actions, const char *path);
  posix_spawn_file_actions_addchdir_np: { parameters: ["buffer", "buffer"], result: "i32" },
  // int posix_spawn_file_actions_destroy(posix_spawn_file_actions_t *actions);
  posix_spawn_file_actions_destroy: { parameters: ["buffer"], result: "i32" },
  // int posix_spawnattr_init(posix_spawnattr_t *attributes);
  posix_spawnattr_init: { parameters: ["buffer"], result: "i32" },
  // int posix_spawnattr_setflags(posix_spawnattr_t *attributes, short flags);
  posix_spawnattr_setflags: { parameters: ["buffer", "i16"], result: "i32" },
  // int posix_spawnattr_setsigdefault(posix_spawnattr_t *attributes, const sigset_t *signals);
  posix_spawnattr_setsigdefault: { parameters: ["buffer", "buffer"], result: "i32" },
  // int posix_spawnattr_destroy(posix_spawnattr_t *attributes);
  posix_spawnattr_destroy: { parameters: ["buffer"], result: "i32" },
  // int waitid(idtype_t idtype, id_t id, siginfo_t *info, int options);
  waitid: { parameters: ["i32", "u32", "buffer", "i32"], result: "i32" },
  // pid_t waitpid(pid_t pid, int *status, int options);
  waitpid: { parameters: ["i32", "buffer", "i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** Those of them that a server calls for each connection and each piece of data: see {@linkcode fastLibc}. */
export const FAST_SYMBOLS = {
  accept4: SYMBOLS.accept4,
  close: SYMBOLS.close,
  epoll_wait: SYMBOLS.epoll_wait,
  recv: SYMBOLS.recv,
  send: SYMBOLS.send,
} as const satisfies Deno.ForeignLibraryInterface;
