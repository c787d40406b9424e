/* The loop of a function: get work, call the handler, post what it wrote. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core.h"
#include "exchange.h"
#include "text.h"

/* The item that the handler works on; only the thread of the runtime has one. */
struct work {
    const char *event;
    size_t event_size;
    size_t event_read;
    char *response;
    size_t response_size;
    int is_error;
};

static __thread struct work *current;
static gg_lambda_handler handle;
/* SIGTERM writes, the wait for work reads. */
static int interrupt[2] = {-1, -1};

gg_error gg_lambda_handler_read(void *buffer, size_t buffer_size, size_t *amount_read) {
    if (buffer == NULL || amount_read == NULL) return GGE_INVALID_PARAMETER;
    if (current == NULL) return GGE_INVALID_STATE;
    size_t left = current->event_size - current->event_read;
    *amount_read = left < buffer_size ? left : buffer_size;
    memcpy(buffer, current->event + current->event_read, *amount_read);
    current->event_read += *amount_read;
    return GGE_SUCCESS;
}

static gg_error respond(const void *data, size_t size, int is_error) {
    if (current == NULL) return GGE_INVALID_STATE;
    char *copy = malloc(size + 1);
    if (copy == NULL) return GGE_OUT_OF_MEMORY;
    if (size > 0) memcpy(copy, data, size);
    free(current->response);
    current->response = copy;
    current->response_size = size;
    current->is_error = is_error;
    return GGE_SUCCESS;
}

gg_error gg_lambda_handler_write_response(const void *response, size_t response_size) {
    if (response == NULL && response_size > 0) return GGE_INVALID_PARAMETER;
    return respond(response, response_size, 0);
}

gg_error gg_lambda_handler_write_error(const char *error_message) {
    if (error_message == NULL) return GGE_INVALID_PARAMETER;
    char *quoted = json_string(error_message);
    char *text = NULL;
    gg_error error = GGE_OUT_OF_MEMORY;
    if (quoted != NULL && asprintf(&text, "{\"errorMessage\":%s}", quoted) >= 0) {
        error = respond(text, strlen(text), 1);
        free(text);
    }
    free(quoted);
    return error;
}

static void on_sigterm(int number) {
    (void)number;
    int kept = errno;
    ssize_t ignored = write(interrupt[1], "t", 1);
    (void)ignored;
    errno = kept;
}

static gg_error serve(const struct exchange_answer *item) {
    char *context_text = base64_decode(item->context);
    if (context_text == NULL) return GGE_OUT_OF_MEMORY;
    struct work work = {.event = item->body, .event_size = item->body_size};
    gg_lambda_context context = {.function_arn = environment.function_arn, .client_context = context_text};
    current = &work;
    handle(&context);
    current = NULL;
    struct exchange_call post = {.method = "POST", .arn = environment.function_arn, .suffix = "/work",
        .invocation_id = item->invocation_id, .function_error = work.is_error ? "Handled" : NULL,
        .body = work.response, .body_size = work.response_size, .interrupt_fd = -1};
    struct exchange_answer answer;
    enum exchange_result outcome = exchange(&post, &answer);
    if (outcome == EXCHANGE_DONE) {
        if (answer.status >= 300) gg_log(GG_LOG_ERROR, "the core refused a result with status %d", answer.status);
        exchange_free(&answer);
    }
    free(work.response);
    free(context_text);
    return outcome == EXCHANGE_DONE ? GGE_SUCCESS : GGE_INTERNAL_FAILURE;
}

static gg_error run(void) {
    for (;;) {
        struct exchange_call get = {.method = "GET", .arn = environment.function_arn, .suffix = "/work",
            .interrupt_fd = interrupt[0]};
        struct exchange_answer item;
        enum exchange_result outcome = exchange(&get, &item);
        if (outcome == EXCHANGE_INTERRUPTED) return GGE_TERMINATE;
        if (outcome == EXCHANGE_NO_MEMORY) return GGE_OUT_OF_MEMORY;
        if (outcome != EXCHANGE_DONE) return GGE_INTERNAL_FAILURE;
        if (item.status != 200) {
            gg_log(GG_LOG_FATAL, "the core gives no work: status %d", item.status);
            exchange_free(&item);
            return GGE_INTERNAL_FAILURE;
        }
        gg_error error = serve(&item);
        exchange_free(&item);
        if (error != GGE_SUCCESS) return error;
    }
}

static void *run_in_thread(void *unused) {
    (void)unused;
    exit(run() == GGE_TERMINATE ? 0 : 1);
}

gg_error gg_runtime_start(gg_lambda_handler handler, uint32_t opt) {
    if (handler == NULL || (opt & ~(uint32_t)GG_RT_OPT_ASYNC) != 0) return GGE_INVALID_PARAMETER;
    if (!environment.initialized || handle != NULL) return GGE_INVALID_STATE;
    handle = handler;
    if (pipe2(interrupt, O_CLOEXEC) != 0) return GGE_INTERNAL_FAILURE;
    struct sigaction action = {.sa_handler = on_sigterm, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGTERM, &action, NULL) != 0) return GGE_INTERNAL_FAILURE;
    if (!(opt & GG_RT_OPT_ASYNC)) return run();
    pthread_t thread;
    if (pthread_create(&thread, NULL, run_in_thread, NULL) != 0) return GGE_OUT_OF_MEMORY;
    pthread_detach(thread);
    return GGE_SUCCESS;
}
