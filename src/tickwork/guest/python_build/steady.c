/* A preloaded library under which a program's result depends on its input alone.
 *
 * componentize-py runs CPython once and stores its memory in the component, and with it whatever CPython saw
 * while it started: random bytes (the string hash seed), the time, the times and inode numbers of files, and
 * the order in which directories list their entries, which decides where in memory every later object lies.
 * Under this library all of these are constant:
 *
 *   - getrandom and getentropy give a fixed pattern, the clocks stand still;
 *   - statx gives one time, inode and device for every file, and no size or link count for directories;
 *   - directories are listed in the order of their entries' names.
 *
 * Part of the builder makes system calls without libc, so replacing libc's functions does not reach it: a
 * seccomp filter has the kernel turn these calls into SIGSYS, whose handler carries them out. Calls that bear
 * COOKIE in their unused sixth argument are the handler's own and pass. It needs no privilege, only a kernel
 * that lets a process filter itself.
 *
 * Rejected: a ptrace supervisor (slower, and forbidden in more places), replacing the order in the guest
 * (CPython has listed directories before any of our code runs), rewriting the stored memory afterwards
 * (the order of entries moves objects about). */
#define _GNU_SOURCE /* for the names of registers */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/stat.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define COOKIE 0x7469636b776f726bL
#define EPOCH 1767225600L /* 2026-01-01, seconds */
#define EXIT_REFUSED 97   /* known to the builder: the filter was refused */
#define CURRENT_DIRECTORY (-100)
#define FILE_KIND 0170000
#define DIRECTORY 0040000

#if defined(__x86_64__)
#define OWN_ARCH AUDIT_ARCH_X86_64
#define ARGUMENT(context, n) \
  ((context)->uc_mcontext.gregs[(const int[]){REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8}[n]])
#define RESULT(context) ((context)->uc_mcontext.gregs[REG_RAX])
#elif defined(__aarch64__)
#define OWN_ARCH AUDIT_ARCH_AARCH64
#define ARGUMENT(context, n) ((long)(context)->uc_mcontext.regs[n])
#define RESULT(context) ((context)->uc_mcontext.regs[0])
#else
#error "the Python guest is built on x86-64 and aarch64 only"
#endif

/* The same bytes for every call, so that it does not matter which thread asks first. */
static void fill(unsigned char *bytes, size_t length) {
  for (size_t i = 0; i < length; i++) bytes[i] = (unsigned char)(i * 37 + 11);
}

ssize_t getrandom(void *bytes, size_t length, unsigned flags) {
  (void)flags;
  fill(bytes, length);
  return (ssize_t)length;
}

int getentropy(void *bytes, size_t length) {
  fill(bytes, length);
  return 0;
}

/* A clock that moved would move with the threads' schedule. */
int clock_gettime(clockid_t clock, struct timespec *time) {
  time->tv_sec = clock == CLOCK_REALTIME ? EPOCH : 1;
  time->tv_nsec = 0;
  return 0;
}

static long pass(long number, long a, long b, long c, long d, long e) {
  long result = syscall(number, a, b, c, d, e, COOKIE);
  return result < 0 ? -errno : result;
}

struct entry { /* linux_dirent64 */
  uint64_t inode;
  int64_t next;
  unsigned short length;
  unsigned char kind;
  char name[];
};

/* The builder's directories hold a few hundred entries; a listing that does not fit fails the build. */
#define LISTING_BYTES (64 * 1024)
#define LISTINGS 64
#define ENTRIES (LISTING_BYTES / 24)

static struct listing {
  char bytes[LISTING_BYTES];
  size_t length, next;
} listings[LISTINGS]; /* by descriptor */
static int listings_lock;

static long sort_listing(int descriptor, struct listing *listing) {
  static char unsorted[LISTING_BYTES];
  static struct entry *order[ENTRIES];
  size_t used = 0, count = 0;
  long got;
  while ((got = pass(SYS_getdents64, descriptor, (long)(unsorted + used), (long)(LISTING_BYTES - used), 0, 0)) > 0)
    used += (size_t)got;
  if (got < 0) return got;
  for (size_t at = 0; at < used;) {
    struct entry *entry = (struct entry *)(unsorted + at);
    size_t place = count++;
    for (; place > 0 && strcmp(order[place - 1]->name, entry->name) > 0; place--) order[place] = order[place - 1];
    order[place] = entry;
    at += entry->length;
  }
  listing->length = listing->next = 0;
  for (size_t i = 0; i < count; i++) {
    struct entry *entry = (struct entry *)(listing->bytes + listing->length);
    memcpy(entry, order[i], order[i]->length);
    entry->inode = 1;
    entry->next = (int64_t)i + 1;
    listing->length += entry->length;
  }
  return 0;
}

static long list(int descriptor, char *out, size_t room) {
  if (descriptor < 0 || descriptor >= LISTINGS) return -EMFILE;
  while (__atomic_exchange_n(&listings_lock, 1, __ATOMIC_ACQUIRE)) {
  }
  struct listing *listing = &listings[descriptor];
  long result = 0;
  /* At the start, so this is a fresh descriptor and what was kept for its number is stale. */
  if (pass(SYS_lseek, descriptor, 0, SEEK_CUR, 0, 0) == 0) result = sort_listing(descriptor, listing);
  while (result >= 0 && listing->next < listing->length) {
    struct entry *entry = (struct entry *)(listing->bytes + listing->next);
    if ((size_t)result + entry->length > room) {
      if (result == 0) result = -EINVAL;
      break;
    }
    memcpy(out + result, entry, entry->length);
    result += entry->length;
    listing->next += entry->length;
  }
  __atomic_store_n(&listings_lock, 0, __ATOMIC_RELEASE);
  return result;
}

static uint32_t proc_major, proc_minor; /* the device of /proc */

static long describe(long directory, long path, long flags, long mask, struct statx *found) {
  long result = pass(SYS_statx, directory, path, flags, mask, (long)found);
  /* The builder checks by inode that what it reads from /proc is genuine. */
  if (result < 0 || (found->stx_dev_major == proc_major && found->stx_dev_minor == proc_minor)) return result;
  const struct statx_timestamp epoch = {.tv_sec = EPOCH};
  found->stx_atime = found->stx_btime = found->stx_ctime = found->stx_mtime = epoch;
  found->stx_ino = 1;
  found->stx_nlink = 1;
  found->stx_dev_major = 0;
  found->stx_dev_minor = 1;
  if ((found->stx_mode & FILE_KIND) == DIRECTORY) found->stx_size = found->stx_blocks = 0;
  return result;
}

static void carry_out(int signal, siginfo_t *info, void *untyped) {
  (void)signal;
  ucontext_t *context = untyped;
  const int saved = errno;
  long result = -ENOSYS;
  switch (info->si_syscall) {
    case SYS_getdents64:
      result = list((int)ARGUMENT(context, 0), (char *)ARGUMENT(context, 1), (size_t)ARGUMENT(context, 2));
      break;
    case SYS_statx:
      result = describe(ARGUMENT(context, 0), ARGUMENT(context, 1), ARGUMENT(context, 2), ARGUMENT(context, 3),
                        (struct statx *)ARGUMENT(context, 4));
      break;
    case SYS_getrandom:
      fill((unsigned char *)ARGUMENT(context, 0), (size_t)ARGUMENT(context, 1));
      result = ARGUMENT(context, 1);
      break;
  }
  RESULT(context) = (unsigned long)result;
  errno = saved;
}

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define IF_EQUAL(value, then, otherwise) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, then, otherwise)
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, action)

__attribute__((constructor)) static void start(void) {
  struct statx proc;
  if (pass(SYS_statx, CURRENT_DIRECTORY, (long)"/proc/self", 0, STATX_BASIC_STATS, (long)&proc) == 0) {
    proc_major = proc.stx_dev_major;
    proc_minor = proc.stx_dev_minor;
  }

  struct sigaction action = {0};
  action.sa_sigaction = carry_out;
  action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_RESTART | SA_ONSTACK;
  sigaction(SIGSYS, &action, NULL);

  struct sock_filter filter[] = {
      LOAD(arch),
      IF_EQUAL(OWN_ARCH, 0, 4),
      LOAD(nr),
      IF_EQUAL(SYS_getdents64, 3, 0),
      IF_EQUAL(SYS_statx, 2, 0),
      IF_EQUAL(SYS_getrandom, 1, 0),
      RETURN(SECCOMP_RET_ALLOW),
      LOAD(args[5]), /* the low half, on these little-endian machines */
      IF_EQUAL((uint32_t)COOKIE, 0, 1),
      RETURN(SECCOMP_RET_ALLOW),
      RETURN(SECCOMP_RET_TRAP),
  };
  const struct sock_fprog program = {.len = sizeof filter / sizeof filter[0], .filter = filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program))
    _exit(EXIT_REFUSED);
}
