#define _GNU_SOURCE
#include "exchange.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define API "/2016-11-01/functions/"
#define MAX_HEAD (64 * 1024)
#define MAX_BODY (64 * 1024 * 1024)
#define MAX_IDLE 8

static int daemon_port = 8000;
static const char *token = "";
static pthread_mutex_t idle_lock = PTHREAD_MUTEX_INITIALIZER;
static int idle[MAX_IDLE];
static int idle_count;

void exchange_configure(int port, const char *worker_token) {
    daemon_port = port;
    token = worker_token;
}

static int take_idle(void) {
    pthread_mutex_lock(&idle_lock);
    int fd = idle_count > 0 ? idle[--idle_count] : -1;
    pthread_mutex_unlock(&idle_lock);
    return fd;
}

static void keep_idle(int fd) {
    pthread_mutex_lock(&idle_lock);
    if (idle_count < MAX_IDLE) {
        idle[idle_count++] = fd;
        fd = -1;
    }
    pthread_mutex_unlock(&idle_lock);
    if (fd >= 0) close(fd);
}

static int connect_to_core(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)daemon_port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    while (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        if (errno == EINTR) continue;
        close(fd);
        return -1;
    }
    return fd;
}

static int send_all(int fd, const char *data, size_t size) {
    while (size > 0) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) return -1;
        data += sent;
        size -= (size_t)sent;
    }
    return 0;
}

static int send_call(int fd, const struct exchange_call *call) {
    char *head = NULL;
    int length = asprintf(&head,
        "%s " API "%s%s HTTP/1.1\r\nHost: localhost\r\nAuthorization: %s\r\n%s%s%s%s%s%s%s%s%s%s%s%s"
        "Content-Type: application/octet-stream\r\nContent-Length: %zu\r\n\r\n",
        call->method, call->arn, call->suffix, token,
        call->context ? "X-Amz-Client-Context: " : "", call->context ? call->context : "", call->context ? "\r\n" : "",
        call->type ? "X-Amz-Invocation-Type: " : "", call->type ? call->type : "", call->type ? "\r\n" : "",
        call->invocation_id ? "X-Amz-InvocationId: " : "", call->invocation_id ? call->invocation_id : "",
        call->invocation_id ? "\r\n" : "",
        call->function_error ? "X-Amz-Function-Error: " : "", call->function_error ? call->function_error : "",
        call->function_error ? "\r\n" : "",
        call->body_size);
    if (length < 0) return -1;
    int failed = send_all(fd, head, (size_t)length) != 0 || send_all(fd, call->body, call->body_size) != 0;
    free(head);
    return failed ? -1 : 0;
}

/* Bytes read, 0 at the end, -1 on an error, -2 where the wait was interrupted. */
static ssize_t receive(int fd, int interrupt_fd, char *buffer, size_t size) {
    for (;;) {
        struct pollfd polled[2] = {{.fd = fd, .events = POLLIN}, {.fd = interrupt_fd, .events = POLLIN}};
        if (poll(polled, interrupt_fd < 0 ? 1 : 2, -1) < 0) {
            if (errno == EINTR) continue;
            return -1;
        }
        if (interrupt_fd >= 0 && (polled[1].revents & POLLIN)) return -2;
        if (polled[0].revents == 0) continue;
        ssize_t got = recv(fd, buffer, size, 0);
        if (got < 0 && errno == EINTR) continue;
        return got;
    }
}

/* The value of a header in a head that ends in an empty line; a copy, "" where it is absent. NULL: no memory. */
static char *header_of(const char *head, const char *name) {
    size_t length = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, length) != 0 || line[length] != ':') continue;
        const char *value = line + length + 1;
        while (*value == ' ') value++;
        return strndup(value, strcspn(value, "\r"));
    }
    return strdup("");
}

static int parse_head(const char *head, struct exchange_answer *answer, size_t *body_size, int *keep) {
    if (sscanf(head, "HTTP/1.%*d %d", &answer->status) != 1) return -1;
    char *size = header_of(head, "Content-Length");
    char *connection = header_of(head, "Connection");
    answer->invocation_id = header_of(head, "X-Amz-InvocationId");
    answer->context = header_of(head, "X-Amz-Client-Context");
    answer->function_error = header_of(head, "X-Amz-Function-Error");
    int ok = size && connection && answer->invocation_id && answer->context && answer->function_error;
    if (ok) {
        *body_size = strtoul(size, NULL, 10);
        *keep = strcasecmp(connection, "close") != 0;
    }
    free(size);
    free(connection);
    return ok ? 0 : -1;
}

/* `started`: whether a byte of the answer came; a request without one may be sent again. */
static enum exchange_result read_answer(int fd, int interrupt_fd, struct exchange_answer *answer, int *keep,
                                        int *started) {
    char *head = malloc(MAX_HEAD + 1);
    if (head == NULL) return EXCHANGE_NO_MEMORY;
    size_t have = 0;
    char *end = NULL;
    enum exchange_result result = EXCHANGE_FAILED;
    while (end == NULL && have < MAX_HEAD) {
        ssize_t got = receive(fd, interrupt_fd, head + have, MAX_HEAD - have);
        if (got <= 0) {
            free(head);
            return got == -2 ? EXCHANGE_INTERRUPTED : EXCHANGE_FAILED;
        }
        *started = 1;
        have += (size_t)got;
        head[have] = '\0';
        end = strstr(head, "\r\n\r\n");
    }
    size_t size = 0;
    if (end != NULL) {
        size_t head_size = (size_t)(end - head) + 4;
        end[2] = '\0';
        if (parse_head(head, answer, &size, keep) == 0 && size <= MAX_BODY) {
            answer->body = malloc(size + 1);
            size_t filled = have - head_size < size ? have - head_size : size;
            if (answer->body == NULL) result = EXCHANGE_NO_MEMORY;
            else {
                memcpy(answer->body, head + head_size, filled);
                while (filled < size) {
                    ssize_t got = receive(fd, -1, answer->body + filled, size - filled);
                    if (got <= 0) break;
                    filled += (size_t)got;
                }
                answer->body[filled] = '\0';
                answer->body_size = filled;
                if (filled == size) result = EXCHANGE_DONE;
            }
        }
    }
    free(head);
    return result;
}

enum exchange_result exchange(const struct exchange_call *call, struct exchange_answer *answer) {
    /* A kept connection may have been closed meanwhile: what met a closed one never reached the core. */
    for (int attempt = 0;; attempt++) {
        memset(answer, 0, sizeof *answer);
        int fd = attempt == 0 ? take_idle() : -1;
        int was_kept = fd >= 0;
        if (fd < 0) fd = connect_to_core();
        if (fd < 0) return EXCHANGE_FAILED;
        int keep = 0, started = 0;
        enum exchange_result result = EXCHANGE_FAILED;
        if (send_call(fd, call) == 0) result = read_answer(fd, call->interrupt_fd, answer, &keep, &started);
        if (result == EXCHANGE_DONE && keep) keep_idle(fd);
        else close(fd);
        if (result == EXCHANGE_DONE) return result;
        exchange_free(answer);
        if (result != EXCHANGE_FAILED || !was_kept || started) return result;
    }
}

void exchange_free(struct exchange_answer *answer) {
    free(answer->invocation_id);
    free(answer->context);
    free(answer->function_error);
    free(answer->body);
    memset(answer, 0, sizeof *answer);
}
