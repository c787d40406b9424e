/* What the parts of the library share. */
#ifndef GREENGRASS_CORE_H
#define GREENGRASS_CORE_H

#include <greengrasssdk.h>

struct environment {
    int initialized;
    const char *function_arn;
    const char *router_arn;
    const char *shadow_arn;
    const char *secrets_arn;
    /* Log descriptors by gg_log_level. */
    int log_fd[GG_LOG_RESERVED_MAX];
};

extern struct environment environment;

#endif
