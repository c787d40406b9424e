/*
 * Load generator for MQTT brokers under mutual TLS: one thread, epoll, OpenSSL, packets built beforehand. It costs less
 * than any broker that it loads. Every message carries who sent it, its number and when it was due, so that losses,
 * duplicates and changes of order are counted, not guessed.
 *
 *   load mode=messages port=8883 certs=DIR pubs=100 subs=100 shape=pairs|in|out qos=0|1 size=256 window=100
 *        warm=1 seconds=3 [rate=0] [spin=0]
 *   load mode=connect port=8883 certs=DIR parallel=50 seconds=3 resume=0|1
 *   load mode=idle port=8883 certs=DIR count=2500      (holds the connections until stdin closes)
 *
 * DIR has ca.pem and client.pem/client.key, or <client id>.pem/.key for each client. Prints one line of JSON.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEADER = 16, MAX_CONNS = 8192, READ_BYTES = 65536, MAX_SAMPLES = 1 << 22 };
enum state { TLS, WAIT_CONNACK, WAIT_SUBACK, READY, CLOSED };

struct conn {
  int fd, index, is_sub, packet_id;
  enum state state;
  SSL *ssl;
  SSL_CTX *context;
  SSL_SESSION *session;
  uint8_t *in;
  size_t in_bytes, in_size;
  uint8_t *out;
  size_t out_bytes, out_size;
  uint64_t sent, delivered, acked, due;
  uint32_t *expected; /* next number, by publisher */
};

static const char *certs = ".", *shape = "pairs";
static int port, pubs = 1, subs = 1, qos, size = 256, window = 1, parallel = 50, resume, spin, idle_count = 100;
static double warm = 1, seconds = 3, rate;
static int epfd, ready;
static struct conn *conns[MAX_CONNS];
static uint64_t received, lost, misordered, measured, resumed, samples;
static uint32_t *latencies;
static int is_measuring;
static uint8_t scratch[READ_BYTES];

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *what) {
  fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
  ERR_print_errors_fp(stderr);
  exit(1);
}

static void client_id(const struct conn *c, char *id, size_t n) {
  snprintf(id, n, "%s-%d", c->is_sub == 2 ? "idle" : c->is_sub ? "sub" : "pub", c->index);
}

static SSL_CTX *context_for(const char *id) {
  static SSL_CTX *shared;
  char cert[512], key[512], ca[512];
  snprintf(cert, sizeof cert, "%s/%s.pem", certs, id);
  int own = access(cert, R_OK) == 0;
  if (!own && shared) return shared;
  if (!own) snprintf(cert, sizeof cert, "%s/client.pem", certs);
  snprintf(key, sizeof key, "%s/%s.key", certs, own ? id : "client");
  snprintf(ca, sizeof ca, "%s/ca.pem", certs);
  SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  if (SSL_CTX_use_certificate_file(ctx, cert, SSL_FILETYPE_PEM) != 1) die(cert);
  if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1) die(key);
  if (SSL_CTX_load_verify_locations(ctx, ca, NULL) != 1) die(ca);
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
  if (!own) shared = ctx;
  return ctx;
}

static void pump(struct conn *c) {
  while (c->out_bytes > 0) {
    int n = SSL_write(c->ssl, c->out, (int)(c->out_bytes > 16384 ? 16384 : c->out_bytes));
    if (n <= 0) {
      int e = SSL_get_error(c->ssl, n);
      if (e == SSL_ERROR_WANT_WRITE || e == SSL_ERROR_WANT_READ) break;
      c->state = CLOSED;
      return;
    }
    c->out_bytes -= (size_t)n;
    memmove(c->out, c->out + n, c->out_bytes);
  }
}

static uint8_t *room(struct conn *c, size_t n) {
  if (c->out_bytes + n > c->out_size) {
    c->out_size = (c->out_bytes + n) * 2;
    c->out = realloc(c->out, c->out_size);
  }
  uint8_t *at = c->out + c->out_bytes;
  c->out_bytes += n;
  return at;
}

static size_t put_length(uint8_t *at, size_t length) {
  size_t n = 0;
  do {
    at[n] = (uint8_t)(length & 0x7f);
    length >>= 7;
    if (length) at[n] |= 0x80;
    n++;
  } while (length);
  return n;
}

static void topic_of(const struct conn *c, char *topic, size_t n) {
  if (!strcmp(shape, "out")) snprintf(topic, n, "bench/out/data");
  else if (!strcmp(shape, "in") && c->is_sub) snprintf(topic, n, "bench/in/+/data");
  else snprintf(topic, n, "bench/%s/%d/data", !strcmp(shape, "in") ? "in" : "pair", c->index);
}

static void put_text(uint8_t **at, const char *text) {
  size_t n = strlen(text);
  *(*at)++ = (uint8_t)(n >> 8);
  *(*at)++ = (uint8_t)n;
  memcpy(*at, text, n);
  *at += n;
}

static void send_connect(struct conn *c) {
  char id[64];
  client_id(c, id, sizeof id);
  size_t length = 10 + 2 + strlen(id);
  uint8_t *at = room(c, 2 + length);
  *at++ = 0x10;
  *at++ = (uint8_t)length;
  put_text(&at, "MQTT");
  *at++ = 4;
  *at++ = 2;
  *at++ = 0;
  *at++ = 0;
  put_text(&at, id);
  c->state = WAIT_CONNACK;
}

static void send_subscribe(struct conn *c) {
  char topic[128];
  topic_of(c, topic, sizeof topic);
  size_t length = 2 + 2 + strlen(topic) + 1;
  uint8_t *at = room(c, 2 + length);
  *at++ = 0x82;
  *at++ = (uint8_t)length;
  *at++ = 0;
  *at++ = 1;
  put_text(&at, topic);
  *at++ = (uint8_t)qos;
  c->state = WAIT_SUBACK;
}

static void send_message(struct conn *c, uint64_t due) {
  static char topics[MAX_CONNS][40];
  char *topic = topics[c->index];
  if (!*topic) topic_of(c, topic, sizeof topics[0]);
  size_t t = strlen(topic), length = 2 + t + (qos ? 2 : 0) + (size_t)size;
  uint8_t head[8];
  head[0] = (uint8_t)(0x30 | qos << 1);
  size_t h = 1 + put_length(head + 1, length);
  uint8_t *at = room(c, h + length);
  memcpy(at, head, h);
  at += h;
  put_text(&at, topic);
  if (qos) {
    c->packet_id = c->packet_id % 65535 + 1;
    *at++ = (uint8_t)(c->packet_id >> 8);
    *at++ = (uint8_t)c->packet_id;
  }
  uint32_t from = (uint32_t)c->index, number = (uint32_t)c->sent++;
  memcpy(at, &due, 8);
  memcpy(at + 8, &from, 4);
  memcpy(at + 12, &number, 4);
  memset(at + HEADER, 'x', (size_t)size - HEADER);
}

static struct conn *publisher(int index) { return conns[index]; }

static int fan(void) { return !strcmp(shape, "out") ? subs : 1; }

static void on_message(struct conn *c, const uint8_t *body, size_t length, int message_qos) {
  size_t t = (size_t)(body[0] << 8 | body[1]), at = 2 + t + (message_qos ? 2 : 0);
  if (at + HEADER > length) die("a message is too short");
  if (message_qos) {
    uint8_t *ack = room(c, 4);
    ack[0] = 0x40;
    ack[1] = 2;
    memcpy(ack + 2, body + 2 + t, 2);
  }
  uint64_t due;
  uint32_t from, number;
  memcpy(&due, body + at, 8);
  memcpy(&from, body + at + 8, 4);
  memcpy(&number, body + at + 12, 4);
  if (from >= (uint32_t)pubs || length - at != (size_t)size) die("a message is not ours");
  if (number == c->expected[from]) c->expected[from]++;
  else if (number > c->expected[from]) {
    lost += number - c->expected[from];
    c->expected[from] = number + 1;
  } else misordered++;
  received++;
  publisher((int)from)->delivered++;
  if (!is_measuring) return;
  measured++;
  if (samples < MAX_SAMPLES) latencies[samples++] = (uint32_t)((now_ns() - due) / 1000);
}

static void on_packet(struct conn *c, uint8_t first, const uint8_t *body, size_t length) {
  switch (first >> 4) {
    case 2:
      if (length != 2 || body[1] != 0) die("CONNACK refuses");
      if (c->is_sub == 1) send_subscribe(c);
      else c->state = READY, ready++;
      break;
    case 9:
      if (body[2] & 0x80) die("SUBACK refuses");
      c->state = READY;
      ready++;
      break;
    case 3: on_message(c, body, length, first >> 1 & 3); break;
    case 4: c->acked++; break;
    default: die("an unexpected packet");
  }
}

static void parse(struct conn *c) {
  size_t at = 0;
  while (c->in_bytes - at >= 2) {
    size_t length = 0, n = 1;
    int shift = 0, complete = 0;
    while (at + n < c->in_bytes) {
      uint8_t b = c->in[at + n++];
      length |= (size_t)(b & 0x7f) << shift;
      shift += 7;
      if (!(b & 0x80)) { complete = 1; break; }
    }
    if (!complete || c->in_bytes - at < n + length) break;
    on_packet(c, c->in[at], c->in + at + n, length);
    at += n + length;
  }
  c->in_bytes -= at;
  if (at && c->in_bytes) memmove(c->in, c->in + at, c->in_bytes);
}

static void drop(struct conn *c) {
  if (c->fd >= 0) close(c->fd);
  c->fd = -1;
  if (c->ssl) SSL_free(c->ssl);
  c->ssl = NULL;
  c->state = CLOSED;
}

static void on_event(struct conn *c) {
  if (c->state == TLS) {
    int n = SSL_do_handshake(c->ssl);
    if (n != 1) {
      int e = SSL_get_error(c->ssl, n);
      if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE) return;
      die("TLS handshake");
    }
    send_connect(c);
  }
  for (;;) {
    if (c->in_size - c->in_bytes < READ_BYTES && idle_count == 0) {
      c->in_size = c->in_bytes + 2 * READ_BYTES;
      c->in = realloc(c->in, c->in_size);
    } else if (c->in_size == 0) c->in = malloc(c->in_size = 4096);
    int n = SSL_read(c->ssl, c->in + c->in_bytes, (int)(c->in_size - c->in_bytes));
    if (n <= 0) {
      int e = SSL_get_error(c->ssl, n);
      if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE) c->state = CLOSED;
      break;
    }
    c->in_bytes += (size_t)n;
    parse(c);
  }
  if (c->state != CLOSED) pump(c);
}

static void dial(struct conn *c) {
  char id[64];
  client_id(c, id, sizeof id);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  c->fd = socket(AF_INET, SOCK_STREAM, 0);
  int one = 1;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (connect(c->fd, (struct sockaddr *)&to, sizeof to)) die("connect");
  fcntl(c->fd, F_SETFL, O_NONBLOCK);
  if (!c->context) c->context = context_for(id);
  c->ssl = SSL_new(c->context);
  SSL_set_fd(c->ssl, c->fd);
  SSL_set_connect_state(c->ssl);
  if (c->session) SSL_set_session(c->ssl, c->session);
  c->state = TLS;
  c->in_bytes = c->out_bytes = 0;
  struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
  epoll_ctl(epfd, EPOLL_CTL_ADD, c->fd, &ev);
  on_event(c);
}

static struct conn *create(int index, int is_sub) {
  struct conn *c = calloc(1, sizeof *c);
  c->index = index;
  c->is_sub = is_sub;
  c->fd = -1;
  if (is_sub == 1) c->expected = calloc((size_t)pubs, sizeof *c->expected);
  return c;
}

static void wait_events(int64_t ns) {
  static struct epoll_event events[512];
  struct timespec t = {ns / 1000000000, ns % 1000000000};
  int n = epoll_pwait2(epfd, events, 512, &t, NULL);
  for (int i = 0; i < n; i++) {
    struct conn *c = events[i].data.ptr;
    if (c->fd >= 0) on_event(c);
  }
}

static void wait_ready(int wanted) {
  uint64_t end = now_ns() + 60000000000u;
  while (ready < wanted) {
    wait_events(100000000);
    if (now_ns() > end) die("not all clients got ready within a minute");
  }
}

static void publish_due(uint64_t start) {
  static uint64_t scheduled;
  if (rate > 0) {
    uint64_t due = (uint64_t)((double)(now_ns() - start) * rate / 1e9);
    /* Some at a time: who is late has to read all the same. */
    int first = (int)(scheduled % (uint64_t)pubs), count = 0;
    for (; scheduled < due && count < 1000; scheduled++, count++) {
      send_message(publisher((int)(scheduled % (uint64_t)pubs)), start + (uint64_t)((double)scheduled * 1e9 / rate));
    }
    for (int i = 0; i < count && i < pubs; i++) pump(publisher((first + i) % pubs));
    return;
  }
  uint64_t f = (uint64_t)fan();
  for (int i = 0; i < pubs; i++) {
    struct conn *c = publisher(i);
    uint64_t open = c->sent - c->delivered / f;
    if (qos && c->sent - c->acked > open) open = c->sent - c->acked;
    if (open >= (uint64_t)window) continue;
    uint64_t t = now_ns();
    for (; open < (uint64_t)window; open++) send_message(c, t);
    pump(c);
  }
}

static int by_value(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

static double own_cpu(void) {
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void messages(void) {
  latencies = malloc(MAX_SAMPLES * sizeof *latencies);
  idle_count = 0;
  for (int i = 0; i < pubs; i++) conns[i] = create(i, 0);
  for (int i = 0; i < subs; i++) conns[pubs + i] = create(i, 1);
  for (int i = 0; i < pubs + subs; i++) {
    dial(conns[i]);
    wait_events(0);
    if (i % 20 == 19) wait_ready(i - 10);
  }
  wait_ready(pubs + subs);
  printf("{\"ready\":true}\n");
  fflush(stdout);
  uint64_t start = now_ns(), from = start + (uint64_t)(warm * 1e9), end = from + (uint64_t)(seconds * 1e9);
  uint64_t began = 0;
  double cpu = 0;
  for (uint64_t t = start; t < end; t = now_ns()) {
    if (!is_measuring && t >= from) is_measuring = 1, began = t, cpu = own_cpu(), printf("{\"measuring\":true}\n"), fflush(stdout);
    publish_due(start);
    /* For latencies: a wait would cost more than what is measured, timers of virtual machines are coarse. */
    wait_events(spin ? 0 : rate > 0 ? 500000 : 5000000);
  }
  uint64_t took = now_ns() - began;
  cpu = own_cpu() - cpu;
  is_measuring = 0;
  printf("{\"measured\":true}\n");
  fflush(stdout);
  uint64_t sent = 0, acked = 0, last = now_ns();
  for (int i = 0; i < pubs; i++) sent += conns[i]->sent;
  /* What is still under way arrives, or is lost. */
  for (uint64_t before = received; received + lost < sent * (uint64_t)fan() && now_ns() - last < 3000000000u; before = received) {
    wait_events(50000000);
    if (received != before) last = now_ns();
  }
  for (int rounds = 0; rounds < 20 && qos; rounds++) {
    acked = 0;
    for (int i = 0; i < pubs; i++) acked += conns[i]->acked;
    if (acked == sent) break;
    wait_events(50000000);
  }
  int closed = 0;
  for (int i = 0; i < pubs + subs; i++) closed += conns[i]->state == CLOSED;
  qsort(latencies, samples, sizeof *latencies, by_value);
  printf("{\"perSecond\":%.1f,\"sent\":%lu,\"received\":%lu,\"expected\":%lu,\"acked\":%lu,\"misordered\":%lu,\"closed\":%d,"
         "\"p50Us\":%u,\"p99Us\":%u,\"ownCpuShare\":%.3f}\n",
         (double)measured / ((double)took / 1e9), sent, received, sent * (uint64_t)fan(), acked, misordered, closed,
         samples ? latencies[samples / 2] : 0, samples ? latencies[samples * 99 / 100] : 0, cpu / ((double)took / 1e9));
}

static void connect_loop(void) {
  for (int i = 0; i < parallel; i++) conns[i] = create(i, 0);
  uint64_t start = now_ns(), end = start + (uint64_t)(seconds * 1e9), done = 0;
  for (int i = 0; i < parallel; i++) dial(conns[i]);
  while (now_ns() < end) {
    wait_events(10000000);
    for (int i = 0; i < parallel; i++) {
      struct conn *c = conns[i];
      if (c->state == CLOSED) die("a connection was closed");
      if (c->state != READY) continue;
      done++;
      if (SSL_session_reused(c->ssl)) resumed++;
      if (resume) {
        if (c->session) SSL_SESSION_free(c->session);
        c->session = SSL_get1_session(c->ssl);
        SSL_shutdown(c->ssl);
      }
      drop(c);
      dial(c);
    }
  }
  printf("{\"perSecond\":%.1f,\"done\":%lu,\"resumed\":%lu}\n", (double)done / ((double)(now_ns() - start) / 1e9), done, resumed);
}

static void idle(void) {
  for (int i = 0; i < idle_count; i++) {
    conns[i] = create(i, 2);
    dial(conns[i]);
    while (ready < i - 30) wait_events(1000000);
  }
  wait_ready(idle_count);
  printf("{\"ready\":%d}\n", ready);
  fflush(stdout);
  while (read(0, scratch, sizeof scratch) > 0) {
  }
}

int main(int argc, char **argv) {
  const char *mode = "messages";
  for (int i = 1; i < argc; i++) {
    char *value = strchr(argv[i], '=');
    if (!value) die(argv[i]);
    *value++ = 0;
#define NUMBER(name, to) if (!strcmp(argv[i], name)) { to = atof(value); continue; }
#define TEXT(name, to) if (!strcmp(argv[i], name)) { to = value; continue; }
    TEXT("mode", mode) TEXT("certs", certs) TEXT("shape", shape)
    NUMBER("port", port) NUMBER("pubs", pubs) NUMBER("subs", subs) NUMBER("qos", qos) NUMBER("size", size)
    NUMBER("window", window) NUMBER("warm", warm) NUMBER("seconds", seconds) NUMBER("rate", rate)
    NUMBER("spin", spin) NUMBER("parallel", parallel) NUMBER("resume", resume) NUMBER("count", idle_count)
    die(argv[i]);
  }
  if (pubs + subs > MAX_CONNS || idle_count > MAX_CONNS || size < HEADER) die("too many clients, or too small messages");
  struct rlimit files = {MAX_CONNS + 64, MAX_CONNS + 64};
  setrlimit(RLIMIT_NOFILE, &files);
  epfd = epoll_create1(0);
  if (!strcmp(mode, "messages")) messages();
  else if (!strcmp(mode, "connect")) connect_loop();
  else idle();
  return 0;
}
