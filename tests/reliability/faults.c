/* Calls of the system about files in one folder fail, from the k-th to the last that is asked for.

   Loaded before libc (LD_PRELOAD), so that calls of Python, of C++ and of Rust are met alike. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { NONE, WRITE, FSYNC, RENAME, OPEN };

static char folder[PATH_MAX];
static int armed, code;
static long first, last, count;

/* Of this kind, calls first..last fail with this code; none fail with first = 0. */
void faults_arm(const char *where, int kind, long from, long to, int error) {
  snprintf(folder, sizeof folder, "%s", where);
  armed = kind, first = from, last = to, code = error, count = 0;
}

long faults_count(void) { return count; }

static int hit(int kind, const char *path) {
  if (kind != armed || strncmp(path, folder, strlen(folder))) return 0;
  count++;
  if (!first || count < first || count > last) return 0;
  errno = code;
  return 1;
}

static int hit_fd(int kind, int fd) {
  if (kind != armed) return 0;
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t size = readlink(link, path, sizeof path - 1);
  if (size < 0) return 0;
  path[size] = 0;
  return hit(kind, path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *data, size_t n) {
  return hit_fd(WRITE, fd) ? -1 : REAL(write)(fd, data, n);
}
ssize_t pwrite(int fd, const void *data, size_t n, off_t at) {
  return hit_fd(WRITE, fd) ? -1 : REAL(pwrite)(fd, data, n, at);
}
ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at) {
  return hit_fd(WRITE, fd) ? -1 : REAL(pwrite64)(fd, data, n, at);
}
ssize_t writev(int fd, const struct iovec *parts, int n) {
  return hit_fd(WRITE, fd) ? -1 : REAL(writev)(fd, parts, n);
}
ssize_t pwritev(int fd, const struct iovec *parts, int n, off_t at) {
  return hit_fd(WRITE, fd) ? -1 : REAL(pwritev)(fd, parts, n, at);
}
size_t fwrite(const void *data, size_t size, size_t n, FILE *stream) {
  return hit_fd(WRITE, fileno(stream)) ? 0 : REAL(fwrite)(data, size, n, stream);
}
int ftruncate(int fd, off_t size) {
  return hit_fd(WRITE, fd) ? -1 : REAL(ftruncate)(fd, size);
}
int ftruncate64(int fd, off64_t size) {
  return hit_fd(WRITE, fd) ? -1 : REAL(ftruncate64)(fd, size);
}
int posix_fallocate(int fd, off_t at, off_t size) {
  return hit_fd(WRITE, fd) ? code : REAL(posix_fallocate)(fd, at, size);
}
int posix_fallocate64(int fd, off64_t at, off64_t size) {
  return hit_fd(WRITE, fd) ? code : REAL(posix_fallocate64)(fd, at, size);
}
int fsync(int fd) { return hit_fd(FSYNC, fd) ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return hit_fd(FSYNC, fd) ? -1 : REAL(fdatasync)(fd); }
int rename(const char *from, const char *to) {
  return hit(RENAME, to) ? -1 : REAL(rename)(from, to);
}
int renameat(int a, const char *from, int b, const char *to) {
  return hit(RENAME, to) ? -1 : REAL(renameat)(a, from, b, to);
}
int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
  return hit(RENAME, to) ? -1 : REAL(renameat2)(a, from, b, to, flags);
}

#define MODE(flags)                                   \
  mode_t mode = 0;                                    \
  if ((flags) & (O_CREAT | O_TMPFILE)) {              \
    va_list rest;                                     \
    va_start(rest, flags);                            \
    mode = va_arg(rest, mode_t);                      \
    va_end(rest);                                     \
  }
#define OPENED(path, flags) (((flags) & O_ACCMODE) != O_RDONLY && hit(OPEN, path))

int open(const char *path, int flags, ...) {
  MODE(flags)
  return OPENED(path, flags) ? -1 : REAL(open)(path, flags, mode);
}
int open64(const char *path, int flags, ...) {
  MODE(flags)
  return OPENED(path, flags) ? -1 : REAL(open64)(path, flags, mode);
}
int openat(int at, const char *path, int flags, ...) {
  MODE(flags)
  return OPENED(path, flags) ? -1 : REAL(openat)(at, path, flags, mode);
}
int openat64(int at, const char *path, int flags, ...) {
  MODE(flags)
  return OPENED(path, flags) ? -1 : REAL(openat64)(at, path, flags, mode);
}
