/* One HTTP request to the core's door and its answer (IPC.md), over connections that are kept. Safe in every thread. */
#ifndef GREENGRASS_EXCHANGE_H
#define GREENGRASS_EXCHANGE_H

#include <stddef.h>

struct exchange_call {
    const char *method;
    /* A whole path is "/2016-11-01/functions/", arn, suffix. */
    const char *arn;
    const char *suffix;
    /* Headers; NULL leaves one out. The context is base64. */
    const char *context;
    const char *type;
    const char *invocation_id;
    const char *function_error;
    const void *body;
    size_t body_size;
    /* A wait ends when this descriptor can be read; -1: never. */
    int interrupt_fd;
};

struct exchange_answer {
    int status;
    /* Own copies, "" where the header is absent. */
    char *invocation_id;
    char *context;
    char *function_error;
    char *body;
    size_t body_size;
};

enum exchange_result { EXCHANGE_DONE, EXCHANGE_FAILED, EXCHANGE_NO_MEMORY, EXCHANGE_INTERRUPTED };

/* `answer` is filled on EXCHANGE_DONE only; exchange_free gives its memory back. */
enum exchange_result exchange(const struct exchange_call *call, struct exchange_answer *answer);
void exchange_free(struct exchange_answer *answer);

/* Where the core listens, and the worker's token. Called once. */
void exchange_configure(int port, const char *token);

#endif
