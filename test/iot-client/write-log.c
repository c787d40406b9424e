/*
 * For spool-power.test.ts, by LD_PRELOAD: writes down in order what a process does to the files of a database and to its
 * standard output, so that a test can make every disk of it that a power cut could leave behind.
 *
 * WRITE_LOG: where. WRITE_LOG_FILE: the database; its log is "-wal". A record is: what (1 byte), which file (1), offset (8),
 * length (4), both little-endian, and the bytes of a write.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { WRITE = 'w', SYNC = 's', TRUNCATE = 't', OUTPUT = 'o' };
enum { DATABASE = 0, WAL = 1, NEITHER = 2 };

static int log_fd = -2;

static int which(int fd) {
  char link[64], path[4096];
  const char *database = getenv("WRITE_LOG_FILE");
  if (database == NULL || fd < 0) return NEITHER;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return NEITHER;
  path[length] = 0;
  size_t base = strlen(database);
  if (strncmp(path, database, base) != 0) return NEITHER;
  if (path[base] == 0) return DATABASE;
  return strcmp(path + base, "-wal") == 0 ? WAL : NEITHER;
}

static void put(char what, int file, uint64_t offset, uint32_t length, const void *bytes) {
  if (log_fd == -2) {
    const char *path = getenv("WRITE_LOG");
    log_fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
  }
  if (log_fd < 0) return;
  size_t size = 14 + (bytes ? length : 0);
  unsigned char *record = malloc(size);
  record[0] = (unsigned char)what;
  record[1] = (unsigned char)file;
  memcpy(record + 2, &offset, 8);
  memcpy(record + 10, &length, 4);
  if (bytes) memcpy(record + 14, bytes, length);
  syscall(SYS_write, log_fd, record, size);
  free(record);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
  ssize_t written = REAL(pwrite)(fd, bytes, length, offset);
  int file = which(fd);
  if (file != NEITHER && written > 0) put(WRITE, file, (uint64_t)offset, (uint32_t)written, bytes);
  return written;
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
  ssize_t written = REAL(pwrite64)(fd, bytes, length, offset);
  int file = which(fd);
  if (file != NEITHER && written > 0) put(WRITE, file, (uint64_t)offset, (uint32_t)written, bytes);
  return written;
}

ssize_t write(int fd, const void *bytes, size_t length) {
  int file = fd == 1 ? NEITHER : which(fd);
  off_t at = file == NEITHER ? 0 : lseek(fd, 0, SEEK_CUR);
  ssize_t written = REAL(write)(fd, bytes, length);
  if (written <= 0) return written;
  if (fd == 1) put(OUTPUT, NEITHER, 0, (uint32_t)written, bytes);
  else if (file != NEITHER) put(WRITE, file, (uint64_t)at, (uint32_t)written, bytes);
  return written;
}

int fsync(int fd) {
  int result = REAL(fsync)(fd);
  int file = which(fd);
  if (file != NEITHER && result == 0) put(SYNC, file, 0, 0, NULL);
  return result;
}

int fdatasync(int fd) {
  int result = REAL(fdatasync)(fd);
  int file = which(fd);
  if (file != NEITHER && result == 0) put(SYNC, file, 0, 0, NULL);
  return result;
}

int ftruncate(int fd, off_t length) {
  int result = REAL(ftruncate)(fd, length);
  int file = which(fd);
  if (file != NEITHER && result == 0) put(TRUNCATE, file, (uint64_t)length, 0, NULL);
  return result;
}

int ftruncate64(int fd, off64_t length) {
  int result = REAL(ftruncate64)(fd, length);
  int file = which(fd);
  if (file != NEITHER && result == 0) put(TRUNCATE, file, (uint64_t)length, 0, NULL);
  return result;
}
