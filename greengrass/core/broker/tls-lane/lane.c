/*
 * The sockets of the local MQTT server: accept, TLS, read, write. What Node.js' own TLS sockets do, without a stream, a
 * callback and several allocations for every message: all sockets that are readable are read and decrypted in one go into
 * one arena, then JavaScript is called once for all of them (docs/measurements.md has what that is worth). OpenSSL and libuv are those inside of Node.js.
 *
 * One thread for each lane, its event loop's. Nothing here knows MQTT or a device's rights: tls-lane.ts says what happens with bytes and
 * who may stay. A connection's slot is taken until JavaScript calls destroy, so an id never means two connections.
 */
#define _GNU_SOURCE
#define NAPI_VERSION 8
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <node_api.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

enum {
  MAX_CONNECTIONS = 16384,
  /* Handshakes under way; beyond it the oldest gives way. */
  MAX_HANDSHAKES = 1024,
  EVENTS_IN_TURN = 512,
  /* A step of a handshake costs as much as a hundred messages: who is connected is served in between. */
  HANDSHAKE_STEPS_IN_TURN = 4,
  ACCEPTS_IN_TURN = 64,
  /* A connection that has more than this many records waits for its next turn. */
  RECORDS_IN_TURN = 16,
  RECORD_BYTES = 16384,
  EVENT_WORDS = 3,
  REASON_BYTES = 120,
  BACKLOG = 511,
};

/* Kinds of events whose length is 0. */
enum { OPENED = 1, CLOSED = 2, DRAINED = 3, NOT_OPENED = 4 };
/* What write answers. */
enum { WRITE_FAILED = -1, WRITE_KEPT = 0, WRITE_GONE = 1 };

enum state { FREE, HANDSHAKE, OPEN, ENDED };

struct connection {
  int fd;
  uint32_t id;
  uint32_t generation;
  enum state state;
  SSL *ssl;
  /* Encrypted, not taken by the kernel yet. */
  uint8_t *rest;
  size_t rest_from, rest_bytes;
  uint64_t since; /* ms: when the handshake began */
  uint32_t watched; /* epoll events */
  bool is_paused, is_ending, was_active, is_again, tells_drained;
  /* Neighbours in the list of handshakes, by age. */
  struct connection *older, *newer;
  char reason[REASON_BYTES];
};

struct lane {
  napi_env env;
  napi_ref on_turn;
  napi_async_context context;
  uv_poll_t poll;
  int epoll, listener, again, reserve;
  SSL_CTX *ssl;
  struct connection **connections; /* by index; never shrinks, slots are reused */
  uint32_t slots, generation;
  uint32_t *unused;
  uint32_t unused_count;
  uint32_t *again_ids;
  uint32_t again_count;
  struct connection *oldest, *newest;
  uint32_t handshakes;
  uint8_t *arena;
  size_t arena_bytes, used;
  int32_t *events;
  uint32_t max_events, count;
  bool is_closed;
};

/* What SSL wrote and is to be sent: one buffer for all, since it is always emptied before anybody else writes. */
static _Thread_local uint8_t *outgoing;
static _Thread_local size_t outgoing_bytes, outgoing_size;
static _Thread_local BIO_METHOD *outgoing_method;

static uint64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

/* ---- OpenSSL's output goes into `outgoing`: several records, or a whole flight, in one write to the socket. ---- */

static int outgoing_write(BIO *bio, const char *bytes, int count) {
  (void)bio;
  if (count <= 0) return 0;
  if (outgoing_bytes + (size_t)count > outgoing_size) {
    size_t size = outgoing_size == 0 ? 1 << 16 : outgoing_size;
    while (size < outgoing_bytes + (size_t)count) size *= 2;
    uint8_t *grown = realloc(outgoing, size);
    if (grown == NULL) return -1;
    outgoing = grown;
    outgoing_size = size;
  }
  memcpy(outgoing + outgoing_bytes, bytes, (size_t)count);
  outgoing_bytes += (size_t)count;
  return count;
}

static long outgoing_ctrl(BIO *bio, int command, long number, void *pointer) {
  (void)bio, (void)number, (void)pointer;
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static int outgoing_create(BIO *bio) {
  BIO_set_init(bio, 1);
  return 1;
}

static BIO *outgoing_bio(void) {
  if (outgoing_method == NULL) {
    outgoing_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "greengrass lane");
    BIO_meth_set_write(outgoing_method, outgoing_write);
    BIO_meth_set_ctrl(outgoing_method, outgoing_ctrl);
    BIO_meth_set_create(outgoing_method, outgoing_create);
  }
  return BIO_new(outgoing_method);
}

/* ---- Connections ---- */

static void watch(struct lane *lane, struct connection *one, uint32_t events) {
  if (one->watched == events) return;
  struct epoll_event event = {.events = events, .data.u64 = ((uint64_t)one->generation << 32) | one->id};
  epoll_ctl(lane->epoll, EPOLL_CTL_MOD, one->fd, &event);
  one->watched = events;
}

static void watch_as_needed(struct lane *lane, struct connection *one) {
  uint32_t events = one->is_paused ? 0 : EPOLLIN;
  if (one->rest_bytes > 0) events |= EPOLLOUT;
  watch(lane, one, events);
}

static void leave_handshakes(struct lane *lane, struct connection *one) {
  if (one->older) one->older->newer = one->newer;
  else lane->oldest = one->newer;
  if (one->newer) one->newer->older = one->older;
  else lane->newest = one->older;
  one->older = one->newer = NULL;
  lane->handshakes--;
}

static void enter_handshakes(struct lane *lane, struct connection *one) {
  one->older = lane->newest;
  one->newer = NULL;
  if (lane->newest) lane->newest->newer = one;
  else lane->oldest = one;
  lane->newest = one;
  lane->handshakes++;
}

/* Gives up socket and keys; the slot stays taken. */
static void shut(struct connection *one) {
  if (one->fd >= 0) close(one->fd);
  one->fd = -1;
  SSL_free(one->ssl);
  one->ssl = NULL;
  free(one->rest);
  one->rest = NULL;
  one->rest_bytes = one->rest_from = 0;
}

static void release(struct lane *lane, struct connection *one) {
  if (one->state == HANDSHAKE) leave_handshakes(lane, one);
  shut(one);
  one->state = FREE;
  lane->unused[lane->unused_count++] = one->id;
}

static struct connection *find(struct lane *lane, uint32_t id) {
  if (id >= lane->slots || lane->connections[id]->state == FREE) return NULL;
  return lane->connections[id];
}

static struct connection *take_slot(struct lane *lane) {
  struct connection *one;
  if (lane->unused_count > 0) {
    one = lane->connections[lane->unused[--lane->unused_count]];
  } else {
    if (lane->slots == MAX_CONNECTIONS) return NULL;
    one = calloc(1, sizeof *one);
    if (one == NULL) return NULL;
    one->id = lane->slots;
    lane->connections[lane->slots++] = one;
  }
  uint32_t id = one->id;
  /* Who had the slot before may still be in the list of those that come again: no slot is in it twice. */
  bool is_again = one->is_again;
  memset(one, 0, sizeof *one);
  one->id = id;
  one->is_again = is_again;
  one->fd = -1;
  one->generation = ++lane->generation;
  return one;
}

/* ---- Telling JavaScript ---- */

static void deliver(struct lane *lane) {
  if (lane->count == 0) return;
  uint32_t count = lane->count;
  napi_handle_scope scope;
  napi_value on_turn, global, argument, result;
  napi_open_handle_scope(lane->env, &scope);
  napi_get_reference_value(lane->env, lane->on_turn, &on_turn);
  napi_get_global(lane->env, &global);
  napi_create_uint32(lane->env, count, &argument);
  /* JavaScript reads arena and events while it is called, never afterwards. */
  napi_status status =
      napi_make_callback(lane->env, lane->context, global, on_turn, 1, &argument, &result);
  lane->count = 0;
  lane->used = 0;
  if (status == napi_pending_exception) {
    napi_value error;
    napi_get_and_clear_last_exception(lane->env, &error);
    napi_fatal_exception(lane->env, error);
  }
  napi_close_handle_scope(lane->env, scope);
}

static void tell(struct lane *lane, uint32_t id, int32_t offset, int32_t length) {
  int32_t *event = lane->events + (size_t)lane->count * EVENT_WORDS;
  event[0] = (int32_t)id;
  event[1] = offset;
  event[2] = length;
  lane->count++;
  if (lane->count == lane->max_events) deliver(lane);
}

/* The connection can't go on. */
static void fail(struct lane *lane, struct connection *one, const char *reason) {
  unsigned long code = ERR_peek_error();
  const char *text = code ? ERR_reason_error_string(code) : NULL;
  snprintf(one->reason, sizeof one->reason, "%s", text ? text : reason);
  ERR_clear_error();
  int32_t kind = one->state == HANDSHAKE ? NOT_OPENED : CLOSED;
  if (kind == NOT_OPENED) leave_handshakes(lane, one);
  shut(one);
  one->state = ENDED;
  tell(lane, one->id, kind, 0);
}

/* ---- Writing ---- */

/* Hands `rest` to the kernel. False where the connection is broken. */
static bool push_rest(struct lane *lane, struct connection *one) {
  while (one->rest_bytes > 0) {
    ssize_t sent = send(one->fd, one->rest + one->rest_from, one->rest_bytes, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) return false;
      break;
    }
    one->rest_from += (size_t)sent;
    one->rest_bytes -= (size_t)sent;
  }
  if (one->rest_bytes == 0) {
    free(one->rest);
    one->rest = NULL;
    one->rest_from = 0;
    if (one->is_ending) shutdown(one->fd, SHUT_WR);
  }
  watch_as_needed(lane, one);
  return true;
}

/* Sends what SSL has written for this connection. False where the connection is broken. */
static bool push_outgoing(struct lane *lane, struct connection *one) {
  size_t from = 0, bytes = outgoing_bytes;
  outgoing_bytes = 0;
  if (one->rest_bytes == 0) {
    while (from < bytes) {
      ssize_t sent = send(one->fd, outgoing + from, bytes - from, MSG_NOSIGNAL);
      if (sent < 0) {
        if (errno == EINTR) continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK) return false;
        break;
      }
      from += (size_t)sent;
    }
  }
  if (from == bytes) return true;
  uint8_t *rest = malloc(one->rest_bytes + bytes - from);
  if (rest == NULL) return false;
  if (one->rest_bytes > 0) memcpy(rest, one->rest + one->rest_from, one->rest_bytes);
  memcpy(rest + one->rest_bytes, outgoing + from, bytes - from);
  free(one->rest);
  one->rest = rest;
  one->rest_from = 0;
  one->rest_bytes += bytes - from;
  watch_as_needed(lane, one);
  return true;
}

/* ---- Reading ---- */

static void come_again(struct lane *lane, struct connection *one) {
  if (one->is_again) return;
  one->is_again = true;
  lane->again_ids[lane->again_count++] = one->id;
  uint64_t number = 1;
  (void)!write(lane->again, &number, sizeof number);
}

static void read_records(struct lane *lane, struct connection *one) {
  uint32_t generation = one->generation;
  for (int record = 0; record < RECORDS_IN_TURN; record++) {
    if (lane->arena_bytes - lane->used < RECORD_BYTES) {
      deliver(lane);
      if (lane->is_closed || one->generation != generation || one->state != OPEN || one->is_paused) return;
    }
    ERR_clear_error();
    int count = SSL_read(one->ssl, lane->arena + lane->used, RECORD_BYTES);
    int error = count > 0 ? SSL_ERROR_NONE : SSL_get_error(one->ssl, count);
    /* OpenSSL may answer by itself, with an alert say: nothing may be left for the next one who writes. */
    if (outgoing_bytes > 0 && !push_outgoing(lane, one)) {
      fail(lane, one, "the connection is broken");
      return;
    }
    if (count <= 0) {
      if (error == SSL_ERROR_ZERO_RETURN) fail(lane, one, "the client closed the connection");
      else if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
        fail(lane, one, "the connection was broken off");
      return;
    }
    size_t at = lane->used;
    lane->used += (size_t)count;
    one->was_active = true;
    tell(lane, one->id, (int32_t)at, count);
    if (lane->is_closed || one->generation != generation || one->state != OPEN) return;
    if (!SSL_has_pending(one->ssl)) return;
  }
  if (!one->is_paused) come_again(lane, one);
}

static void shake_hands(struct lane *lane, struct connection *one) {
  ERR_clear_error();
  int result = SSL_do_handshake(one->ssl);
  int error = result == 1 ? SSL_ERROR_NONE : SSL_get_error(one->ssl, result);
  bool is_sent = outgoing_bytes == 0 || push_outgoing(lane, one);
  if (!is_sent || (error != SSL_ERROR_NONE && error != SSL_ERROR_WANT_READ)) {
    outgoing_bytes = 0;
    fail(lane, one, "the handshake failed");
    return;
  }
  if (error == SSL_ERROR_WANT_READ) return;
  leave_handshakes(lane, one);
  one->state = OPEN;
  uint32_t generation = one->generation;
  tell(lane, one->id, OPENED, 0);
  if (lane->is_closed || one->generation != generation || one->state != OPEN) return;
  if (SSL_has_pending(one->ssl)) read_records(lane, one);
}

static void accept_one(struct lane *lane, int fd) {
  struct connection *one = take_slot(lane);
  if (one == NULL) {
    close(fd);
    return;
  }
  int yes = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  one->fd = fd;
  one->state = HANDSHAKE;
  one->since = now_ms();
  enter_handshakes(lane, one);
  one->ssl = SSL_new(lane->ssl);
  BIO *in = BIO_new_socket(fd, BIO_NOCLOSE), *out = outgoing_bio();
  if (one->ssl == NULL || in == NULL || out == NULL) {
    BIO_free(in);
    BIO_free(out);
    release(lane, one);
    return;
  }
  SSL_set_bio(one->ssl, in, out);
  SSL_set_accept_state(one->ssl);
  struct epoll_event event = {.events = EPOLLIN, .data.u64 = ((uint64_t)one->generation << 32) | one->id};
  one->watched = EPOLLIN;
  if (epoll_ctl(lane->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
    release(lane, one);
    return;
  }
  if (lane->handshakes > MAX_HANDSHAKES) release(lane, lane->oldest);
}

static void accept_some(struct lane *lane) {
  for (int count = 0; count < ACCEPTS_IN_TURN; count++) {
    int fd = accept4(lane->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      accept_one(lane, fd);
      continue;
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    if (errno != EMFILE && errno != ENFILE) return;
    /* No descriptor left: who knocks is told so, instead of our being woken for ever. */
    if (lane->reserve >= 0) close(lane->reserve);
    fd = accept4(lane->listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0) close(fd);
    lane->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
  }
}

static void serve(struct lane *lane, struct connection *one, uint32_t events) {
  uint32_t generation = one->generation;
  if ((events & EPOLLOUT) && one->rest_bytes > 0) {
    if (!push_rest(lane, one)) {
      fail(lane, one, "the connection is broken");
      return;
    }
    if (one->rest_bytes == 0 && one->tells_drained) {
      one->tells_drained = false;
      tell(lane, one->id, DRAINED, 0);
      if (lane->is_closed || one->generation != generation) return;
    }
  }
  if (one->state == HANDSHAKE) shake_hands(lane, one);
  else if (one->state == OPEN && !one->is_paused) read_records(lane, one);
  else if (one->state == OPEN && (events & (EPOLLERR | EPOLLHUP))) fail(lane, one, "the connection was broken off");
}

/* The connection that an event is of; NULL where it is gone in this very turn, or its slot has another already. */
static struct connection *connection_of_key(struct lane *lane, uint64_t key) {
  struct connection *one = find(lane, (uint32_t)key);
  return one != NULL && one->generation == (uint32_t)(key >> 32) && one->state != ENDED ? one : NULL;
}

static const uint64_t LISTENER = UINT64_MAX, AGAIN = UINT64_MAX - 1;

static void on_ready(uv_poll_t *poll, int status, int ready) {
  (void)ready;
  struct lane *lane = poll->data;
  if (status < 0 || lane->is_closed) return;
  struct epoll_event events[EVENTS_IN_TURN];
  int count = epoll_wait(lane->epoll, events, EVENTS_IN_TURN, 0);
  bool accepts = false;
  int handshakes = 0;
  for (int index = 0; index < count && !lane->is_closed; index++) {
    uint64_t key = events[index].data.u64;
    if (key == LISTENER) {
      accepts = true;
      continue;
    }
    if (key == AGAIN) {
      uint64_t number;
      (void)!read(lane->again, &number, sizeof number);
      uint32_t waiting = lane->again_count;
      uint32_t ids[MAX_CONNECTIONS];
      memcpy(ids, lane->again_ids, waiting * sizeof *ids);
      lane->again_count = 0;
      for (uint32_t at = 0; at < waiting && !lane->is_closed; at++) {
        struct connection *one = lane->connections[ids[at]];
        one->is_again = false;
        if (one->state == OPEN && !one->is_paused) read_records(lane, one);
      }
      continue;
    }
    struct connection *one = connection_of_key(lane, key);
    if (one == NULL) continue;
    if (one->state == HANDSHAKE) events[handshakes++] = events[index];
    else serve(lane, one, events[index].events);
  }
  if (!lane->is_closed) deliver(lane);
  /* Those left out come again with the next turn. */
  for (int index = 0; index < handshakes && index < HANDSHAKE_STEPS_IN_TURN && !lane->is_closed; index++) {
    struct connection *one = connection_of_key(lane, events[index].data.u64);
    if (one != NULL) serve(lane, one, events[index].events);
  }
  if (!lane->is_closed) deliver(lane);
  /* Last: a slot that became free in this turn is not taken again while there are events of it. */
  if (accepts && !lane->is_closed) accept_some(lane);
}

/* ---- What JavaScript calls ---- */

static napi_value undefined(napi_env env) {
  napi_value value;
  napi_get_undefined(env, &value);
  return value;
}

static napi_value number(napi_env env, int32_t what) {
  napi_value value;
  napi_create_int32(env, what, &value);
  return value;
}

static struct lane *arguments(napi_env env, napi_callback_info info, size_t *count, napi_value *values) {
  void *lane = NULL;
  napi_get_cb_info(env, info, count, values, NULL, &lane);
  return lane;
}

/* The connection that the first argument names, or NULL. */
static struct connection *connection_of(struct lane *lane, napi_env env, napi_value value) {
  uint32_t id;
  if (lane->is_closed || napi_get_value_uint32(env, value, &id) != napi_ok) return NULL;
  return find(lane, id);
}

/* write(id, buffer, from, end): all of it is taken. WRITE_KEPT: DRAINED follows when the kernel has it. */
static napi_value lane_write(napi_env env, napi_callback_info info) {
  size_t count = 4, size;
  napi_value values[4];
  struct lane *lane = arguments(env, info, &count, values);
  struct connection *one = connection_of(lane, env, values[0]);
  if (one == NULL || one->state != OPEN || one->is_ending) return number(env, WRITE_FAILED);
  void *bytes;
  uint32_t from, end;
  if (napi_get_buffer_info(env, values[1], &bytes, &size) != napi_ok ||
      napi_get_value_uint32(env, values[2], &from) != napi_ok ||
      napi_get_value_uint32(env, values[3], &end) != napi_ok || from > end || end > size)
    return number(env, WRITE_FAILED);
  ERR_clear_error();
  while (from < end) {
    int written = SSL_write(one->ssl, (uint8_t *)bytes + from, (int)(end - from));
    if (written <= 0) {
      outgoing_bytes = 0;
      ERR_clear_error();
      return number(env, WRITE_FAILED);
    }
    from += (uint32_t)written;
  }
  one->was_active = true;
  if (!push_outgoing(lane, one)) return number(env, WRITE_FAILED);
  if (one->rest_bytes == 0) return number(env, WRITE_GONE);
  one->tells_drained = true;
  return number(env, WRITE_KEPT);
}

/* end(id): nothing more is written; the other side is told when all has been sent. */
static napi_value lane_end(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value values[1];
  struct lane *lane = arguments(env, info, &count, values);
  struct connection *one = connection_of(lane, env, values[0]);
  if (one == NULL || one->state != OPEN || one->is_ending) return undefined(env);
  ERR_clear_error();
  SSL_shutdown(one->ssl);
  one->is_ending = true;
  if (push_outgoing(lane, one) && one->rest_bytes == 0) shutdown(one->fd, SHUT_WR);
  ERR_clear_error();
  return undefined(env);
}

static napi_value lane_destroy(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value values[1];
  struct lane *lane = arguments(env, info, &count, values);
  struct connection *one = connection_of(lane, env, values[0]);
  if (one != NULL) release(lane, one);
  return undefined(env);
}

/* setPaused(id, isPaused) */
static napi_value lane_set_paused(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value values[2];
  struct lane *lane = arguments(env, info, &count, values);
  struct connection *one = connection_of(lane, env, values[0]);
  bool is_paused;
  if (one == NULL || one->state != OPEN || napi_get_value_bool(env, values[1], &is_paused) != napi_ok)
    return undefined(env);
  if (one->is_paused == is_paused) return undefined(env);
  one->is_paused = is_paused;
  watch_as_needed(lane, one);
  if (!is_paused && SSL_has_pending(one->ssl)) come_again(lane, one);
  return undefined(env);
}

static void set_text(napi_env env, napi_value object, const char *name, const char *text) {
  napi_value value;
  napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value);
  napi_set_named_property(env, object, name, value);
}

/* peer(id): who is at the other end: address, and, with a certificate, its SHA-256 fingerprint and end in Unix ms. */
static napi_value lane_peer(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value values[1], result;
  struct lane *lane = arguments(env, info, &count, values);
  struct connection *one = connection_of(lane, env, values[0]);
  napi_create_object(env, &result);
  if (one == NULL || one->fd < 0) return result;
  struct sockaddr_storage address;
  socklen_t length = sizeof address;
  char text[INET6_ADDRSTRLEN] = "";
  if (getpeername(one->fd, (struct sockaddr *)&address, &length) == 0)
    getnameinfo((struct sockaddr *)&address, length, text, sizeof text, NULL, 0, NI_NUMERICHOST);
  set_text(env, result, "remoteAddress", text);
  X509 *certificate = SSL_get1_peer_certificate(one->ssl);
  if (certificate == NULL) return result;
  uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned digest_bytes = 0;
  char hex[2 * EVP_MAX_MD_SIZE + 1] = "";
  struct tm end;
  if (X509_digest(certificate, EVP_sha256(), digest, &digest_bytes) == 1 &&
      ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) == 1) {
    for (unsigned at = 0; at < digest_bytes; at++) snprintf(hex + 2 * at, 3, "%02x", digest[at]);
    napi_value ms;
    napi_create_double(env, (double)timegm(&end) * 1000.0, &ms);
    set_text(env, result, "certificateId", hex);
    napi_set_named_property(env, result, "notAfter", ms);
  }
  X509_free(certificate);
  ERR_clear_error();
  return result;
}

/* reason(id): why the connection was closed. */
static napi_value lane_reason(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value values[1], result;
  struct lane *lane = arguments(env, info, &count, values);
  struct connection *one = connection_of(lane, env, values[0]);
  napi_create_string_utf8(env, one ? one->reason : "", NAPI_AUTO_LENGTH, &result);
  return result;
}

/* sweep(handshakeTimeoutMs): ends handshakes that take too long; who was silent since the last call gives buffers back. */
static napi_value lane_sweep(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value values[1];
  struct lane *lane = arguments(env, info, &count, values);
  uint32_t limit;
  if (lane->is_closed || napi_get_value_uint32(env, values[0], &limit) != napi_ok) return undefined(env);
  uint64_t now = now_ms();
  while (lane->oldest != NULL && now - lane->oldest->since > limit) release(lane, lane->oldest);
  for (uint32_t id = 0; id < lane->slots; id++) {
    struct connection *one = lane->connections[id];
    if (one->state != OPEN) continue;
    if (!one->was_active) SSL_free_buffers(one->ssl);
    one->was_active = false;
  }
  return undefined(env);
}

static char *text_of(napi_env env, napi_value value) {
  size_t length;
  if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok) return NULL;
  char *text = malloc(length + 1);
  if (text != NULL) napi_get_value_string_utf8(env, value, text, length + 1, &length);
  return text;
}

static int take_any(X509_STORE_CTX *context, void *nothing) {
  (void)nothing;
  /* The fingerprint says who a device is; that it has the key is proved by the handshake. No chain is built. */
  X509_STORE_CTX_set_error(context, X509_V_OK);
  return 1;
}

static bool use_certificates(SSL_CTX *context, const char *chain) {
  BIO *bio = BIO_new_mem_buf(chain, -1);
  X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
  bool is_fine = certificate != NULL && SSL_CTX_use_certificate(context, certificate) == 1;
  X509_free(certificate);
  while (is_fine && (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
    is_fine = SSL_CTX_add0_chain_cert(context, certificate) == 1;
    if (!is_fine) X509_free(certificate);
  }
  BIO_free(bio);
  return is_fine;
}

static bool use_key(SSL_CTX *context, const char *pem) {
  BIO *bio = BIO_new_mem_buf(pem, -1);
  EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
  bool is_fine =
      key != NULL && SSL_CTX_use_PrivateKey(context, key) == 1 && SSL_CTX_check_private_key(context) == 1;
  EVP_PKEY_free(key);
  BIO_free(bio);
  return is_fine;
}

/* setContext(certificateChainPem, keyPem, cipherList, cipherSuites): for the connections to come. Throws. */
static napi_value lane_set_context(napi_env env, napi_callback_info info) {
  size_t count = 4;
  napi_value values[4];
  struct lane *lane = arguments(env, info, &count, values);
  char *texts[4] = {NULL, NULL, NULL, NULL};
  bool is_fine = !lane->is_closed && count == 4;
  for (int at = 0; at < 4 && is_fine; at++) is_fine = (texts[at] = text_of(env, values[at])) != NULL;
  ERR_clear_error();
  SSL_CTX *context = is_fine ? SSL_CTX_new(TLS_server_method()) : NULL;
  is_fine = context != NULL && use_certificates(context, texts[0]);
  /* Reading to the end of the PEM leaves "no start line" behind. */
  if (is_fine) ERR_clear_error();
  is_fine = is_fine && use_key(context, texts[1]) && SSL_CTX_set_cipher_list(context, texts[2]) == 1 &&
            SSL_CTX_set_ciphersuites(context, texts[3]) == 1 &&
            SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
            SSL_CTX_set_session_id_context(context, (const uint8_t *)"greengrass", 10) == 1;
  if (texts[1] != NULL) OPENSSL_cleanse(texts[1], strlen(texts[1]));
  for (int at = 0; at < 4; at++) free(texts[at]);
  if (!is_fine) {
    unsigned long code = ERR_get_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    napi_throw_error(env, NULL, reason ? reason : "the certificate of the MQTT server can't be used");
    ERR_clear_error();
    SSL_CTX_free(context);
    return undefined(env);
  }
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
  SSL_CTX_set_cert_verify_callback(context, take_any, NULL);
  SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_set_num_tickets(context, 1);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_free(lane->ssl);
  lane->ssl = context;
  return undefined(env);
}

static int open_listener(const char *host, uint16_t port) {
  struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM}, *found = NULL;
  char service[8];
  snprintf(service, sizeof service, "%u", port);
  /* All addresses, IPv6 and IPv4, where no host is given. */
  if (getaddrinfo(host[0] ? host : "::", service, &hints, &found) != 0) {
    errno = EADDRNOTAVAIL;
    return -1;
  }
  int fd = -1, error = EADDRNOTAVAIL;
  for (struct addrinfo *at = found; at != NULL && fd < 0; at = at->ai_next) {
    int one = 1, zero = 0;
    fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
      error = errno;
      continue;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (at->ai_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    if (bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0) break;
    error = errno;
    close(fd);
    fd = -1;
  }
  freeaddrinfo(found);
  errno = error;
  return fd;
}

/* listen(host, port): answers the port. Throws with the system's error code. */
static napi_value lane_listen(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value values[2];
  struct lane *lane = arguments(env, info, &count, values);
  uint32_t port;
  char *host = text_of(env, values[0]);
  if (host == NULL || napi_get_value_uint32(env, values[1], &port) != napi_ok || lane->listener >= 0 ||
      lane->is_closed) {
    free(host);
    napi_throw_error(env, NULL, "listen: a host and a port, once");
    return undefined(env);
  }
  int fd = open_listener(host, (uint16_t)port);
  if (fd < 0 && host[0] == 0) fd = open_listener("0.0.0.0", (uint16_t)port);
  if (fd < 0) {
    char text[REASON_BYTES];
    const char *code = uv_err_name(-errno);
    snprintf(text, sizeof text, "listen %s: %s %s:%u", code, strerror(errno), host[0] ? host : "*", port);
    free(host);
    napi_throw_error(env, code, text);
    return undefined(env);
  }
  free(host);
  lane->listener = fd;
  struct epoll_event event = {.events = EPOLLIN, .data.u64 = LISTENER};
  epoll_ctl(lane->epoll, EPOLL_CTL_ADD, fd, &event);
  struct sockaddr_storage address;
  socklen_t length = sizeof address;
  getsockname(fd, (struct sockaddr *)&address, &length);
  uint16_t bound = address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                                 : ((struct sockaddr_in *)&address)->sin_port;
  return number(env, ntohs(bound));
}

static void shut_lane(struct lane *lane) {
  if (lane->is_closed) return;
  lane->is_closed = true;
  for (uint32_t id = 0; id < lane->slots; id++) {
    shut(lane->connections[id]);
    free(lane->connections[id]);
  }
  free(lane->connections);
  free(lane->unused);
  free(lane->again_ids);
  SSL_CTX_free(lane->ssl);
  if (lane->listener >= 0) close(lane->listener);
  if (lane->reserve >= 0) close(lane->reserve);
  close(lane->again);
}

/* The lane itself stays: its functions point to it, and a server starts rarely. */
static void on_closed(uv_handle_t *handle) {
  struct lane *lane = handle->data;
  close(lane->epoll);
}

/* The process, or a worker, ends. A worker's loop must be left without handles. */
static void clean_up(void *data) {
  struct lane *lane = data;
  if (lane->is_closed) return;
  shut_lane(lane);
  uv_poll_stop(&lane->poll);
  uv_close((uv_handle_t *)&lane->poll, on_closed);
}

static napi_value lane_close(napi_env env, napi_callback_info info) {
  size_t count = 0;
  struct lane *lane = arguments(env, info, &count, NULL);
  if (lane->is_closed) return undefined(env);
  shut_lane(lane);
  uv_poll_stop(&lane->poll);
  uv_close((uv_handle_t *)&lane->poll, on_closed);
  napi_remove_env_cleanup_hook(env, clean_up, lane);
  napi_delete_reference(env, lane->on_turn);
  napi_async_destroy(env, lane->context);
  return undefined(env);
}

static void add_function(napi_env env, napi_value object, const char *name, napi_callback callback, void *data) {
  napi_value function;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, data, &function);
  napi_set_named_property(env, object, name, function);
}

/* createLane(arena: Buffer, events: Int32Array, onTurn: (count) => void) */
static napi_value create_lane(napi_env env, napi_callback_info info) {
  size_t count = 3, event_words;
  napi_value values[3], object, name;
  napi_typedarray_type type;
  struct uv_loop_s *loop;
  struct lane *lane = calloc(1, sizeof *lane);
  napi_get_cb_info(env, info, &count, values, NULL, NULL);
  void *arena, *events;
  if (lane == NULL || napi_get_buffer_info(env, values[0], &arena, &lane->arena_bytes) != napi_ok ||
      napi_get_typedarray_info(env, values[1], &type, &event_words, &events, NULL, NULL) != napi_ok ||
      type != napi_int32_array || lane->arena_bytes < RECORD_BYTES || event_words < EVENT_WORDS ||
      napi_create_reference(env, values[2], 1, &lane->on_turn) != napi_ok ||
      napi_get_uv_event_loop(env, &loop) != napi_ok) {
    free(lane);
    napi_throw_error(env, NULL, "createLane: an arena, an Int32Array and a function");
    return undefined(env);
  }
  lane->env = env;
  lane->arena = arena;
  lane->events = events;
  lane->max_events = (uint32_t)(event_words / EVENT_WORDS);
  lane->listener = -1;
  lane->connections = calloc(MAX_CONNECTIONS, sizeof *lane->connections);
  lane->unused = calloc(MAX_CONNECTIONS, sizeof *lane->unused);
  lane->again_ids = calloc(MAX_CONNECTIONS, sizeof *lane->again_ids);
  lane->epoll = epoll_create1(EPOLL_CLOEXEC);
  lane->again = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  lane->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
  lane->poll.data = lane;
  if (!lane->connections || !lane->unused || !lane->again_ids || lane->epoll < 0 || lane->again < 0 ||
      uv_poll_init(loop, &lane->poll, lane->epoll) != 0) {
    napi_throw_error(env, NULL, strerror(errno));
    return undefined(env);
  }
  struct epoll_event event = {.events = EPOLLIN, .data.u64 = AGAIN};
  epoll_ctl(lane->epoll, EPOLL_CTL_ADD, lane->again, &event);
  uv_poll_start(&lane->poll, UV_READABLE, on_ready);
  napi_create_string_utf8(env, "greengrass:TlsLane", NAPI_AUTO_LENGTH, &name);
  napi_create_object(env, &object);
  napi_async_init(env, object, name, &lane->context);
  napi_add_env_cleanup_hook(env, clean_up, lane);
  add_function(env, object, "setContext", lane_set_context, lane);
  add_function(env, object, "listen", lane_listen, lane);
  add_function(env, object, "write", lane_write, lane);
  add_function(env, object, "end", lane_end, lane);
  add_function(env, object, "destroy", lane_destroy, lane);
  add_function(env, object, "setPaused", lane_set_paused, lane);
  add_function(env, object, "peer", lane_peer, lane);
  add_function(env, object, "reason", lane_reason, lane);
  add_function(env, object, "sweep", lane_sweep, lane);
  add_function(env, object, "close", lane_close, lane);
  return object;
}

NAPI_MODULE_INIT() {
  add_function(env, exports, "createLane", create_lane, NULL);
  return exports;
}
