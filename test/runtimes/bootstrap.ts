/**
 * A `bootstrap` in C, as a compiled language's runtime is: sockets and nothing else. The event says what it does; the
 * function's handler (`_HANDLER`) says what it does while it starts.
 */
export const BOOTSTRAP = `
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char in[8 << 20];

/* One request on a connection of its own; answers the status, with head and body in the buffer. */
static int call(const char *method, const char *path, const char *more, const char *body, size_t size) {
    static char head[4096];
    char host[64]; int port;
    sscanf(getenv("AWS_LAMBDA_RUNTIME_API"), "%63[^:]:%d", host, &port);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, host, &to.sin_addr);
    int s = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(s, (struct sockaddr *)&to, sizeof to) != 0) { perror("connect"); exit(9); }
    int length = snprintf(head, sizeof head, "%s /2018-06-01/runtime/%s HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n%s", method, path, more);
    if (!strstr(more, "chunked")) length += sprintf(head + length, "Content-Length: %zu\\r\\n", size);
    length += sprintf(head + length, "\\r\\n");
    write(s, head, length);
    for (size_t sent = 0; sent < size;) { ssize_t n = write(s, body + sent, size - sent); if (n <= 0) break; sent += n; }
    size_t have = 0; ssize_t n;
    while ((n = read(s, in + have, sizeof in - have - 1)) > 0) have += n;
    in[have] = 0;
    close(s);
    int status = 0;
    sscanf(in, "HTTP/1.1 %d", &status);
    return status;
}

static void header(const char *name, char *to, size_t size) {
    *to = 0;
    char *end = strstr(in, "\\r\\n\\r\\n"), *at = strcasestr(in, name);
    if (!at || at > end) return;
    at += strlen(name) + 2;
    snprintf(to, size, "%.*s", (int)strcspn(at, "\\r"), at);
}

static int has(const char *event, const char *what) { return strstr(event, what) != NULL; }

int main(void) {
    const char *handler = getenv("_HANDLER");
    char text[70000], path[200], id[64], arn[256], context[2048], deadline[32];
    if (!strcmp(handler, "init.error")) {
        const char *body = "{\\"errorMessage\\":\\"no configuration\\",\\"errorType\\":\\"Runtime.BadConfig\\"}";
        int status = call("POST", "init/error", "Lambda-Runtime-Function-Error-Type: Runtime.BadConfig\\r\\n", body, strlen(body));
        printf("init error: %d\\n", status); fflush(stdout);
        return 1;
    }
    if (!strcmp(handler, "init.exit")) return 7;
    if (!strcmp(handler, "init.hang")) { signal(SIGTERM, _exit); for (;;) pause(); }
    for (;;) {
        if (call("GET", "invocation/next", "", "", 0) != 200) { printf("next: %.60s\\n", in); fflush(stdout); return 8; }
        header("Lambda-Runtime-Aws-Request-Id", id, sizeof id);
        header("Lambda-Runtime-Invoked-Function-Arn", arn, sizeof arn);
        header("Lambda-Runtime-Client-Context", context, sizeof context);
        header("Lambda-Runtime-Deadline-Ms", deadline, sizeof deadline);
        char *event = strstr(in, "\\r\\n\\r\\n") + 4;
        size_t size = strlen(event);
        if (size > 100000) { event = text; sprintf(text, "%zu", size); }
        else { memmove(text, event, size + 1); event = text; }
        sprintf(path, "invocation/%s/response", id);
        if (has(event, "crash")) *(volatile int *)8 = 1;
        if (has(event, "exit")) exit(5);
        if (has(event, "hang")) for (;;) pause();
        if (has(event, "error")) {
            sprintf(path, "invocation/%s/error", id);
            const char *body = "{\\"errorMessage\\":\\"it failed\\",\\"errorType\\":\\"Bad\\",\\"stackTrace\\":[\\"a\\"]}";
            call("POST", path, "Lambda-Runtime-Function-Error-Type: Bad\\r\\n", body, strlen(body));
        } else if (has(event, "text")) call("POST", path, "", "not { json", 10);
        else if (has(event, "empty")) call("POST", path, "", "", 0);
        else if (has(event, "chunks")) call("POST", path, "Transfer-Encoding: chunked\\r\\n", "3\\r\\n\\"ab\\r\\n2\\r\\nc\\"\\r\\n0\\r\\n\\r\\n", 22);
        else if (has(event, "large")) {
            size_t much = 6 * 1024 * 1024 + 1;
            char *large = malloc(much); memset(large, 'x', much);
            int status = call("POST", path, "", large, much);
            printf("large: %d\\n", status); fflush(stdout);
            free(large);
        } else if (has(event, "twice")) {
            int first = call("POST", path, "", "1", 1), second = call("POST", path, "", "2", 1);
            printf("twice: %d %d\\n", first, second); fflush(stdout);
        } else if (has(event, "garbage")) {
            int status = call("BREW", "invocation/next", "", "", 0), other = call("GET", "nothing", "", "", 0);
            printf("garbage: %d %d\\n", status, other); fflush(stdout);
            call("POST", path, "", "1", 1);
        } else {
            static char answer[80000];
            struct timespec now; clock_gettime(CLOCK_REALTIME, &now);
            long left = atoll(deadline) - (now.tv_sec * 1000L + now.tv_nsec / 1000000);
            int length = sprintf(answer, "{\\"event\\":%s,\\"arn\\":\\"%s\\",\\"left\\":%ld,\\"context\\":%s}", event, arn, left, *context ? context : "null");
            call("POST", path, "", answer, length);
        }
    }
}
`;
